import { readMerits, readReferenceLogprobs, readScores } from "./_group.ts";
import { resolveOptions } from "./_options.ts";
import { constrainWorse, meanOverPairs } from "./_pairs.ts";
import type { ObjectiveOptions, ObjectiveResult, ObjectiveTraits, ScoredGroup } from "./objective.ts";

/** What `ipo` needs: labels or ranks, and log-probs of the reference model. */
export const ipoTraits: ObjectiveTraits = {
  feedback: ["labels", "ranks"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  trainingConstraint: "none",
  addsVft: false,
  defaults: { constraint: "none", beta: 0.1, boundary: 0.2 },
};

/**
 * Identity preference optimization (IPO, Azar et al. 2023, arXiv 2310.12036), mean over the pairs w ≻ l.
 *
 *   L = mean_{w≻l} (h_w − h_l − 1/(2β))²,   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response (not averaged, as some implementations have it); ∂/∂s carries the length.
 * A constraint acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has neither labels nor ranks, or lacks reference log-probs
 */
export function ipo(group: ScoredGroup, options: ObjectiveOptions = {}): ObjectiveResult {
  const { constraint, beta, boundary } = resolveOptions("ipo", ipoTraits, options);
  const scores = readScores(group);
  const merits = readMerits(group, { objective: "ipo", accepted: ipoTraits.feedback });
  const reference = readReferenceLogprobs(group, "ipo");
  const worse = constrainWorse(scores, merits, { constraint, boundary });
  return meanOverPairs(merits, worse, (w, l) => {
    const gain = scores[w] * group.lengths[w] - reference[w];
    const loss = worse.scores[l] * group.lengths[l] - reference[l];
    const error = gain - loss - 1 / (2 * beta);
    return {
      value: error * error,
      better: 2 * error * group.lengths[w],
      worse: -2 * error * group.lengths[l],
    };
  });
}
