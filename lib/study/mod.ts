/**
 * The paper's experiments as one function: models, candidates and measurements in cells that are made once, tables and
 * pages of what came out.
 *
 * @module
 */
export type { Claim, Estimate, Outcome, OutcomePlot, OutcomeTable } from "../report/study.ts";
export type { HtmlColumn } from "../report/html_table.ts";
export type { Point } from "../report/_curve.ts";
export type { DotRow, Series } from "../report/plots.ts";
export type { ScatterSeries } from "../report/scatter_plot.ts";
export type { Cell, Column, Row, Spread } from "../report/table.ts";
export { study } from "./run.ts";
export type { Start } from "./settings.ts";
export type { StudyOptions } from "./study_options.ts";
export type { Listener, ProgressEvent, Watched } from "../runtime/listener.ts";
export {
  type DifferenceVariances,
  leastDifference,
  type PlannedSize,
  type PlanOptions,
  planStudy,
} from "./plan.ts";
