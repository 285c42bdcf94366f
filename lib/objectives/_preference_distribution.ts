/**
 * What NCA and InfoNCA share: a group's log-ratios, and the distribution over its candidates that the rewards give.
 */
import { readMerits, readReferenceLogprobs, readScores } from "./_group.ts";
import { constrainBelowBest } from "./_pairs.ts";
import type { Constraint, NumberOption, Objective, ScoredGroup } from "./objective.ts";

/** Temperature of the rewards. */
export const alpha: NumberOption = {
  default: 1,
  above: 0,
  unit: "reward",
  help: "Temperature of the rewards: towards 0 only the best candidates are preferred",
};

/** A group as a distribution over its candidates. */
export interface PreferenceDistribution {
  /** q = softmax(r/α): how much each candidate is preferred. */
  readonly preferred: Float64Array;
  /** h of each candidate in nats, a constraint applied. */
  readonly ratios: Float64Array;
  /** ∂h/∂s of each: its length, or 0 where a constraint holds it. */
  readonly slopes: Float64Array;
}

/**
 * q and h of a group: rewards as they are, −rank or 1/0 for right/wrong in their place.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export function preferenceDistribution(
  group: ScoredGroup,
  options: {
    readonly objective: Pick<Objective, "name" | "feedback">;
    readonly constraint: Constraint;
    readonly boundary: number;
    readonly alpha: number;
  },
): PreferenceDistribution {
  const { objective, alpha } = options, scores = readScores(group);
  const merits = readMerits(group, { objective: objective.name, accepted: objective.feedback });
  const reference = readReferenceLogprobs(group, objective.name);
  const { scores: held, slopes } = constrainBelowBest(scores, merits, options);
  return {
    preferred: softmax(merits.map((merit) => merit / alpha)),
    ratios: held.map((score, i) => score * group.lengths[i]! - reference[i]!),
    slopes: slopes.map((slope, i) => slope * group.lengths[i]!),
  };
}

/** e^{x_i} / Σ e^{x_j}, relative to the largest. */
export function softmax(x: Float64Array): Float64Array {
  const largest = x.reduce((most, value) => Math.max(most, value), -Infinity);
  const powers = x.map((value) => value === largest ? 1 : Math.exp(value - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}
