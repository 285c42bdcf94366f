/**
 * Pairs under a reference model: losses of the two sides' log-ratios h = log π(c) − log π_ref(c).
 */
import { readMerits, readReferenceLogprobs, readScores } from "./_group.ts";
import { constrainWorse, meanOverPairs, type PairLoss } from "./_pairs.ts";
import type { Constraint, Objective, ObjectiveResult, ScoredGroup } from "./objective.ts";

/** What pairs are made of, and how. */
export interface RatioPairsOptions {
  /** The objective, for its name and the feedback that it accepts. */
  readonly objective: Pick<Objective, "name" | "feedback">;
  readonly constraint: Constraint;
  /** Width of the boundary with `bc`, in nats per token. */
  readonly boundary: number;
  /** Whether h is a mean over the response's tokens (default false: their sum). */
  readonly perToken?: boolean;
}

/**
 * The mean over all pairs w ≻ l of a loss of (h_w, h_l); 0 where there is no pair.
 *
 *   h = |c| s − log π_ref(c) in nats, or with `perToken` that over |c|, in nats per token
 *
 * A constraint acts on s_l.
 *
 * @param loss with its derivatives with respect to h_w and h_l
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export function meanOverRatioPairs(
  group: ScoredGroup,
  { objective, constraint, boundary, perToken = false }: RatioPairsOptions,
  loss: (better: number, worse: number) => PairLoss,
): ObjectiveResult {
  const scores = readScores(group);
  const merits = readMerits(group, { objective: objective.name, accepted: objective.feedback });
  const reference = readReferenceLogprobs(group, objective.name);
  const worse = constrainWorse(scores, merits, { constraint, boundary });
  const length = (i: number) => group.lengths[i]!;
  const ratio = (score: number, i: number) =>
    perToken ? score - reference[i]! / length(i) : score * length(i) - reference[i]!;
  const weight = (i: number) => perToken ? 1 : length(i);
  return meanOverPairs(merits, worse, (w, l) => {
    const pair = loss(ratio(scores[w]!, w), ratio(worse.scores[l]!, l));
    return { value: pair.value, better: pair.better * weight(w), worse: pair.worse * weight(l) };
  });
}
