import { centred, policyGradient } from "./_policy_gradient.ts";
import { boundary } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * REINFORCE with a leave-one-out baseline (RLOO, Ahmadian et al. 2024, arXiv 2402.14740), one step on n samples of the model
 * itself.
 *
 *   L = −(1/n) Σ_i A_i ρ_i,   A_i = r_i − mean of the others' r = n/(n − 1) (r_i − mean r)
 *
 * ρ = π(c)/D(π(c)) is 1 with the derivative of the summed log-prob. r are the rewards, or 1/0 for right/wrong. Equal rewards
 * and a single sample give 0. A constraint acts on samples with A < 0.
 *
 * @throws {InputError} when the group has neither rewards nor labels
 */
export const rloo: ObjectiveSpec<"boundary"> = {
  name: "rloo",
  title: "Policy gradient with a leave-one-out baseline",
  feedback: ["rewards", "labels"],
  constraints: ["none", "dc", "bc"],
  trainsOn: "samples",
  options: { boundary },
  loss(group, { constraint, boundary }) {
    const advantages = (rewards: Float64Array) =>
      centred(rewards).map((away) => away * rewards.length / Math.max(1, rewards.length - 1));
    return policyGradient(group, { objective: rloo, constraint, boundary, advantages });
  },
};
