/** Figures of the study's cells: over seeds, as table rows and as claims. */

import { pairedDifference } from "./paired_difference.ts";
import { repetition } from "./repetition.ts";
import { type FigureKey, summaryFigures } from "../evaluate/figures.ts";
import type { Summary } from "../evaluate/summary.ts";
import { fixed } from "../report/fixed.ts";
import { pageColumn } from "../report/figure_column.ts";
import type { HtmlColumn } from "../report/html_table.ts";
import type { Claim, Estimate } from "../report/study.ts";
import { type Row, type Spread, spread } from "../report/table.ts";
import type { Measured } from "../pipeline/stages.ts";
import type { Cell, StudyCells } from "./cells.ts";
import type { Method } from "./method.ts";
import type { Start } from "./settings.ts";

/** A method by the name that tables give it. */
export interface NamedMethod extends Method {
  readonly name: string;
}

/** The methods of the main experiment. VFT goes on with VFT, so that all have the same number of passes. */
export const mainMethods: readonly NamedMethod[] = [
  { name: "VFT", objective: "vft" },
  { name: "RFT", objective: "rft" },
  { name: "RRHF", objective: "rrhf", constraint: "none" },
  { name: "PRO", objective: "pro", constraint: "none" },
  { name: "DPO", objective: "dpo", constraint: "none" },
  { name: "AFT-DC", objective: "aft", constraint: "dc" },
  { name: "AFT-BC", objective: "aft", constraint: "bc" },
];

/** A method of the main experiment, with the study's β where it has one. */
export function mainMethod(cells: StudyCells, name: string): NamedMethod {
  const method = mainMethods.find((m) => m.name === name)!;
  return method.constraint === "bc" ? { ...method, beta: cells.settings.beta } : method;
}

/** Whether a method is among those that the study compares. */
export function compares(cells: StudyCells, name: string): boolean {
  return cells.settings.methods.includes(name.match(/^\w+/)![0]);
}

/** One measurement a seed. */
export type BySeed = readonly Measured[];

/** Makes and measures something for every seed. */
export async function bySeed(
  cells: StudyCells,
  data: string,
  cell: (seed: number) => Promise<Cell>,
): Promise<BySeed> {
  const all: Measured[] = [];
  for (const seed of cells.settings.seeds) all.push(await cells.measured(await cell(seed), data, seed));
  return all;
}

/** Mean share of repeated 4-grams in the greedy answers. */
export function repetitionOf({ results }: Pick<Measured, "results">): number | undefined {
  const texts = results.flatMap(({ greedy }) => greedy ? [greedy.text] : []);
  return texts.length === 0
    ? undefined
    : texts.reduce((sum, text) => sum + repetition(text), 0) / texts.length;
}

/** A number over seeds: mean, deviation, and the numbers themselves for results.json. Undefined without any. */
export function overSeeds(
  numbers: readonly (number | undefined)[],
): Spread & { readonly values: readonly number[] } | undefined {
  const values = numbers.filter((x) => x !== undefined);
  return values.length === 0 ? undefined : { ...spread(values), values };
}

/** Figures of a summary that the study's tables of models show. */
const shown = [
  "accuracy",
  "assessment_accuracy",
  "perplexity",
  "positives",
  "negatives",
  "margin",
  "no_end_token",
] as const satisfies readonly FigureKey[];

/** The same, with pass@1 where it was sampled. */
export function modelColumnsOf(cells: StudyCells): readonly HtmlColumn[] {
  const [method, accuracy, ...rest] = modelColumns;
  return cells.settings.testSamples === 0
    ? modelColumns
    : [method!, accuracy!, pageColumn(summaryFigures.sampled_accuracy), ...rest];
}

/** Columns of a table of models. */
export const modelColumns: readonly HtmlColumn[] = [
  { key: "method", title: "Method" },
  ...shown.map((key) => pageColumn(summaryFigures[key])),
  { key: "repetition", title: "Repeated", unit: "% of 4-grams ↓", percent: true, digits: 2 },
];

/** Some of {@linkcode modelColumns}, in the order of the keys. */
export function pickColumns(...keys: readonly string[]): HtmlColumn[] {
  return keys.map((wanted) => modelColumns.find(({ key }) => key === wanted)!);
}

/** A row of {@linkcode modelColumns}. */
export function modelRow(method: string, all: BySeed): Row {
  return {
    method,
    sampled_accuracy: overSeeds(figures(all, "sampled_accuracy")),
    ...Object.fromEntries(shown.map((key) => [key, overSeeds(figures(all, key))])),
    repetition: overSeeds(all.map(repetitionOf)),
  };
}

/** One figure of every seed. */
export function figures(all: BySeed, key: keyof Summary): (number | undefined)[] {
  return all.map(({ summary }) => summary[key]);
}

/** Mean of the known numbers. */
export function mean(numbers: readonly (number | undefined)[]): number | undefined {
  return overSeeds(numbers)?.mean;
}

/** What a claim says of itself, and in what its difference is written: points of shares (default) or nats. */
export type ClaimWords = Pick<Claim, "claim" | "theirs"> & { readonly unit?: "points" | "nats per token" };

/** A difference that matters: about the least of the paper's gains (1.91 points), and a twentieth of a nat per token. */
const matters = { points: 0.02, "nats per token": 0.05 } as const;

/** A number of every problem, seed by seed: what claims compare. */
export type Numbers = readonly (readonly (number | undefined)[])[];

/** One number of every problem, in the order in which they were measured. */
export function numbersOf(all: BySeed, key: "accuracy" | "assessment_accuracy" | "positives"): Numbers {
  return all.map(({ results }) =>
    results.map((result) => {
      if (key === "accuracy") return result.greedy && Number(result.greedy.correct);
      // Of questions with one side alone the summary has no scores either.
      return result.assessment_accuracy === undefined ? undefined : result[key];
    })
  );
}

/** The numbers of several data sets as one list, each set with the same weight. */
export function joined(sets: readonly Numbers[]): Numbers {
  const [first] = sets;
  return first!.map((_, s) => {
    const known = sets.map((set) => set[s]!.filter((x) => x !== undefined).length);
    const total = known.reduce((a, b) => a + b, 0);
    return sets.flatMap((set, i) =>
      set[s]!.map((x) => x === undefined ? undefined : x * total / (sets.length * known[i]!))
    );
  });
}

/** The claim that `a` is above `b`, problem by problem and seed by seed; without numbers on both sides it is unclear. */
export function claimAbove(a: Numbers, b: Numbers, words: ClaimWords): Claim {
  const { unit = "points" } = words;
  const differences = a.map((row, s) =>
    row.map((x, p) => x === undefined || b[s]?.[p] === undefined ? undefined : x - b[s]![p]!)
  );
  if (!differences.some((row) => row.some((d) => d !== undefined))) {
    return { ...words, ours: "not measured", held: "unclear" };
  }
  const estimate = pairedDifference(differences);
  return { ...words, ours: estimateText(estimate, unit), estimate, matters: matters[unit], held: "unclear" };
}

/** "+1.42 (−0.30 to +3.14) points". */
function estimateText({ difference, low, high }: Estimate, unit: "points" | "nats per token"): string {
  const text = (value: number) => {
    const written = fixed(Math.abs(unit === "points" ? value * 100 : value), 2);
    return `${value < 0 && Number(written) > 0 ? "−" : "+"}${written}`;
  };
  return `${text(difference)}${Number.isNaN(low) ? "" : ` (${text(low)} to ${text(high)})`} ${unit}`;
}

/** What the row "start" of a table is, where it has one. */
export function aboutStart(start: Start): string {
  return start === "vft" ? " start: the VFT model that every method goes on from." : "";
}

/** What a section says of its sizes. */
export function sizeOf(cells: StudyCells): string {
  const { limit, testLimit, samples, seeds, epochs, alignEpochs, start } = cells.settings;
  const passes = (count: number) => `${count} ${count === 1 ? "pass" : "passes"}`;
  const trained = start === "base"
    ? `${passes(epochs)} of VFT, and as many of every method from the base on`
    : `${passes(epochs)} of VFT and ${alignEpochs} of the method after it`;
  return `${limit} training and ${testLimit} test problems of each data set` +
    `${cells.judgedLimit < testLimit ? `, the first ${cells.judgedLimit} with candidates` : ""}, ` +
    `${samples} candidates a question, ${trained}; ${
      seeds.length === 1 ? "one seed" : `${seeds.length} seeds: mean ± standard deviation`
    }.`;
}
