import { groupStatistics } from "../objectives/statistics.ts";
import { trainingFigures } from "./figures.ts";
import type { Metrics } from "./metrics.ts";
import type { LossOptions, StepReport } from "./step.ts";

/** Width of the boundary that negatives are held against: the objective's, or 0.2. */
export function boundaryOf({ objective, objectiveOptions }: LossOptions): number {
  return objectiveOptions[objective.boundary ?? "boundary"] as number | undefined ?? 0.2;
}

/** The part of a metrics line that a batch's scores give: the figures that name a statistic, and what the losses were. */
export function batchStatistics(
  report: Pick<StepReport, "groups" | "objectiveLoss" | "vftLoss">,
  boundary: number,
): Partial<Metrics> {
  const all = report.groups.map((g) => groupStatistics(g, { boundary }));
  const means = Object.entries(trainingFigures).flatMap(([key, { statistic }]) =>
    statistic === undefined ? [] : [[key, mean(all.map((of) => of[statistic]))] as const]
  );
  return {
    objective_loss: report.objectiveLoss,
    vft_loss: report.vftLoss,
    ...Object.fromEntries(means),
    response_length: mean(report.groups.flatMap((g) => Array.from(g.lengths))),
  };
}

/** The mean of those that are known; undefined when none is. */
function mean(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((a, b) => a + b, 0) / known.length;
}
