/** What a training measures on the side, and what it does with it. */

import type { Group, Problem } from "../data/records.ts";
import type { Model } from "../model/model.ts";
import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { checkNumbers } from "../runtime/check_numbers.ts";
import { UsageError } from "../runtime/errors.ts";
import { suggestion } from "../runtime/suggestion.ts";
import {
  type AnswerSample,
  comparableFigures,
  evaluationFigures,
  type EvaluationLine,
  type EvaluationMetric,
} from "./evaluation_figures.ts";

/** How answers are measured during a training; `greedyAnswers` makes one. */
export interface AnswerProbe {
  /** Questions to ask: the first of the evaluation set that have an answer. */
  readonly questions: number;
  /** Asks the model as it is. */
  readonly ask: (
    model: Model,
    problems: readonly Problem[],
    signal: AbortSignal | undefined,
  ) => Promise<{ readonly accuracy: number; readonly samples: readonly AnswerSample[] }>;
}

/**
 * An evaluation set, measured before the first step, every `every` steps and after the last: loss of the training's own
 * objective, margin and assessment accuracy where candidates are labelled, accuracy where answers are asked for.
 */
export interface EvaluationOptions {
  /** The evaluation set: records like those that are trained on. */
  readonly data?: AsyncIterable<Group | Problem> | Iterable<Group | Problem> | undefined;
  /** Or the share of the training's questions that is held out, above 0 and below 1. */
  readonly share?: number | undefined;
  /** Seed of that choice (default: the training's). */
  readonly seed?: number | undefined;
  /** Steps between two evaluations (default: an epoch). */
  readonly every?: number | undefined;
  /** Asks the model some of the questions. */
  readonly answers?: AnswerProbe | undefined;
  /**
   * The figure by which the best model is kept: it is what `out`, and the model in memory, are at the end (default: the
   * last model). Of equal ones the earliest, but the untrained model only where none is as good.
   */
  readonly keepBest?: EvaluationMetric | undefined;
  /** Ends the training when so many evaluations in a row were no better than the best (default: never). */
  readonly patience?: number | undefined;
  /** Told of every evaluation, in order. */
  readonly heard?: ((line: EvaluationLine) => void | Promise<void>) | undefined;
}

const names: NamesOf<EvaluationOptions> = {
  data: true,
  share: true,
  seed: true,
  every: true,
  answers: true,
  keepBest: true,
  patience: true,
  heard: true,
};

const limits = {
  share: "share",
  seed: "number",
  every: "count",
  patience: "count",
} as const;

/** The figure that patience and the best model go by. */
export function metricOf({ keepBest = "loss" }: EvaluationOptions): EvaluationMetric {
  return keepBest;
}

/** Refuses what has no meaning; throws UsageError. */
export function checkEvaluation(options: EvaluationOptions, out: string | undefined): void {
  checkNames(options, names, { of: "train", within: "evaluation" });
  checkNumbers(options, limits, "Evaluation option");
  const { data, share, keepBest, patience, every, answers } = options;
  if (share !== undefined && (share === 0 || share === 1)) {
    throw new UsageError(
      `Cannot hold out option \`evaluation.share: ${share}\` of the questions: it must be above 0 and below 1`,
    );
  }
  if (data !== undefined && share !== undefined) {
    throw new UsageError(
      "Only one of option `evaluation.data` and option `evaluation.share` can be given: both make an evaluation set",
    );
  }
  if (keepBest !== undefined) {
    const figure = Object.hasOwn(evaluationFigures, keepBest) ? evaluationFigures[keepBest] : undefined;
    if (figure?.better === undefined) {
      throw new UsageError(
        `Cannot keep the best model: option \`evaluation.keepBest\` must be one of ${comparableFigures()}: got ${
          JSON.stringify(keepBest)
        }${figure ? ", which has no better side" : suggestion(keepBest, Object.keys(evaluationFigures))}`,
      );
    }
    if (out === undefined) {
      throw new UsageError("Cannot keep the best model: option `evaluation.keepBest` needs option `out`");
    }
    if (keepBest === "accuracy" && !answers) {
      throw new UsageError(
        "Cannot keep the best model by accuracy: it needs option `evaluation.answers`, the questions to ask",
      );
    }
  }
  if (data !== undefined || share !== undefined) return;
  const needing = Object.entries({ keepBest, patience, every, answers }).filter(([, value]) =>
    value !== undefined
  )
    .map(([name]) => `option \`evaluation.${name}\``);
  const [first] = needing;
  if (first === undefined) return;
  throw new UsageError(
    `Cannot use ${first} without an evaluation set: option \`evaluation.data\` or option \`evaluation.share\` gives one`,
  );
}
