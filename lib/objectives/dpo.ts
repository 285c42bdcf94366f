import { readMerits, readReferenceLogprobs, readScores } from "./_group.ts";
import { constrainWorse, meanOverPairs } from "./_pairs.ts";
import { sigmoid, softplus } from "./_stable.ts";
import { boundary, referenceBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Direct preference optimization (DPO, Rafailov et al. 2023, arXiv 2305.18290), mean over the pairs w ≻ l.
 *
 *   L = mean_{w≻l} −log σ(β (h_w − h_l)),   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response; ∂/∂s carries the length |c|. A constraint acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const dpo: ObjectiveSpec<"beta" | "boundary"> = {
  name: "dpo",
  title: "Direct preference optimization",
  feedback: ["labels", "ranks", "rewards"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  options: {
    beta: referenceBeta,
    boundary,
  },
  loss(group, { constraint, beta, boundary }) {
    const scores = readScores(group);
    const merits = readMerits(group, { objective: "dpo", accepted: dpo.feedback });
    const reference = readReferenceLogprobs(group, "dpo");
    const worse = constrainWorse(scores, merits, { constraint, boundary });
    return meanOverPairs(merits, worse, (w, l) => {
      const gain = scores[w] * group.lengths[w] - reference[w];
      const loss = worse.scores[l] * group.lengths[l] - reference[l];
      const margin = beta * (gain - loss);
      const slope = beta * sigmoid(-margin);
      return { value: softplus(-margin), better: -slope * group.lengths[w], worse: slope * group.lengths[l] };
    });
  },
};
