import { readMerits, readReferenceLogprobs, readScores } from "./_group.ts";
import { constrainBelowBest } from "./_pairs.ts";
import { boundary } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Policy optimization by regression on the optimal advantage (A*-PO, Brantley et al. 2025, arXiv 2505.20686), mean over the n
 * samples.
 *
 *   L = (1/n) Σ_i (β₂ h_i − (r_i − V))²,   V = β₁ log (1/n) Σ_j exp(r_j/β₁),   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response; r the rewards, or 1/0 for right/wrong. V stands for the optimal value of the
 * question, from samples of the reference model: here those of the group, so they must be its own. β₁ is `alpha`, β₂
 * is `beta`. A constraint acts on every candidate that has a better one.
 *
 * @throws {InputError} when the group has neither rewards nor labels, or lacks reference log-probs
 */
export const aStarPo: ObjectiveSpec<"alpha" | "beta" | "boundary"> = {
  name: "a-star-po",
  title: "Regression of log-ratios on the optimal advantage",
  feedback: ["rewards", "labels"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  trainsOn: "samples",
  learnsFrom: "any",
  options: {
    alpha: { default: 0.5, above: 0, unit: "reward", help: "Temperature of the optimal value" },
    beta: {
      default: 1e-3,
      above: 0,
      unit: "reward per nat",
      help: "Strength of the tie to the reference model",
    },
    boundary,
  },
  loss(group, { constraint, alpha, beta, boundary }) {
    const scores = readScores(group), count = scores.length;
    const rewards = readMerits(group, { objective: "a-star-po", accepted: aStarPo.feedback });
    const reference = readReferenceLogprobs(group, "a-star-po");
    const gradient = new Float64Array(count);
    if (count === 0) return { value: 0, gradient };
    const held = constrainBelowBest(scores, rewards, { constraint, boundary });
    const best = rewards.reduce((most, reward) => Math.max(most, reward));
    const mean = rewards.reduce((sum, reward) => sum + Math.exp((reward - best) / alpha), 0) / count;
    const optimal = best + alpha * Math.log(mean);
    let value = 0;
    for (let i = 0; i < count; i++) {
      const ratio = held.scores[i]! * group.lengths[i]! - reference[i]!;
      const error = beta * ratio - (rewards[i]! - optimal);
      value += error * error / count;
      gradient[i] = 2 * error * beta * group.lengths[i]! * held.slopes[i]! / count;
    }
    return { value, gradient };
  },
};
