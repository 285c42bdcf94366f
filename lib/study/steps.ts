/** Answers that are right by steps that do not follow: what labels by answers do to them, and labels by steps. */

import { basename, join } from "node:path";
import type { Group } from "../data/records.ts";
import { readRecords } from "../pipeline/stages.ts";
import type { Measured, Source } from "../pipeline/stages.ts";
import type { Outcome } from "../report/study.ts";
import type { Row } from "../report/table.ts";
import type { Cell, StudyCells } from "./cells.ts";
import { type BySeed, claimAbove, figures, mainMethod, numbersOf, overSeeds, sizeOf } from "./figures.ts";
import { digest, type Method } from "./method.ts";
import { bySoundness, isSound } from "./soundness.ts";

/** Which candidates stand against which when a model's scores are compared. */
const pairings = {
  /** Both reach the answer. */
  sound: { right: "sound", wrong: "lucky" },
  /** Neither follows; one reaches the answer. */
  lucky: { right: "lucky", wrong: "wrong" },
} as const;

/** One model's measurements. */
interface Found {
  readonly whole: BySeed;
  readonly sound: BySeed;
  readonly lucky: BySeed;
  /** Of the right greedy answers, the share by sound steps, by seed. */
  readonly follows: readonly (number | undefined)[];
}

/** VFT, RFT and AFT with labels by answers, by answers and sound steps, and with ranks by steps. */
export async function steps(cells: StudyCells): Promise<Outcome> {
  const { data: [data] } = cells.settings;
  const bare = (name: string): Method => {
    const { name: _, ...method } = mainMethod(cells, name);
    return method;
  };
  const soundLabels = { change: { labels: "sound steps" } } as const;
  const methods: readonly (readonly [string, Method])[] = [
    ["VFT", bare("VFT")],
    ["RFT, answers", bare("RFT")],
    ["RFT, sound steps", { ...bare("RFT"), ...soundLabels }],
    ["AFT-DC, answers", bare("AFT-DC")],
    ["AFT-DC, sound steps", { ...bare("AFT-DC"), ...soundLabels }],
    ["AFT-RDC, step ranks", {
      objective: "aft-rank",
      constraint: "dc",
      change: { labels: "step ranks" },
    }],
  ];
  const found = new Map<string, Found>();
  for (const [name, method] of methods) found.set(name, await measuredAll(cells, data!, method));
  const scores = (name: string, key: "positives" | "assessment_accuracy") =>
    numbersOf(found.get(name)!.lucky, key);
  return {
    name: "steps",
    title: "Right answers by wrong steps",
    about:
      "A chain is sound when its answer is right and follows: every equation holds, its numbers stand in the question or " +
      "were computed before, and the last value is the answer. A right answer by steps that do not follow is lucky. " +
      `Test candidates of ${data} are compared question by question: sound with lucky ones, and lucky with wrong ones.`,
    size: sizeOf(cells),
    claims: [
      claimAbove(scores("AFT-DC, answers", "positives"), scores("VFT", "positives"), {
        claim: "Labels by answers raise the scores of lucky chains (AFT-DC against VFT)",
        theirs: "not asked",
        unit: "nats per token",
      }),
      claimAbove(
        numbersOf(found.get("AFT-DC, sound steps")!.whole, "accuracy"),
        numbersOf(found.get("AFT-DC, answers")!.whole, "accuracy"),
        {
          claim: "AFT-DC with labels by sound steps is above labels by answers",
          theirs: "not asked",
        },
      ),
    ],
    tables: [{
      name: "steps",
      title: "Labels by answers and by steps",
      columns: [
        { key: "method", title: "Method, labels" },
        { key: "accuracy", title: "Accuracy", ...share },
        { key: "follows", title: "Right answers that follow", ...share },
        { key: "sound", title: "Sound above lucky", ...share, unit: "% of pairs ↑" },
        { key: "lucky", title: "Lucky above wrong", ...share, unit: "% of pairs ↓", best: "lowest" },
        { key: "score", title: "Score of lucky chains", unit: "nats per token", digits: 3 },
      ],
      rows: [...found].map(([method, { whole, sound, lucky, follows }]): Row => ({
        method,
        accuracy: overSeeds(figures(whole, "accuracy")),
        follows: overSeeds(follows),
        sound: overSeeds(figures(sound, "assessment_accuracy")),
        lucky: overSeeds(figures(lucky, "assessment_accuracy")),
        score: overSeeds(figures(lucky, "positives")),
      })),
    }],
    plots: [],
  };
}

const share = { unit: "% ↑", percent: true, digits: 1, best: "highest" } as const;

async function measuredAll(cells: StudyCells, data: string, method: Method): Promise<Found> {
  const whole: Measured[] = [],
    sound: Measured[] = [],
    lucky: Measured[] = [],
    follows: (number | undefined)[] = [];
  for (const seed of cells.settings.seeds) {
    const cell = await cells.aligned(data, seed, { method });
    const measured = await cells.measured(cell, data, seed);
    whole.push(measured);
    follows.push(await shareThatFollows(cells, data, measured));
    sound.push(await paired(cells, cell, { data, seed, pairing: "sound" }));
    lucky.push(await paired(cells, cell, { data, seed, pairing: "lucky" }));
  }
  return { whole, sound, lucky, follows };
}

/** A model's scores of two kinds of candidates, one taken as right and the other as wrong. */
async function paired(
  cells: StudyCells,
  cell: Cell,
  { data, seed, pairing }: {
    readonly data: string;
    readonly seed: number;
    readonly pairing: keyof typeof pairings;
  },
): Promise<Measured> {
  const path = await cells.candidates(data, seed, { split: "test" });
  const { right, wrong } = pairings[pairing];
  const records: Source<Group> = async function* () {
    for await (const group of readRecords(path)) {
      const kinds = bySoundness(group, group.candidates);
      if (kinds[right].length === 0 || kinds[wrong].length === 0) continue;
      const candidates = [
        ...kinds[right].map((candidate) => ({ ...candidate, correct: true })),
        ...kinds[wrong].map((candidate) => ({ ...candidate, correct: false })),
      ];
      yield { ...group, candidates };
    }
  };
  return await cells.stages.measure(
    join(cell.directory, `evaluation-${pairing}-${data}-${digest(basename(path))}.json`),
    {
      from: cell.directory,
      records,
      label: `${pairing} chains`,
      seed,
    },
  );
}

/** Of a model's right greedy answers to test problems, the share by sound steps. */
async function shareThatFollows(
  cells: StudyCells,
  data: string,
  { results }: Measured,
): Promise<number | undefined> {
  const answers = new Map(results.map(({ id, greedy }) => [id, greedy]));
  let right = 0, sound = 0;
  for await (const problem of cells.problems(data, "test")()) {
    const greedy = answers.get(problem.id);
    if (!greedy?.correct) continue;
    right++;
    if (isSound(problem, greedy.text)) sound++;
  }
  return right === 0 ? undefined : sound / right;
}
