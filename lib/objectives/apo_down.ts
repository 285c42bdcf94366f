import { meanOverRatioPairs } from "./_ratio_pairs.ts";
import { sigmoid } from "./_stable.ts";
import { boundary, referenceBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Anchored preference optimization, "down" (APO-down, D'Oosterlinck et al. 2024, arXiv 2408.06266; `apo_down` in TRL), mean
 * over the pairs w ≻ l: for better candidates that are worse than what the model says.
 *
 *   L = mean_{w≻l} [σ(β h_w) + 1 − σ(β (h_w − h_l))],   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response. The better one is pushed under the reference model and the worse one further. A
 * constraint acts on s_l; the better one's fall is the method. No pair gives 0.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const apoDown: ObjectiveSpec<"beta" | "boundary"> = {
  name: "apo-down",
  title: "Anchored preference optimization: both down, the worse ones further",
  feedback: ["labels", "ranks", "rewards"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  options: {
    beta: referenceBeta,
    boundary,
  },
  loss(group, { constraint, beta, boundary }) {
    return meanOverRatioPairs(group, { objective: apoDown, constraint, boundary }, (better, worse) => {
      const kept = sigmoid(beta * better);
      const miss = sigmoid(beta * (worse - better)); // 1 − σ(x) = σ(−x)
      const slope = beta * miss * (1 - miss);
      return { value: kept + miss, better: beta * kept * (1 - kept) - slope, worse: slope };
    });
  },
};
