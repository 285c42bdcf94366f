/** How much the boundary's width and the number of candidates matter. */

import type { Outcome, OutcomePlot } from "../report/study.ts";
import type { StudyCells } from "./cells.ts";
import { type BySeed, bySeed, figures, mean, modelColumns, modelRow, sizeOf } from "./figures.ts";

/** AFT-BC over β, and AFT-DC over k. */
export async function sweeps(cells: StudyCells): Promise<Outcome> {
  const { data: [data], betas, sampleCounts } = cells.settings;
  const byBeta = new Map<number, BySeed>(), byCount = new Map<number, BySeed>();
  for (const beta of betas) {
    const method = { objective: "aft", constraint: "bc", beta } as const;
    byBeta.set(beta, await bySeed(cells, data, (seed) => cells.aligned(data, seed, { method })));
  }
  for (const samples of sampleCounts) {
    const method = { objective: "aft", constraint: "dc", samples } as const;
    byCount.set(samples, await bySeed(cells, data, (seed) => cells.aligned(data, seed, { method })));
  }
  const plot = (title: string, x: string, of: Map<number, BySeed>): OutcomePlot => ({
    kind: "lines",
    title,
    x,
    y: "share",
    percent: true,
    series: (["accuracy", "assessment_accuracy"] as const).map((key) => ({
      name: key.replace("_", " "),
      points: [...of].map(([value, all]) => [value, mean(figures(all, key))] as const),
    })),
  });
  return {
    name: "sweeps",
    title: "Sweeps of β and of k",
    about:
      `On ${data}: AFT-BC with boundaries of different width β, in nats per token, and AFT-DC with the first k ` +
      "candidates of every question.",
    size: sizeOf(cells),
    claims: [],
    tables: [
      {
        name: "beta",
        title: "AFT-BC over β",
        columns: [{ ...modelColumns[0], title: "β" }, ...modelColumns.slice(1)],
        rows: [...byBeta].map(([beta, all]) => modelRow(String(beta), all)),
      },
      {
        name: "k",
        title: "AFT-DC over k, candidates a question",
        columns: [{ ...modelColumns[0], title: "k" }, ...modelColumns.slice(1)],
        rows: [...byCount].map(([count, all]) => modelRow(String(count), all)),
      },
    ],
    plots: [
      plot("AFT-BC over β", "β (nats per token)", byBeta),
      plot("AFT-DC over k", "k (candidates a question)", byCount),
    ],
  };
}
