import { readMerits, readReferenceLogprobs, readScores } from "./_group.ts";
import { constrainWorse } from "./_pairs.ts";
import { sigmoid } from "./_stable.ts";
import { boundary, referenceBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Kahneman-Tversky optimization (KTO, Ethayarajh et al. 2024, arXiv 2402.01306), mean over the n candidates.
 *
 *   L = (1/n) [Σ_p λ_D (1 − σ(β (h_p − z_p))) + Σ_n λ_U (1 − σ(β (z_n − h_n)))],   h = |c| s − log π_ref(c)
 *   z_c = max(0, mean of h over the group's other candidates), a constant in the derivative
 *
 * h in nats, summed over the response. The paper's reference point is such a mean over responses of other
 * questions; a group has none, so the project takes its other candidates: each is measured against its siblings,
 * and never against itself. A constraint acts on s_n outside z. A group of several that lacks a positive or a
 * negative gives 0 (ours too): its siblings' mean would be the shift of that one side. A single response, as unpaired
 * files have it, has no siblings: z = 0, the paper's reference point before the first step.
 *
 * @throws {InputError} when the group has no labels, or lacks reference log-probs
 */
export const kto: ObjectiveSpec<"beta" | "boundary" | "desirableWeight" | "undesirableWeight"> = {
  name: "kto",
  title: "Kahneman-Tversky optimization",
  feedback: ["labels"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  options: {
    beta: referenceBeta,
    boundary,
    desirableWeight: { default: 1, min: 0, help: "Weight of right candidates" },
    undesirableWeight: { default: 1, min: 0, help: "Weight of wrong candidates" },
  },
  loss(group, { constraint, beta, boundary, desirableWeight, undesirableWeight }) {
    const scores = readScores(group);
    const merits = readMerits(group, { objective: "kto", accepted: kto.feedback });
    const reference = readReferenceLogprobs(group, "kto");
    const count = scores.length;
    const gradient = new Float64Array(count);
    if (count !== 1 && (!merits.includes(0) || !merits.includes(1))) return { value: 0, gradient };
    const worse = constrainWorse(scores, merits, { constraint, boundary });
    const gain = (score: number, i: number) => score * group.lengths[i] - reference[i];
    const sum = scores.reduce((total, score, i) => total + gain(score, i), 0);
    let value = 0;
    for (let i = 0; i < count; i++) {
      const siblings = count === 1 ? 0 : Math.max(0, (sum - gain(scores[i], i)) / (count - 1));
      const desirable = merits[i] === 1;
      const sign = desirable ? 1 : -1;
      const weight = (desirable ? desirableWeight : undesirableWeight) / count;
      const miss = sigmoid(-sign * beta * (gain(desirable ? scores[i] : worse.scores[i], i) - siblings));
      value += weight * miss; // 1 − σ(x) = σ(−x)
      gradient[i] = -sign * weight * beta * miss * (1 - miss) * group.lengths[i] *
        (desirable ? 1 : worse.slopes[i]);
    }
    return { value, gradient };
  },
};
