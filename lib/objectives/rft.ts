import { readMerits, readScores } from "./_group.ts";
import { resolveOptions } from "./_options.ts";
import type { ObjectiveOptions, ObjectiveResult, ObjectiveTraits, ScoredGroup } from "./objective.ts";

/** What `rft` needs: labels. */
export const rftTraits: ObjectiveTraits = {
  feedback: ["labels"],
  needsReferenceLogprobs: false,
  constraints: ["none"],
  trainingConstraint: "none",
  addsVft: false,
  defaults: { constraint: "none" },
};

/**
 * Rejection-sampling fine-tuning: the likelihood of the reference and of every correct candidate.
 *
 *   L = −(1/|K|) Σ_{c∈K} s_c,   K = {reference} ∪ {correct candidates}
 *
 * in nats per token. Which candidates reach this function (equations that hold, one per list of equations) and
 * the averaging over tokens or questions are decided before and after it. A group that keeps nothing gives 0.
 * Source: RFT (Yuan et al. 2023, arXiv 2308.01825).
 *
 * @throws {InputError} when the group has no labels
 */
export function rft(group: ScoredGroup, options: ObjectiveOptions = {}): ObjectiveResult {
  resolveOptions("rft", rftTraits, options);
  const scores = readScores(group);
  const kept = readMerits(group, { objective: "rft", accepted: rftTraits.feedback });
  const gradient = new Float64Array(scores.length);
  const count = kept.reduce((sum, one) => sum + one, 0);
  if (count === 0) return { value: 0, gradient };
  let value = 0;
  for (let i = 0; i < scores.length; i++) {
    if (kept[i] === 0) continue;
    value -= scores[i] / count;
    gradient[i] = -1 / count;
  }
  return { value, gradient };
}
