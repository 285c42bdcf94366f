import type { Evaluated } from "./evaluate.ts";

/** What was measured of a set of questions. A mean over nothing is absent. */
export interface Summary {
  /** Questions. */
  readonly questions: number;
  /** Share of right greedy answers, however they are stated. */
  readonly accuracy?: number | undefined;
  /** Share of right greedy answers by lm-evaluation-harness' `strict-match` for GSM8K, of questions that ask for a number. */
  readonly strict_accuracy?: number | undefined;
  /** The same by its `flexible-extract`. */
  readonly flexible_accuracy?: number | undefined;
  /** Share of right majority answers. */
  readonly majority_accuracy?: number | undefined;
  /** Mean share of right samples: pass@1. */
  readonly sampled_accuracy?: number | undefined;
  /** Share of right answers by the log-probs of the options' letters. */
  readonly option_accuracy?: number | undefined;
  /** exp(−Σ log-prob / Σ tokens) over the references. */
  readonly perplexity?: number | undefined;
  /** Mean over the questions that have both sides. */
  readonly assessment_accuracy?: number | undefined;
  /** How many have both sides. */
  readonly mixed_questions: number;
  /** Mean scores of positives and negatives over those questions, in nats per token. */
  readonly positives?: number | undefined;
  /** Mean score of negatives over those questions. */
  readonly negatives?: number | undefined;
  /** positives − negatives. */
  readonly margin?: number | undefined;
  /** Share of greedy responses that broke off. */
  readonly no_end_token?: number | undefined;
}

/**
 * Means of what was measured.
 *
 * ```ts
 * import { evaluate, loadDataset, loadModel, summarize } from "./mod.ts";
 *
 * using model = await loadModel("fixtures/base");
 * const problems = loadDataset("arithmetic:test", { limit: 4 });
 * const results = await Array.fromAsync(evaluate(model, problems, { maxTokens: 32 }));
 * const { questions, accuracy } = summarize(results);
 * console.log(accuracy, "of", questions, "questions");
 * ```
 */
export function summarize(results: readonly Evaluated[]): Summary {
  const mean = (values: (number | undefined)[]): number | undefined => {
    const known = values.filter((v) => v !== undefined);
    return known.length === 0 ? undefined : known.reduce((a, b) => a + b, 0) / known.length;
  };
  const asNumber = (right: boolean | undefined) => right === undefined ? undefined : Number(right);
  const mixed = results.filter((r) => r.assessment_accuracy !== undefined);
  const tokens = results.reduce((sum, r) => sum + (r.reference_tokens ?? 0), 0);
  const logprob = results.reduce((sum, r) => sum + (r.reference_logprob ?? 0), 0);
  const positives = mean(mixed.map((r) => r.positives)), negatives = mean(mixed.map((r) => r.negatives));
  return {
    questions: results.length,
    accuracy: mean(results.map((r) => r.greedy && Number(r.greedy.correct))),
    strict_accuracy: mean(results.map((r) => asNumber(r.greedy?.strict))),
    flexible_accuracy: mean(results.map((r) => asNumber(r.greedy?.flexible))),
    majority_accuracy: mean(results.map((r) => r.majority && Number(r.majority.correct))),
    sampled_accuracy: mean(results.map((r) => r.sampled_accuracy)),
    option_accuracy: mean(results.map((r) => r.option && Number(r.option.correct))),
    perplexity: tokens > 0 ? Math.exp(-logprob / tokens) : undefined,
    assessment_accuracy: mean(mixed.map((r) => r.assessment_accuracy)),
    mixed_questions: mixed.length,
    positives,
    negatives,
    margin: positives === undefined || negatives === undefined ? undefined : positives - negatives,
    no_end_token: mean(results.map((r) => r.greedy && Number(r.greedy.finish === "length"))),
  };
}
