import { readMerits, readScores } from "./_group.ts";
import type { ObjectiveSpec } from "./objective.ts";

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
export const rft: ObjectiveSpec<never> = {
  name: "rft",
  title: "Rejection-sampling fine-tuning",
  feedback: ["labels"],
  averages: "tokens",
  trainsOn: "rejection samples",
  options: {},
  loss(group) {
    const scores = readScores(group);
    const kept = readMerits(group, { objective: "rft", accepted: rft.feedback });
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
  },
};
