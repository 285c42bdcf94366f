/**
 * What the policy gradients share: one step on samples of the model itself, whose importance ratio is 1 and only its
 * derivative counts.
 */
import { readMerits, readScores } from "./_group.ts";
import { constrainWorse } from "./_pairs.ts";
import type { Constraint, Objective, ObjectiveResult, ScoredGroup } from "./objective.ts";

/** What a policy gradient is made of. */
export interface PolicyGradientOptions {
  /** The objective, for its name and the feedback that it accepts. */
  readonly objective: Pick<Objective, "name" | "feedback">;
  readonly constraint: Constraint;
  /** Width of the boundary with `bc`, in nats per token. */
  readonly boundary: number;
  /** The advantage A of each candidate, from its rewards. */
  readonly advantages: (rewards: Float64Array) => Float64Array;
  /**
   * What a response counts as: one action, whose log-prob is the sum over its tokens ("response", the default); the mean
   * of its tokens ("mean"); or their sum divided by a constant.
   */
  readonly per?: "response" | "mean" | number;
}

/**
 * L = −(1/n) Σ_i A_i ρ_i, with ρ the ratio of the model to the one that sampled: 1, with the derivative of the log-prob.
 *
 *   response   ρ = π(c)/D(π(c)),            ∂ρ/∂s = |c|
 *   mean       ρ = (1/|c|) Σ_t π_t/D(π_t),  ∂ρ/∂s = 1
 *   constant C ρ = (1/C) Σ_t π_t/D(π_t),    ∂ρ/∂s = |c|/C
 *
 * So the value says little; the derivative is the policy gradient. A constraint acts on candidates with A < 0, which the loss
 * lowers: `dc` gives them no gradient, `bc` none where they are at or under the boundary, or have none since nothing is
 * better.
 */
export function policyGradient(group: ScoredGroup, options: PolicyGradientOptions): ObjectiveResult {
  const { objective, constraint, boundary, per = "response" } = options;
  const scores = readScores(group), count = scores.length;
  const rewards = readMerits(group, { objective: objective.name, accepted: objective.feedback });
  const gradient = new Float64Array(count);
  if (count === 0) return { value: 0, gradient };
  const advantages = options.advantages(rewards);
  const { slopes } = constrainWorse(scores, rewards, { constraint, boundary });
  const best = rewards.reduce((most, reward) => Math.max(most, reward));
  const unbounded = (i: number) => constraint === "bc" && boundary < Infinity && rewards[i] === best;
  let value = 0;
  for (let i = 0; i < count; i++) {
    const advantage = advantages[i]!, length = group.lengths[i]!;
    if (advantage === 0) continue;
    const slope = per === "response" ? length : per === "mean" ? 1 : length / per;
    value -= advantage * (typeof per === "number" ? slope : 1) / count;
    if (advantage < 0 && (slopes[i] === 0 || unbounded(i))) continue;
    gradient[i] = -advantage * slope / count;
  }
  return { value, gradient };
}

/** r_i − mean of r. */
export function centred(rewards: Float64Array): Float64Array {
  const mean = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
  // A mean of equal numbers may be off by a last digit, which no deviation would divide away.
  if (rewards.every((reward) => reward === rewards[0])) return new Float64Array(rewards.length);
  return rewards.map((reward) => reward - mean);
}

/** (r_i − mean of r) / (deviation of r + 1e-4), with n − 1 in the deviation; 0 for a single one. */
export function standardized(rewards: Float64Array): Float64Array {
  const away = centred(rewards);
  if (rewards.length < 2) return away;
  const deviation = Math.sqrt(away.reduce((sum, x) => sum + x * x, 0) / (rewards.length - 1));
  return away.map((x) => x / (deviation + 1e-4));
}
