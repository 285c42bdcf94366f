import { bestOf, readMerits, readScores } from "./_group.ts";
import { resolveOptions } from "./_options.ts";
import { constrainWorse, forEachPair } from "./_pairs.ts";
import type { ObjectiveOptions, ObjectiveResult, ObjectiveTraits, ScoredGroup } from "./objective.ts";

/** What `rrhf` needs: any order of the candidates. */
export const rrhfTraits: ObjectiveTraits = {
  feedback: ["rewards", "ranks", "labels"],
  needsReferenceLogprobs: false,
  constraints: ["none", "dc", "bc"],
  trainingConstraint: "none",
  addsVft: false,
  defaults: { constraint: "none", boundary: 0.2, weight: 1 },
};

/**
 * Rank responses to align with human feedback (RRHF, Yuan et al. 2023, arXiv 2304.05302).
 *
 *   L = w · Σ_{r_i<r_j} max(0, s_i − s_j) − s_best
 *
 * s in nats per token, over the response's own length (their code divides by the padded one). Only the order of
 * the rewards counts; the best of a tie is the reference, otherwise the first. The hinge has derivative 0 at 0.
 * `bc` changes nothing here: a pair acts only while s_i > s_j, which is above every boundary.
 *
 * @throws {InputError} when the group has no feedback at all
 */
export function rrhf(group: ScoredGroup, options: ObjectiveOptions = {}): ObjectiveResult {
  const { constraint, boundary, weight } = resolveOptions("rrhf", rrhfTraits, options);
  const scores = readScores(group);
  const merits = readMerits(group, { objective: "rrhf", accepted: rrhfTraits.feedback });
  const worse = constrainWorse(scores, merits, { constraint, boundary });
  const gradient = new Float64Array(scores.length);
  const best = bestOf(merits, group.reference);
  if (best < 0) return { value: 0, gradient };
  let value = -scores[best];
  gradient[best] = -1;
  forEachPair(merits, (j, i) => {
    const excess = worse.scores[i] - scores[j];
    if (excess <= 0) return;
    value += weight * excess;
    gradient[j] -= weight;
    gradient[i] += weight * worse.slopes[i];
  });
  return { value, gradient };
}
