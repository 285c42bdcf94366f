/** Ranked feedback: AFT's ranking loss against ranking baselines, with and without a constraint. */

import type { Claim, Outcome } from "../report/study.ts";
import {
  aboutStart,
  type BySeed,
  bySeed,
  claimAbove,
  type ClaimWords,
  compares,
  modelColumnsOf,
  modelRow,
  type NamedMethod,
  numbersOf,
  sizeOf,
} from "./figures.ts";
import type { StudyCells } from "./cells.ts";

/** AFT-RDC, AFT-RBC, RRHF and PRO on candidates that carry ranks. */
export async function ranked(cells: StudyCells): Promise<Outcome> {
  const { rankedData: data, beta, start } = cells.settings;
  const methods: NamedMethod[] = [
    { name: "VFT", objective: "vft" },
    { name: "RFT", objective: "rft" },
    { name: "RRHF", objective: "rrhf", constraint: "none" },
    { name: "RRHF + DC", objective: "rrhf", constraint: "dc" },
    { name: "PRO", objective: "pro", constraint: "none" },
    { name: "PRO + DC", objective: "pro", constraint: "dc" },
    { name: "PRO + BC", objective: "pro", constraint: "bc" },
    { name: "AFT-R", objective: "aft-rank", constraint: "none" },
    { name: "AFT-RDC", objective: "aft-rank", constraint: "dc" },
    { name: "AFT-RBC", objective: "aft-rank", constraint: "bc", beta },
  ];
  const found = new Map<string, BySeed>();
  if (start === "vft") found.set("start", await bySeed(cells, data, (seed) => cells.vft(data, seed)));
  for (const { name, ...method } of methods.filter(({ name }) => compares(cells, name))) {
    found.set(name, await bySeed(cells, data, (seed) => cells.aligned(data, seed, { method })));
  }
  const above = (a: string, b: string, words: ClaimWords): readonly Claim[] =>
    [a, b].every((name) => found.has(name))
      ? [claimAbove(numbersOf(found.get(a)!, "accuracy"), numbersOf(found.get(b)!, "accuracy"), words)]
      : [];
  return {
    name: "ranked",
    title: "Ranked feedback",
    about:
      "Candidates come with the data set and carry ranks: they are not the model's own. + DC and + BC put a " +
      "constraint on a baseline (RRHF with BC is RRHF: its pairs act above every boundary only).",
    size: sizeOf(cells),
    claims: [
      // The account that the numbers are from names no constraint: both are set beside them.
      ...["AFT-RDC", "AFT-RBC"].flatMap((name) => [
        ...above(name, "VFT", {
          claim: `With ranked feedback ${name} is above VFT`,
          theirs: "20.82 → 26.08 (GSM8K-RANK)",
        }),
        ...above(name, "RFT", {
          claim: `With ranked feedback ${name} is above RFT`,
          theirs: "+0.88",
        }),
      ]),
      ...above("VFT", "RRHF", {
        claim: "With ranked feedback VFT is above RRHF without a constraint",
        theirs: "20.82 against 7.51",
      }),
      ...above("RRHF + DC", "RRHF", {
        claim: "A constraint brings RRHF back up",
        theirs: "above",
      }),
      ...above("PRO + DC", "PRO", {
        claim: "A constraint brings PRO back up",
        theirs: "above",
      }),
    ],
    tables: [{
      name: "ranked",
      title: `Everything measured on ${data}.${aboutStart(start)}`,
      columns: modelColumnsOf(cells),
      rows: [...found].map(([name, all]) => modelRow(name, all)),
    }],
    plots: [],
  };
}
