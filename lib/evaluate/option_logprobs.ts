import { isRight } from "../data/answers.ts";
import type { Group, Problem } from "../data/records.ts";
import type { Model } from "../model/model.ts";
import { score, type ScoreOptions } from "./score.ts";

/** What a model says of a problem's options when it must name one at once, without a chain of thought. */
export interface OptionResult {
  /** The likeliest option's letter; the earliest of equals. */
  readonly answer: string;
  /** Whether it is the right one. */
  readonly correct: boolean;
  /** log P(letter | prompt) of each option in order, in nats, over the letter's tokens without an end token. */
  readonly logprobs: readonly number[];
}

/**
 * Answers problems with options by the log-probs of their letters behind the prompt (MMLU's usual measure):
 *
 *   answer = argmax_i log P(letter_i | prompt),   letters A, B, C, …
 *
 * The prompt is computed once for all letters. One result a problem, in order; undefined for a problem without
 * options or without a right answer, and for one whose prompt leaves no room in the model's context.
 * Source: Hendrycks et al., arXiv 2009.03300.
 */
export async function* optionLogprobs(
  model: Model,
  problems: AsyncIterable<Problem> | Iterable<Problem>,
  options: Pick<ScoreOptions, "microBatchTokens" | "prompt" | "listener" | "signal"> = {},
): AsyncGenerator<OptionResult | undefined> {
  for await (const { candidates, answer } of score(model, letterGroups(problems), options)) {
    const logprobs = candidates.map((c) => c.logprob);
    if (candidates.length === 0 || logprobs.includes(undefined)) {
      yield undefined;
      continue;
    }
    const known = logprobs as number[], best = candidates[known.indexOf(Math.max(...known))].text;
    yield { answer: best, correct: isRight({ answer }, best), logprobs: known };
  }
}

/** Each problem with its letters as responses that broke off: no end token is asked for behind them. */
async function* letterGroups(problems: AsyncIterable<Problem> | Iterable<Problem>): AsyncGenerator<Group> {
  for await (const { reference: _, ...problem } of problems) {
    const choices = problem.answer === undefined ? [] : problem.choices ?? [];
    yield {
      ...problem as Problem,
      candidates: choices.map((_, i) => ({ text: String.fromCharCode(65 + i), finish: "length" })),
    };
  }
}
