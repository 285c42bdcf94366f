import { readMerits, readScores } from "./_group.ts";
import { resolveOptions } from "./_options.ts";
import { constrainWorse, meanOverPairs } from "./_pairs.ts";
import { sigmoid, softplus } from "./_stable.ts";
import type { ObjectiveOptions, ObjectiveResult, ObjectiveTraits, ScoredGroup } from "./objective.ts";

/** What `simpo` needs: labels or ranks. */
export const simpoTraits: ObjectiveTraits = {
  feedback: ["labels", "ranks"],
  needsReferenceLogprobs: false,
  constraints: ["none", "dc", "bc"],
  trainingConstraint: "none",
  addsVft: false,
  defaults: { constraint: "none", beta: 2.5, gamma: 0.5, boundary: 0.2 },
};

/**
 * Simple preference optimization (SimPO, Meng et al. 2024, arXiv 2405.14734), mean over the pairs w ≻ l.
 *
 *   L = mean_{w≻l} −log σ(β (s_w − s_l) − γ)
 *
 * Scores in nats per token. A constraint acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has neither labels nor ranks
 */
export function simpo(group: ScoredGroup, options: ObjectiveOptions = {}): ObjectiveResult {
  const { constraint, beta, gamma, boundary } = resolveOptions("simpo", simpoTraits, options);
  const scores = readScores(group);
  const merits = readMerits(group, { objective: "simpo", accepted: simpoTraits.feedback });
  const worse = constrainWorse(scores, merits, { constraint, boundary });
  return meanOverPairs(merits, worse, (w, l) => {
    const margin = beta * (scores[w] - worse.scores[l]) - gamma;
    const slope = beta * sigmoid(-margin);
    return { value: softplus(-margin), better: -slope, worse: slope };
  });
}
