import { meanOverRatioPairs } from "./_ratio_pairs.ts";
import { sigmoid } from "./_stable.ts";
import { boundary, referenceBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Anchored preference optimization, "zero" (APO-zero, D'Oosterlinck et al. 2024, arXiv 2408.06266; `apo_zero` in TRL), mean
 * over the pairs w ≻ l: for better candidates that are better than what the model says.
 *
 *   L = mean_{w≻l} [1 − σ(β h_w) + σ(β h_l)],   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response. Each side is held against the reference model alone, so the better one rises
 * and the worse one falls, whatever lies between them. A constraint acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const apoZero: ObjectiveSpec<"beta" | "boundary"> = {
  name: "apo-zero",
  title: "Anchored preference optimization: better ones up, worse ones down",
  feedback: ["labels", "ranks", "rewards"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  options: {
    beta: referenceBeta,
    boundary,
  },
  loss(group, { constraint, beta, boundary }) {
    return meanOverRatioPairs(group, { objective: apoZero, constraint, boundary }, (better, worse) => {
      const miss = sigmoid(-beta * better); // 1 − σ(x) = σ(−x)
      const kept = sigmoid(beta * worse);
      return {
        value: miss + kept,
        better: -beta * miss * (1 - miss),
        worse: beta * kept * (1 - kept),
      };
    });
  },
};
