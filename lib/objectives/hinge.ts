import { meanOverRatioPairs } from "./_ratio_pairs.ts";
import { boundary, referenceBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Hinge loss on DPO's margin (SLiC-HF, Zhao et al. 2023, arXiv 2305.10425, with the log-ratios of RSO, Liu et al. 2023,
 * arXiv 2309.06657; `hinge` in TRL), mean over the pairs w ≻ l.
 *
 *   L = mean_{w≻l} max(0, 1 − β (h_w − h_l)),   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response. A pair that is 1/β nats apart acts no more; at the hinge the derivative is 0. A
 * constraint acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const hinge: ObjectiveSpec<"beta" | "boundary"> = {
  name: "hinge",
  title: "A margin between better and worse, under a reference model",
  feedback: ["labels", "ranks", "rewards"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  options: {
    beta: { ...referenceBeta, help: "The margin asked for is 1/β" },
    boundary,
  },
  loss(group, { constraint, beta, boundary }) {
    return meanOverRatioPairs(group, { objective: hinge, constraint, boundary }, (better, worse) => {
      const value = Math.max(0, 1 - beta * (better - worse));
      const slope = value > 0 ? beta : 0;
      return { value, better: -slope, worse: slope };
    });
  },
};
