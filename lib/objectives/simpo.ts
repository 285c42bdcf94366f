import { readMerits, readScores } from "./_group.ts";
import { constrainWorse, meanOverPairs } from "./_pairs.ts";
import { sigmoid, softplus } from "./_stable.ts";
import { boundary } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Simple preference optimization (SimPO, Meng et al. 2024, arXiv 2405.14734), mean over the pairs w ≻ l.
 *
 *   L = mean_{w≻l} −log σ(β (s_w − s_l) − γ)
 *
 * Scores in nats per token. A constraint acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has neither labels, ranks nor rewards
 */
export const simpo: ObjectiveSpec<"beta" | "boundary" | "gamma"> = {
  name: "simpo",
  title: "Simple preference optimization",
  feedback: ["labels", "ranks", "rewards"],
  constraints: ["none", "dc", "bc"],
  options: {
    beta: { default: 2.5, above: 0, help: "Scale of the margin" },
    gamma: { default: 0.5, help: "Target margin" },
    boundary,
  },
  loss(group, { constraint, beta, gamma, boundary }) {
    const scores = readScores(group);
    const merits = readMerits(group, { objective: "simpo", accepted: simpo.feedback });
    const worse = constrainWorse(scores, merits, { constraint, boundary });
    return meanOverPairs(merits, worse, (w, l) => {
      const margin = beta * (scores[w] - worse.scores[l]) - gamma;
      const slope = beta * sigmoid(-margin);
      return { value: softplus(-margin), better: -slope, worse: slope };
    });
  },
};
