import { alpha, preferenceDistribution, softmax } from "./_preference_distribution.ts";
import { boundary, referenceBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Noise-contrastive alignment by information, InfoNCA (Chen et al. 2024, arXiv 2402.05369), over the whole group.
 *
 *   L = −Σ_i q_i log softmax(β h)_i,   q = softmax(r/α),   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response; r the rewards, or −rank or 1/0 for right/wrong in their place. With two candidates
 * and α → 0 it is DPO. A constraint acts on every candidate that has a better one. Candidates that are all alike are
 * pulled together; a single one gives 0. α = 1 is ours.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const infonca: ObjectiveSpec<"alpha" | "beta" | "boundary"> = {
  name: "infonca",
  title: "Noise-contrastive alignment of relative rewards",
  feedback: ["rewards", "ranks", "labels"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  learnsFrom: "any",
  options: {
    alpha,
    beta: referenceBeta,
    boundary,
  },
  loss(group, { constraint, alpha, beta, boundary }) {
    const { preferred, ratios, slopes } = preferenceDistribution(group, {
      objective: infonca,
      constraint,
      boundary,
      alpha,
    });
    if (ratios.length === 0) return { value: 0, gradient: new Float64Array(0) };
    const logits = ratios.map((ratio) => beta * ratio);
    const largest = Math.max(...logits), own = softmax(logits);
    const logTotal = largest + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - largest), 0));
    return {
      value: preferred.reduce((sum, q, i) => sum + (q === 0 ? 0 : q * (logTotal - logits[i]!)), 0),
      gradient: own.map((p, i) => beta * (p - preferred[i]!) * slopes[i]!),
    };
  },
};
