import { policyGradient, standardized } from "./_policy_gradient.ts";
import { boundary } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Group-relative policy optimization (GRPO, Shao et al. 2024, arXiv 2402.03300), one step on n samples of the model itself,
 * where no ratio is clipped, and without the KL term.
 *
 *   L = −(1/n) Σ_i A_i (1/|c_i|) Σ_t ρ_it,   A_i = (r_i − mean r) / (deviation of r + 1e-4)
 *
 * ρ_t = π_t/D(π_t) is 1 with the derivative of the token's log-prob; the deviation has n − 1. r are the rewards, or 1/0 for
 * right/wrong. Equal rewards and a single sample give 0. A constraint acts on samples with A < 0.
 *
 * @throws {InputError} when the group has neither rewards nor labels
 */
export const grpo: ObjectiveSpec<"boundary"> = {
  name: "grpo",
  title: "Group-relative policy optimization, one on-policy step",
  feedback: ["rewards", "labels"],
  constraints: ["none", "dc", "bc"],
  trainsOn: "samples",
  options: { boundary },
  loss(group, { constraint, boundary }) {
    return policyGradient(group, {
      objective: grpo,
      constraint,
      boundary,
      advantages: standardized,
      per: "mean",
    });
  },
};
