import { meanOverRatioPairs } from "./_ratio_pairs.ts";
import { smoothedLoss } from "./_stable.ts";
import { boundary, labelSmoothing, referenceBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Direct preference optimization (DPO, Rafailov et al. 2023, arXiv 2305.18290), mean over the pairs w ≻ l.
 *
 *   L = mean_{w≻l} −(1 − ε) log σ(z) − ε log σ(−z),   z = β (h_w − h_l),   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response; ∂/∂s carries the length |c|. ε is `labelSmoothing`: 0 is DPO as published, above 0
 * it is conservative DPO (cDPO, Mitchell 2023), for preferences of which a share ε is the wrong way round. A constraint
 * acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const dpo: ObjectiveSpec<"beta" | "boundary" | "labelSmoothing"> = {
  name: "dpo",
  title: "Direct preference optimization",
  feedback: ["labels", "ranks", "rewards"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  options: {
    beta: referenceBeta,
    boundary,
    labelSmoothing,
  },
  loss(group, { constraint, beta, boundary, labelSmoothing }) {
    return meanOverRatioPairs(group, { objective: dpo, constraint, boundary }, (better, worse) => {
      const { value, slope } = smoothedLoss(beta * (better - worse), labelSmoothing);
      return { value, better: beta * slope, worse: -beta * slope };
    });
  },
};
