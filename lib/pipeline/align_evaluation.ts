/** What `align` measures while models train. */

import type { PromptOptions } from "../data/prompts.ts";
import type { Problem } from "../data/records.ts";
import { checkNumbers } from "../runtime/check_numbers.ts";
import { UsageError } from "../runtime/errors.ts";
import { checkEvaluation, type EvaluationOptions } from "../train/evaluation_options.ts";
import { greedyAnswers } from "./greedy_answers.ts";
import type { ProblemSource } from "./problem_source.ts";

/**
 * What is measured of each model while it trains, and what is done with it: as of `train`, with problems to evaluate on
 * (VFT's candidates for them serve the alignment) and a number of questions to ask.
 */
export interface AlignEvaluation extends Omit<EvaluationOptions, "data" | "answers" | "heard" | "seed"> {
  /** Problems to evaluate on (or `share`). */
  readonly data?: ProblemSource | undefined;
  /** Most problems of `data` (default: all). */
  readonly limit?: number | undefined;
  /** Questions to ask in each evaluation (default: none). */
  readonly generate?: number | undefined;
}

/** What `train` would refuse, before there is a folder. */
export function checkAlignEvaluation(
  { limit, generate, ...evaluation }: AlignEvaluation,
  { out, label }: { readonly out: string; readonly label: "answer" | "majority" },
): void {
  checkNumbers({ limit, generate }, { limit: "count", generate: "count" }, "Evaluation option");
  const { data, ...rest } = evaluation;
  const stand = {
    ...(data !== undefined && { data: [] }),
    ...(generate !== undefined && { answers: greedyAnswers(generate) }),
  };
  checkEvaluation({ ...rest, ...stand }, out);
  if (label === "majority" && generate !== undefined && data === undefined) {
    throw new UsageError(
      "Cannot use option `evaluation.generate` with option `evaluation.share` and option `label: majority`: what is held " +
        "out has no answers then; option `evaluation.data` has them",
    );
  }
}

/** What a training of the run has beside its options. */
export interface EvaluatedTraining {
  /** Whether it compares candidates. */
  readonly compares: boolean;
  /** Its evaluation set, where that is not a share of its own records. */
  readonly data: AsyncIterable<Problem> | undefined;
  readonly seed: number;
  readonly maxTokens: number;
  readonly stop?: readonly string[] | undefined;
  readonly prompt: PromptOptions;
}

/** The evaluation of one training. One that compares no candidates has no margin: the loss stands for it. */
export function evaluationOfTraining(
  { generate, limit: _, keepBest, ...rest }: AlignEvaluation,
  { compares, data, seed, maxTokens, stop, prompt }: EvaluatedTraining,
): EvaluationOptions {
  const known = keepBest === undefined || compares || keepBest === "accuracy" ||
    keepBest === "objective_loss";
  return {
    ...rest,
    data,
    seed,
    keepBest: known ? keepBest : "loss",
    answers: generate === undefined ? undefined : greedyAnswers(generate, { maxTokens, stop, prompt }),
  };
}
