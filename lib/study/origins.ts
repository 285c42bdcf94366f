/** Whose candidates a method learns from: the model's own, another model's, or those that a data set brings. */

import type { Outcome, OutcomePlot } from "../report/study.ts";
import type { Row } from "../report/table.ts";
import type { Sampler } from "./candidate_changes.ts";
import type { StudyCells } from "./cells.ts";
import {
  type BySeed,
  bySeed,
  compares,
  figures,
  mainMethod,
  mean,
  modelColumns,
  modelRow,
  sizeOf,
} from "./figures.ts";
import type { Method } from "./method.ts";

const samplers: readonly Sampler[] = ["own", "another seed", "weaker", "stronger"];

/** Candidates of other models; and with ranks, the share of own ones and the boundary's width. */
export async function origins(cells: StudyCells): Promise<Outcome> {
  const { data: [data], rankedData, ownShares, rankedBetas, beta, limit } = cells.settings;
  const sampled: Row[] = [];
  for (const name of ["RFT", "AFT-DC", "AFT-BC"].filter((name) => compares(cells, name))) {
    for (const sampler of samplers) {
      const { name: _, ...method } = mainMethod(cells, name);
      const own = sampler === "own" ? method : { ...method, change: { sampler } };
      const all = await bySeed(cells, data!, (seed) => cells.aligned(data!, seed, { method: own }));
      sampled.push({ ...modelRow(name, all), sampler });
    }
  }
  const ranked = async (method: Method) =>
    await bySeed(cells, rankedData, (seed) => cells.aligned(rankedData, seed, { method }));
  const byShare = new Map<string, Map<number, BySeed>>();
  for (const constraint of ["none", "dc", "bc"] as const) {
    const of = new Map<number, BySeed>();
    for (const own of ownShares) {
      const width = constraint === "bc" ? { beta } : {};
      of.set(own, await ranked({ objective: "aft-rank", constraint, ...width, change: { own } }));
    }
    byShare.set({ none: "AFT-R", dc: "AFT-RDC", bc: "AFT-RBC" }[constraint], of);
  }
  const byBeta = new Map<number, BySeed>();
  for (const beta of rankedBetas) {
    byBeta.set(beta, await ranked({ objective: "aft-rank", constraint: "bc", beta, change: { own: 0 } }));
  }
  const [method, ...rest] = modelColumns;
  return {
    name: "origins",
    title: "Whose candidates",
    about:
      `On ${data}: candidates of the VFT model (own), of one with another seed, of a weaker one (one pass) and of a ` +
      `stronger one (${
        4 * limit
      } problems). On ${rankedData}: a share of the candidates that the data set brings is ` +
      "replaced by the VFT model's own, and all are ranked by their steps; and the boundary's width β with none of them " +
      "the model's own.",
    size: sizeOf(cells),
    claims: [],
    tables: [
      {
        name: "samplers",
        title: `Whose candidates, on ${data}`,
        columns: [method!, { key: "sampler", title: "Candidates of" }, ...rest],
        rows: sampled,
      },
      {
        name: "own_share",
        title: `Share of own candidates, on ${rankedData}`,
        columns: [method!, { key: "own", title: "Own", unit: "%", percent: true, digits: 0 }, ...rest],
        rows: [...byShare].flatMap(([name, of]) =>
          [...of].map(([own, all]): Row => ({ ...modelRow(name, all), own }))
        ),
      },
      {
        name: "ranked_beta",
        title: `AFT-RBC over β, on ${rankedData}, no candidate the model's own`,
        columns: [{ ...method!, title: "β" }, ...rest],
        rows: [...byBeta].map(([beta, all]) => modelRow(String(beta), all)),
      },
    ],
    plots: [
      lines("Accuracy over the share of own candidates", "own candidates, %", byShare),
      lines("AFT-RBC over β, no own candidates", "β (nats per token)", new Map([["AFT-RBC", byBeta]])),
    ],
  };
}

function lines(title: string, x: string, of: ReadonlyMap<string, ReadonlyMap<number, BySeed>>): OutcomePlot {
  return {
    kind: "lines",
    title,
    x,
    y: "accuracy",
    percent: true,
    series: [...of].map(([name, points]) => ({
      name,
      points: [...points].map(([value, all]) =>
        [x.endsWith("%") ? value * 100 : value, mean(figures(all, "accuracy"))] as const
      ),
    })),
  };
}
