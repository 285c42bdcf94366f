import { meanOverRatioPairs } from "./_ratio_pairs.ts";
import { sigmoid, softplus } from "./_stable.ts";
import { boundary, labelSmoothing, referenceBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Robust direct preference optimization (Chowdhury et al. 2024, arXiv 2403.00409; `robust` in TRL), mean over the pairs
 * w ≻ l: what DPO's loss would be on average without noise, where a share ε of the preferences was turned round.
 *
 *   L = mean_{w≻l} [−(1 − ε) log σ(z) + ε log σ(−z)] / (1 − 2ε),   z = β (h_w − h_l),   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response. ε is `labelSmoothing`, below 1/2; at 0 it is DPO. Unlike conservative DPO (`dpo`
 * with `labelSmoothing`) its mean is unbiased, and a single loss may be below 0. A constraint acts on s_l. No pair
 * gives 0.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const robust: ObjectiveSpec<"beta" | "boundary" | "labelSmoothing"> = {
  name: "robust",
  title: "Direct preference optimization for noisy preferences",
  feedback: ["labels", "ranks", "rewards"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  options: {
    beta: referenceBeta,
    boundary,
    labelSmoothing: { ...labelSmoothing, default: 0.1 },
  },
  loss(group, { constraint, beta, boundary, labelSmoothing: epsilon }) {
    return meanOverRatioPairs(group, { objective: robust, constraint, boundary }, (better, worse) => {
      const z = beta * (better - worse);
      const scale = 1 / (1 - 2 * epsilon);
      const slope = -scale * beta * ((1 - epsilon) * sigmoid(-z) + epsilon * sigmoid(z));
      return {
        value: scale * ((1 - epsilon) * softplus(-z) - epsilon * softplus(z)),
        better: slope,
        worse: -slope,
      };
    });
  },
};
