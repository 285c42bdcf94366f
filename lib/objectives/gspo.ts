import { readMerits, readReferenceLogprobs, readScores } from "./_group.ts";
import { constrainWorse } from "./_pairs.ts";
import { standardized } from "./_policy_gradient.ts";
import { boundary } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/** A log-ratio above this grows as a line: e^20 is beyond any use, and e^1000 is no number. */
const steepest = 20;

/**
 * Group sequence policy optimization (GSPO, Zheng et al. 2025, arXiv 2507.18071), mean over the n samples.
 *
 *   L = −(1/n) Σ_i min(A_i ρ_i, A_i clip(ρ_i, 1 − ε, 1 + ε')),   ρ = exp(s − log π_old(c) / |c|)
 *   A_i = (r_i − mean r) / (deviation of r + 1e-4)
 *
 * The ratio is of the whole response, its log a mean over the tokens; π_old is the model that sampled, whose log-probs
 * `score` writes, so samples serve for more than one step. ε is `epsilon`, ε' is `epsilonHigh`; the deviation has n − 1. r
 * are the rewards, or 1/0 for right/wrong. Equal rewards and a single sample give 0. A constraint acts on samples with A < 0.
 *
 * @throws {InputError} when the group has neither rewards nor labels, or lacks the old model's log-probs
 */
export const gspo: ObjectiveSpec<"boundary" | "epsilon" | "epsilonHigh"> = {
  name: "gspo",
  title: "Group sequence policy optimization",
  feedback: ["rewards", "labels"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  trainsOn: "samples",
  options: {
    boundary,
    epsilon: { default: 3e-4, min: 0, below: 1, help: "How far a response's ratio may fall below 1" },
    epsilonHigh: { default: 4e-4, min: 0, help: "How far a response's ratio may rise above 1" },
  },
  loss(group, { constraint, boundary, epsilon, epsilonHigh }) {
    const scores = readScores(group), count = scores.length;
    const rewards = readMerits(group, { objective: "gspo", accepted: gspo.feedback });
    const old = readReferenceLogprobs(group, "gspo");
    const gradient = new Float64Array(count);
    if (count === 0) return { value: 0, gradient };
    const advantages = standardized(rewards);
    const worse = constrainWorse(scores, rewards, { constraint, boundary });
    let value = 0;
    for (let i = 0; i < count; i++) {
      const advantage = advantages[i]!, held = advantage < 0;
      if (advantage === 0) continue;
      const log = (held ? worse.scores[i]! : scores[i]!) - old[i]! / group.lengths[i]!;
      const slope = Math.exp(Math.min(log, steepest));
      const ratio = slope * (1 + Math.max(0, log - steepest));
      const clipped = Math.min(Math.max(ratio, 1 - epsilon), 1 + epsilonHigh);
      value -= Math.min(advantage * ratio, advantage * clipped) / count;
      // Where both are the same the ratio is within its bounds, and moves.
      if (advantage * ratio > advantage * clipped) continue;
      gradient[i] = -advantage * slope * (held ? worse.slopes[i]! : 1) / count;
    }
    return { value, gradient };
  },
};
