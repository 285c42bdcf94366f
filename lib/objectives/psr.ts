import { policyGradient } from "./_policy_gradient.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Positive sample reinforcement (PSR, Zhu et al. 2025, arXiv 2506.01347), one step on n samples of the model itself: the
 * gradient of right samples alone.
 *
 *   L = −(1/n) Σ_right ρ_i
 *
 * ρ = π(c)/D(π(c)) is 1 with the derivative of the summed log-prob. The paper's weighted form, W-REINFORCE, is a sum:
 * `psr:0.1,nsr:1`. It lowers nothing, so no constraint has a meaning.
 *
 * @throws {InputError} when the group has no labels
 */
export const psr: ObjectiveSpec<never> = {
  name: "psr",
  title: "Positive sample reinforcement: policy gradient of right samples",
  feedback: ["labels"],
  trainsOn: "samples",
  learnsFrom: "right",
  options: {},
  loss(group) {
    return policyGradient(group, {
      objective: psr,
      constraint: "none",
      boundary: Infinity,
      advantages: (labels) => labels,
    });
  },
};
