/** Main experiment: seven methods on every data set, from the same VFT models and candidates. */

import type { Claim, Outcome, OutcomeTable } from "../report/study.ts";
import type { Row } from "../report/table.ts";
import {
  aboutStart,
  type BySeed,
  bySeed,
  claimAbove,
  compares,
  figures,
  joined,
  mainMethod,
  mainMethods,
  modelColumnsOf,
  modelRow,
  numbersOf,
  overSeeds,
  sizeOf,
} from "./figures.ts";
import type { StudyCells } from "./cells.ts";

/** VFT, RFT, RRHF, PRO, DPO, AFT-DC and AFT-BC. */
export async function main(cells: StudyCells): Promise<Outcome> {
  const { data: sets, seeds, start } = cells.settings;
  const methods = mainMethods.filter(({ name }) => compares(cells, name));
  const found = new Map<string, Map<string, BySeed>>();
  for (const data of sets) {
    const of = new Map<string, BySeed>();
    if (start === "vft") of.set("start", await bySeed(cells, data, (seed) => cells.vft(data, seed)));
    for (const { name } of methods) {
      of.set(
        name,
        await bySeed(cells, data, (seed) => cells.aligned(data, seed, { method: mainMethod(cells, name) })),
      );
    }
    found.set(data, of);
  }
  const accuracy = (name: string, data: string) => figures(found.get(data)!.get(name)!, "accuracy");
  const averages = (name: string) =>
    seeds.map((_, s) => {
      const known = sets.map((data) => accuracy(name, data)[s]).filter((x) => x !== undefined);
      return known.length === 0 ? undefined : known.reduce((a, b) => a + b, 0) / known.length;
    });
  const names = [...(start === "vft" ? ["start"] : []), ...methods.map(({ name }) => name)];
  const rows = names.map((method): Row => ({
    method,
    ...Object.fromEntries(sets.map((data) => [data, overSeeds(accuracy(method, data))])),
    average: overSeeds(averages(method)),
  }));
  const share = { unit: "% ↑", percent: true, digits: 1, best: "highest" } as const;
  const tables: OutcomeTable[] = [
    {
      name: "main",
      title: `Accuracy of greedy answers.${aboutStart(start)}`,
      columns: [
        { key: "method", title: "Method" },
        ...sets.map((data) => ({ key: data, title: data, ...share })),
        { key: "average", title: "Average", ...share },
      ],
      rows,
    },
    ...sets.map((data): OutcomeTable => ({
      name: `main_${data}`,
      title: `Everything measured on ${data}`,
      columns: modelColumnsOf(cells),
      rows: names.map((name) => modelRow(name, found.get(data)!.get(name)!)),
    })),
  ];
  const above = (
    a: string,
    b: string,
    { claim, theirs }: { readonly claim: string; readonly theirs: string },
  ): readonly Claim[] =>
    [a, b].some((name) => !compares(cells, name))
      ? []
      : [claimAbove(solved(a), solved(b), { claim, theirs })];
  const solved = (name: string) =>
    joined(sets.map((data) => numbersOf(found.get(data)!.get(name)!, "accuracy")));
  const assessed = (name: string) =>
    joined(sets.map((data) => numbersOf(found.get(data)!.get(name)!, "assessment_accuracy")));
  return {
    name: "main",
    title: "Methods side by side",
    about:
      "Every method sees the same questions with the same candidates, sampled from the VFT model of its seed, and makes " +
      "the same number of passes at the same learning rate. " +
      (start === "base"
        ? "All start from the base model, VFT as the others, with the joint loss that each method has (DPO: with a VFT " +
          "term of weight 1 beside it)."
        : "All start from that VFT model. VFT is VFT that goes on, so that a gain is not the gain of more training."),
    size: sizeOf(cells),
    claims: [
      ...above("AFT-DC", "VFT", {
        claim: "AFT-DC is above VFT (average of the data sets)",
        theirs: "+1.91 to +2.57",
      }),
      ...above("AFT-BC", "VFT", {
        claim: "AFT-BC is above VFT (average of the data sets)",
        theirs: "+1.91 to +2.57",
      }),
      ...above("AFT-DC", "RFT", { claim: "AFT-DC is slightly above RFT", theirs: "above" }),
      ...above("AFT-BC", "RFT", { claim: "AFT-BC is slightly above RFT", theirs: "above" }),
      ...(compares(cells, "AFT-BC") && compares(cells, "VFT")
        ? [claimAbove(assessed("AFT-BC"), assessed("VFT"), {
          claim: "AFT-BC assesses better than VFT",
          theirs: "VFT: 70% and 62%",
        })]
        : []),
    ],
    tables,
    plots: sets.map((data) => ({
      kind: "dots" as const,
      title: `Accuracy on ${data}`,
      x: "accuracy (further right is better)",
      percent: true,
      rule: overSeeds(accuracy("VFT", data))?.mean,
      rows: names.map((name) => {
        const known = overSeeds(accuracy(name, data));
        const { mean, deviation } = known ?? { mean: undefined, deviation: NaN };
        return {
          name,
          value: mean,
          ...(mean !== undefined && !Number.isNaN(deviation) &&
            { interval: [mean - deviation, mean + deviation] as const }),
        };
      }),
      note: "Dot: mean over seeds. Bar: one standard deviation to each side. Dashed: VFT.",
    })),
  };
}
