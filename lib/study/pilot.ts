/** Pilot: does a model that solves more tell right from wrong better? Over checkpoints of VFT. */

import { summaryFigures } from "../evaluate/figures.ts";
import { pageColumn } from "../report/figure_column.ts";
import { join } from "node:path";
import { correlationOverSeeds, pearson, spearman } from "./correlation.ts";
import { summarize } from "../evaluate/summary.ts";
import type { Claim, Outcome } from "../report/study.ts";
import type { Row } from "../report/table.ts";
import { sizeOf } from "./figures.ts";
import { type ProbePoint, readProbes, watch } from "./probes.ts";
import type { StudyCells } from "./cells.ts";
import { digest } from "./method.ts";

const theirs: Readonly<Record<string, string>> = {
  arithmetic: "0.93 (GSM8K)",
  "arithmetic-long": "0.93 (GSM8K)",
  options: "0.98 (ECQA)",
};

/** Task accuracy against assessment accuracy over VFT checkpoints. */
export async function pilot(cells: StudyCells): Promise<Outcome> {
  const { data: sets, seeds, checkpoints } = cells.settings;
  const rows: Row[] = [], all: Row[] = [], claims: Claim[] = [];
  const series: { name: string; points: [number, number][] }[] = [];
  for (const data of sets) {
    const points: ProbePoint[] = [], bySeed: ProbePoint[][] = [];
    for (const seed of seeds) {
      const judged = await cells.judged(data, seed);
      const folder = join(cells.options.out, "probes");
      const path = join(folder, `pilot-${data}-s${seed}-${digest([judged.key, checkpoints])}.json`);
      const { world } = cells.stages;
      const probe = watch(path, {
        world,
        measure: async (model) => {
          const results = await cells.stages.evaluated(model, judged.source, { label: "checkpoint", seed });
          const { accuracy, assessment_accuracy } = summarize(results);
          return { accuracy, assessment_accuracy };
        },
      });
      await cells.vft(data, seed, { probe });
      // The untrained model is no VFT checkpoint: it knows neither prompt nor ending.
      const measured = (await readProbes(path, world)).filter(({ step }) => step > 0);
      points.push(...measured);
      bySeed.push(measured);
      for (const { step, accuracy, assessment_accuracy } of measured) {
        all.push({ data, seed, step, accuracy, assessment_accuracy });
      }
    }
    const known = points.filter((p) => p.accuracy !== undefined && p.assessment_accuracy !== undefined);
    const xs = known.map((p) => p.accuracy!), ys = known.map((p) => p.assessment_accuracy!);
    const r = pearson(xs, ys), rho = spearman(xs, ys);
    rows.push({
      data,
      checkpoints: known.length,
      pearson: r,
      spearman: rho,
      from: xs.length > 0 ? Math.min(...xs) : undefined,
      to: xs.length > 0 ? Math.max(...xs) : undefined,
      assessment: ys.length > 0 ? Math.max(...ys) : undefined,
    });
    series.push({ name: data, points: known.map((p) => [p.accuracy!, p.assessment_accuracy!]) });
    const estimate = correlationOverSeeds(bySeed.map((points) => {
      const known = points.filter((p) => p.accuracy !== undefined && p.assessment_accuracy !== undefined);
      return pearson(known.map((p) => p.accuracy!), known.map((p) => p.assessment_accuracy!));
    }));
    const interval = estimate && !Number.isNaN(estimate.low)
      ? ` (over seeds ${estimate.low.toFixed(2)} to ${estimate.high.toFixed(2)})`
      : "";
    claims.push({
      claim: `Task and assessment accuracy go together over VFT checkpoints: ${data}`,
      theirs: theirs[data] ?? "0.93 and 0.98",
      ours: r === undefined ? "not measured" : `r = ${r.toFixed(2)}, ρ = ${rho?.toFixed(2)}${interval}`,
      unit: "r",
      ...(estimate && { estimate }),
      held: "unclear",
    });
  }
  return {
    name: "pilot",
    title: "Pilot: solving and assessing",
    about:
      "At checkpoints of VFT: the share of test problems solved by greedy answers, and the share of (right, " +
      "wrong) pairs of candidates that the checkpoint has in order. The candidates are those of the finished VFT " +
      "model, the same for all its checkpoints. Pearson's r is of the numbers, Spearman's ρ of their ranks.",
    size: sizeOf(cells),
    claims,
    tables: [
      {
        name: "pilot",
        title: "Correlation over checkpoints",
        columns: [
          { key: "data", title: "Data set" },
          { key: "checkpoints", title: "Checkpoints" },
          { key: "pearson", title: "Pearson", digits: 3 },
          { key: "spearman", title: "Spearman", digits: 3 },
          { key: "from", title: "Lowest accuracy", unit: "%", percent: true, digits: 1 },
          { key: "to", title: "Highest accuracy", unit: "%", percent: true, digits: 1 },
          { key: "assessment", title: "Highest assessment", unit: "%", percent: true, digits: 1 },
        ],
        rows,
      },
      {
        name: "pilot_checkpoints",
        title: "Every checkpoint",
        columns: [
          { key: "data", title: "Data set" },
          { key: "seed", title: "Seed" },
          { key: "step", title: "Step" },
          // Of a checkpoint on its way: none is the best.
          ...(["accuracy", "assessment_accuracy"] as const).map((key) => ({
            ...pageColumn(summaryFigures[key]),
            best: undefined,
          })),
        ],
        rows: all,
        folded: true,
      },
    ],
    plots: [{
      kind: "scatter",
      title: "Task accuracy and assessment accuracy",
      x: "task accuracy",
      y: "assessment accuracy",
      percent: true,
      series,
      note: "A point is a checkpoint of VFT; the lines are least-squares fits.",
    }],
  };
}
