import { centred, policyGradient } from "./_policy_gradient.ts";
import { boundary } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * GRPO done right (Dr. GRPO, Liu et al. 2025, arXiv 2503.20783), one step on n samples of the model itself: no deviation, which
 * favours questions that are too easy or too hard, and no division by the length, which favours long wrong answers.
 *
 *   L = −(1/n) Σ_i A_i (1/C) Σ_t ρ_it,   A_i = r_i − mean r
 *
 * ρ_t = π_t/D(π_t) is 1 with the derivative of the token's log-prob. C is `divisor`, the same for every response: the longest
 * that was sampled, say. r are the rewards, or 1/0 for right/wrong. Equal rewards and a single sample give 0. A constraint
 * acts on samples with A < 0.
 *
 * @throws {InputError} when the group has neither rewards nor labels
 */
export const drGrpo: ObjectiveSpec<"boundary" | "divisor"> = {
  name: "dr-grpo",
  title: "GRPO without division by deviation and length",
  feedback: ["rewards", "labels"],
  constraints: ["none", "dc", "bc"],
  trainsOn: "samples",
  options: {
    boundary,
    divisor: {
      default: 256,
      above: 0,
      unit: "tokens",
      help: "What sums over a response's tokens are divided by: the longest response",
    },
  },
  loss(group, { constraint, boundary, divisor }) {
    return policyGradient(group, {
      objective: drGrpo,
      constraint,
      boundary,
      advantages: centred,
      per: divisor,
    });
  },
};
