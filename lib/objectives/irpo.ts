import { readMerits, readReferenceLogprobs, readScores } from "./_group.ts";
import { constrainWorse, meanOverPairs } from "./_pairs.ts";
import { sigmoid, softplus } from "./_stable.ts";
import { boundary, referenceBeta, sftWeight } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Iterative reasoning preference optimization (IRPO, Pang et al. 2024, arXiv 2404.19733), mean over the pairs
 * w ≻ l: DPO and the likelihood of the better one, over its length.
 *
 *   L = mean_{w≻l} [−log σ(β (h_w − h_l)) − α s_w],   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response; s in nats per token; α is `sftWeight`. The reference model of a round is
 * the model the round starts from. A constraint acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const irpo: ObjectiveSpec<"beta" | "boundary" | "sftWeight"> = {
  name: "irpo",
  title: "Iterative reasoning preference optimization",
  feedback: ["labels", "ranks", "rewards"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  options: {
    beta: referenceBeta,
    boundary,
    sftWeight,
  },
  loss(group, { constraint, beta, boundary, sftWeight }) {
    const scores = readScores(group);
    const merits = readMerits(group, { objective: "irpo", accepted: irpo.feedback });
    const reference = readReferenceLogprobs(group, "irpo");
    const worse = constrainWorse(scores, merits, { constraint, boundary });
    return meanOverPairs(merits, worse, (w, l) => {
      const gain = scores[w] * group.lengths[w] - reference[w];
      const loss = worse.scores[l] * group.lengths[l] - reference[l];
      const margin = beta * (gain - loss);
      const slope = beta * sigmoid(-margin);
      return {
        value: softplus(-margin) - sftWeight * scores[w],
        better: -slope * group.lengths[w] - sftWeight,
        worse: slope * group.lengths[l],
      };
    });
  },
};
