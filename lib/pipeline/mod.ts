/**
 * The whole method as functions: `align` trains, samples, labels, calibrates and measures; `study` runs the paper's
 * experiments. Both tell a listener what they are doing, end by a signal, and go on where they were stopped.
 *
 * @module
 */
export type { Claim, Outcome, OutcomePlot, OutcomeTable } from "../report/study.ts";
export type { Lora, LoraTarget } from "../checkpoint/lora.ts";
export type { BaseDtype } from "../checkpoint/stored_bytes.ts";
export type { PromptOptions } from "../data/prompts.ts";
export type { Candidate, Problem } from "../data/records.ts";
export type { QuantizedDtype } from "../kernels/product/quantize.ts";
export type { Summary } from "../evaluate/summary.ts";
export type { HtmlColumn } from "../report/html_table.ts";
export type { Point } from "../report/_curve.ts";
export type { DotRow, Series } from "../report/plots.ts";
export type { ScatterSeries } from "../report/scatter_plot.ts";
export type { Cell, Column, Row, Spread } from "../report/table.ts";
export type { Listener, ProgressEvent, Watched } from "../runtime/listener.ts";
export { study } from "../study/run.ts";
export type { StudyOptions } from "../study/study_options.ts";
export { align, type AlignResult, type AlignRow } from "./align.ts";
export { type AlignOptions, embeddedBase, type ProblemSource } from "./align_options.ts";
