import { readMerits, readScores } from "./_group.ts";
import { constrainWorse, meanOverPairs } from "./_pairs.ts";
import { sigmoid, softplus } from "./_stable.ts";
import { boundary, sftWeight } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Contrastive preference optimization (CPO, Xu et al. 2024, arXiv 2401.08417), mean over the pairs w ≻ l: DPO with a uniform
 * reference, and the likelihood of the better one.
 *
 *   L = mean_{w≻l} [−log σ(β (|w| s_w − |l| s_l)) − α s_w]
 *
 * The margin is of summed log-probs, in nats; the likelihood is in nats per token, and α is `sftWeight`. A constraint acts
 * on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has neither labels, ranks nor rewards
 */
export const cpo: ObjectiveSpec<"beta" | "boundary" | "sftWeight"> = {
  name: "cpo",
  title: "Contrastive preference optimization",
  feedback: ["labels", "ranks", "rewards"],
  constraints: ["none", "dc", "bc"],
  options: {
    beta: { default: 0.1, above: 0, unit: "per nat of summed log-prob", help: "Scale of the margin" },
    boundary,
    sftWeight,
  },
  loss(group, { constraint, beta, boundary, sftWeight }) {
    const scores = readScores(group);
    const merits = readMerits(group, { objective: "cpo", accepted: cpo.feedback });
    const worse = constrainWorse(scores, merits, { constraint, boundary });
    return meanOverPairs(merits, worse, (w, l) => {
      const margin = beta * (scores[w]! * group.lengths[w]! - worse.scores[l]! * group.lengths[l]!);
      const slope = beta * sigmoid(-margin);
      return {
        value: softplus(-margin) - sftWeight * scores[w]!,
        better: -slope * group.lengths[w]! - sftWeight,
        worse: slope * group.lengths[l]!,
      };
    });
  },
};
