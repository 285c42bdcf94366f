import { policyGradient } from "./_policy_gradient.ts";
import { boundary } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Negative sample reinforcement (NSR, Zhu et al. 2025, arXiv 2506.01347), one step on n samples of the model itself: the
 * gradient of wrong samples alone, away from them.
 *
 *   L = (1/n) Σ_wrong ρ_i
 *
 * ρ = π(c)/D(π(c)) is 1 with the derivative of the summed log-prob, so nothing bounds the fall from below but a constraint:
 * `bc` holds a wrong sample at its boundary, and leaves out one that has no right sample beside it; `dc` would leave
 * nothing to train.
 *
 * @throws {InputError} when the group has no labels
 */
export const nsr: ObjectiveSpec<"boundary"> = {
  name: "nsr",
  title: "Negative sample reinforcement: policy gradient away from wrong samples",
  feedback: ["labels"],
  constraints: ["none", "bc"],
  trainsOn: "samples",
  learnsFrom: "wrong",
  options: { boundary },
  loss(group, { constraint, boundary }) {
    const advantages = (labels: Float64Array) => labels.map((label) => label - 1);
    return policyGradient(group, { objective: nsr, constraint, boundary, advantages });
  },
};
