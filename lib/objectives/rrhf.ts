import { bestOf, readMerits, readScores } from "./_group.ts";
import { constrainWorse, forEachPair } from "./_pairs.ts";
import { boundary } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

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
export const rrhf: ObjectiveSpec<"boundary" | "weight"> = {
  name: "rrhf",
  title: "Rank responses to align with human feedback",
  feedback: ["rewards", "ranks", "labels"],
  constraints: ["none", "dc", "bc"],
  boundaryActs: false,
  options: {
    boundary,
    weight: { default: 1, min: 0, help: "Weight of the ranking term" },
  },
  loss(group, { constraint, boundary, weight }) {
    const scores = readScores(group);
    const merits = readMerits(group, { objective: "rrhf", accepted: rrhf.feedback });
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
  },
};
