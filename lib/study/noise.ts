/** Labels that are not all right: which methods break. */

import type { Outcome } from "../report/study.ts";
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
  type NamedMethod,
  sizeOf,
} from "./figures.ts";

/** Methods that learn from labels, over shares of flipped ones. */
export async function noise(cells: StudyCells): Promise<Outcome> {
  const { data: [data], flipped, start } = cells.settings;
  const all: readonly NamedMethod[] = [
    mainMethod(cells, "RFT"),
    { name: "AFT, no constraint", objective: "aft", constraint: "none" },
    mainMethod(cells, "AFT-DC"),
    mainMethod(cells, "AFT-BC"),
  ];
  const methods = all.filter(({ name }) => compares(cells, name));
  const unlabelled = await bySeed(
    cells,
    data!,
    (seed) => cells.aligned(data!, seed, { method: mainMethod(cells, "VFT") }),
  );
  const found = new Map<string, Map<number, BySeed>>();
  for (const { name, ...method } of methods) {
    const of = new Map<number, BySeed>();
    for (const share of flipped) {
      const noisy = share === 0 ? method : { ...method, change: { flipped: share } };
      of.set(
        share,
        await bySeed(cells, data!, (seed) => cells.aligned(data!, seed, { method: noisy })),
      );
    }
    found.set(name, of);
  }
  return {
    name: "noise",
    title: "Wrong labels",
    about:
      `A share of the candidates' labels is flipped before a method learns from them, the same ones for each method. ` +
      `VFT, which reads no labels, is what ${
        start === "base" ? "all stand beside" : "all go on from, trained on"
      }. ` +
      "Test problems and their candidates keep their labels.",
    size: sizeOf(cells),
    claims: [],
    tables: [{
      name: "noise",
      title: `On ${data}, over the share of flipped labels`,
      columns: [modelColumns[0]!, { key: "flipped", title: "Flipped", unit: "%", percent: true, digits: 0 }]
        .concat(modelColumns.slice(1)),
      rows: [
        modelRow("VFT", unlabelled),
        ...[...found].flatMap(([name, of]) =>
          [...of].map(([share, all]) => ({ ...modelRow(name, all), flipped: share }))
        ),
      ],
    }],
    plots: (["accuracy", "assessment_accuracy"] as const).map((key) => ({
      kind: "lines" as const,
      title: key === "accuracy" ? "Accuracy" : "Assessment accuracy",
      x: "share of flipped labels, %",
      y: "share",
      percent: true,
      series: [
        {
          name: "VFT",
          points: flipped.map((share) => [share * 100, mean(figures(unlabelled, key))] as const),
        },
        ...[...found].map(([name, of]) => ({
          name,
          points: [...of].map(([share, all]) => [share * 100, mean(figures(all, key))] as const),
        })),
      ],
    })),
  };
}
