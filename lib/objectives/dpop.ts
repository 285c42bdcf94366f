import { meanOverRatioPairs } from "./_ratio_pairs.ts";
import { sigmoid, softplus } from "./_stable.ts";
import { boundary, referenceBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * DPO-Positive (DPOP, Pal et al. 2024, arXiv 2402.13228), mean over the pairs w ≻ l: DPO that also pays for every nat by
 * which the better one falls below the reference model.
 *
 *   L = mean_{w≻l} −log σ(β (h_w − h_l − λ max(0, −h_w))),   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response; the penalty stands inside β, as in the paper, and has derivative 0 at h_w = 0. It
 * holds the better ones up, where AFT's constraints hold the worse ones: `constraint` acts on s_l beside it. Values of
 * λ from 5 to 50 are in use; the defaults are ours. No pair gives 0.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const dpop: ObjectiveSpec<"beta" | "boundary" | "lambda"> = {
  name: "dpop",
  title: "Direct preference optimization that keeps the better ones up",
  feedback: ["labels", "ranks", "rewards"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  options: {
    beta: { ...referenceBeta, default: 0.3 },
    boundary,
    lambda: { default: 5, min: 0, help: "Price of a better candidate's fall below the reference model" },
  },
  loss(group, { constraint, beta, boundary, lambda }) {
    return meanOverRatioPairs(group, { objective: dpop, constraint, boundary }, (better, worse) => {
      const margin = beta * (better - worse - lambda * Math.max(0, -better));
      const slope = beta * sigmoid(-margin);
      return { value: softplus(-margin), better: -slope * (better < 0 ? 1 + lambda : 1), worse: slope };
    });
  },
};
