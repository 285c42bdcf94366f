import { policyGradient } from "./_policy_gradient.ts";
import { boundary } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * REINFORCE that rejects questions (Reinforce-Rej, Xiong et al. 2025, arXiv 2504.11343), one step on n samples of the model
 * itself: questions whose samples are all right or all wrong are left out, and there is no baseline.
 *
 *   L = −(1/n) Σ_i A_i ρ_i,   A = 1 for right, −1 for wrong
 *
 * ρ = π(c)/D(π(c)) is 1 with the derivative of the summed log-prob. A constraint acts on wrong samples.
 *
 * @throws {InputError} when the group has no labels
 */
export const reinforceRej: ObjectiveSpec<"boundary"> = {
  name: "reinforce-rej",
  title: "Policy gradient on questions with right and wrong samples",
  feedback: ["labels"],
  constraints: ["none", "dc", "bc"],
  trainsOn: "samples",
  options: { boundary },
  loss(group, { constraint, boundary }) {
    const advantages = (labels: Float64Array) => {
      const mixed = labels.includes(0) && labels.includes(1);
      return labels.map((label) => mixed ? 2 * label - 1 : 0);
    };
    return policyGradient(group, { objective: reinforceRej, constraint, boundary, advantages });
  },
};
