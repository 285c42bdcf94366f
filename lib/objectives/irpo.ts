import { readMerits, readReferenceLogprobs, readScores } from "./_group.ts";
import { resolveOptions } from "./_options.ts";
import { constrainWorse, meanOverPairs } from "./_pairs.ts";
import { sigmoid, softplus } from "./_stable.ts";
import type { ObjectiveOptions, ObjectiveResult, ObjectiveTraits, ScoredGroup } from "./objective.ts";

/** What `irpo` needs: labels or ranks, and log-probs of the reference model. */
export const irpoTraits: ObjectiveTraits = {
  feedback: ["labels", "ranks"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  trainingConstraint: "none",
  addsVft: false,
  defaults: { constraint: "none", beta: 0.1, boundary: 0.2, sftWeight: 1 },
};

/**
 * Iterative reasoning preference optimization (IRPO, Pang et al. 2024, arXiv 2404.19733), mean over the pairs
 * w ≻ l: DPO and the likelihood of the better one, over its length.
 *
 *   L = mean_{w≻l} [−log σ(β (h_w − h_l)) − α s_w],   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response; s in nats per token; α is `sftWeight`. The reference model of a round is
 * the model the round starts from. A constraint acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has neither labels nor ranks, or lacks reference log-probs
 */
export function irpo(group: ScoredGroup, options: ObjectiveOptions = {}): ObjectiveResult {
  const { constraint, beta, boundary, sftWeight } = resolveOptions("irpo", irpoTraits, options);
  const scores = readScores(group);
  const merits = readMerits(group, { objective: "irpo", accepted: irpoTraits.feedback });
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
}
