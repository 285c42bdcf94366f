/** Options of a task that evaluates while it trains. */

import { loadDataset } from "../../lib/data/load_dataset.ts";
import type { AnswerIndex } from "../../lib/data/normalize_record.ts";
import type { PromptOptions } from "../../lib/data/prompts.ts";
import { greedyAnswers } from "../../lib/pipeline/greedy_answers.ts";
import type { EvaluationMetric } from "../../lib/train/evaluation_figures.ts";
import { checkEvaluation, type EvaluationOptions } from "../../lib/train/evaluation_options.ts";
import { integer, number, preset, text } from "./option.ts";
import { problemsOf, readingOf } from "./records.ts";
import type { TaskIo } from "./run_task.ts";

/** Options of {@linkcode evaluationOf}. */
export const evaluationOptions = {
  evalData: text("--eval-data", {
    metavar: "NAME|FILE",
    help: "Evaluation set: records like those that are trained on; of a data set its test split",
  }),
  evalShare: number("--eval-share", {
    above: 0,
    max: 1,
    metavar: "SHARE",
    help: "Or the share of the training questions to hold out: 0.05",
  }),
  evalLimit: integer("--eval-limit", { help: "Take only the first N records of --eval-data" }),
  evalEvery: integer("--eval-every", { help: "Steps between two evaluations; default: an epoch" }),
  evalGenerate: integer("--eval-generate", { help: "Questions to ask in each evaluation, for accuracy" }),
  evalMaxTokens: preset(integer("--eval-max-tokens", { help: "Longest answer to them, in tokens" }), 256),
  keepBest: text("--keep-best", {
    metavar: "METRIC",
    help: "Write the model that was best by loss, margin, assessment_accuracy or accuracy, not the last",
  }),
  patience: integer("--patience", {
    help: "Stop after N evaluations in a row that are no better, by --keep-best or the loss",
  }),
} as const;

/** The values of those options, and of the others that they go with. */
export interface EvaluationValues {
  readonly evalData?: string | undefined;
  readonly evalShare?: number | undefined;
  readonly evalLimit?: number | undefined;
  readonly evalEvery?: number | undefined;
  readonly evalGenerate?: number | undefined;
  readonly evalMaxTokens: number;
  readonly keepBest?: string | undefined;
  readonly patience?: number | undefined;
  readonly dataDirectory?: string | undefined;
  readonly fields?: string | undefined;
  readonly answerIndex?: AnswerIndex | undefined;
  readonly calculator: "keep" | "drop";
  readonly seed: number;
  readonly out: string;
}

/**
 * What of a training is evaluated, from the options; undefined where nothing is asked for. Finds what is wrong with them
 * before a model is loaded.
 */
export async function evaluationOf(
  options: EvaluationValues,
  io: TaskIo,
): Promise<((prompt: PromptOptions) => EvaluationOptions) | undefined> {
  const { evalData, evalShare: share, evalEvery: every, evalGenerate, evalLimit, patience } = options;
  const { evalMaxTokens: maxTokens, dataDirectory: directory, seed, out } = options;
  const keepBest = options.keepBest as EvaluationMetric | undefined;
  const given = [evalData, share, every, evalGenerate, keepBest, patience];
  if (given.every((value) => value === undefined)) return undefined;
  const data = evalData === undefined ? undefined : problemsOf(
    { ...options, data: evalData, limit: evalLimit, input: "-" },
    io,
    "test",
  );
  const make = (prompt: PromptOptions): EvaluationOptions => ({
    ...{ data, share, every, keepBest, patience },
    ...(evalGenerate !== undefined && { answers: greedyAnswers(evalGenerate, { maxTokens, prompt }) }),
  });
  checkEvaluation(make({}), out);
  if (evalData !== undefined) {
    const one = loadDataset(evalData, { split: "test", directory, limit: 1, seed, ...readingOf(options) });
    for await (const _ of one);
  }
  return make;
}
