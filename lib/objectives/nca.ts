import { alpha, preferenceDistribution } from "./_preference_distribution.ts";
import { sigmoid, softplus } from "./_stable.ts";
import { boundary, referenceBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Noise-contrastive alignment, NCA (Chen et al. 2024, arXiv 2402.05369), over the whole group of K candidates.
 *
 *   L = −Σ_i [q_i log σ(β h_i) + (1/K) log σ(−β h_i)],   q = softmax(r/α),   h = |c| s − log π_ref(c)
 *
 * h in nats, summed over the response; r the rewards, or −rank or 1/0 for right/wrong in their place. It fixes each h and
 * not only their differences, so the best ones do not fall together with the rest. With two candidates and α → 0 it is the
 * pair form (`nca_pair` in TRL). A constraint acts on every candidate that has a better one. Candidates that are all
 * alike are tied to the reference model, h = 0. α = 1 is ours.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const nca: ObjectiveSpec<"alpha" | "beta" | "boundary"> = {
  name: "nca",
  title: "Noise-contrastive alignment of absolute rewards",
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
      objective: nca,
      constraint,
      boundary,
      alpha,
    });
    const share = 1 / ratios.length;
    return {
      value: ratios.reduce(
        (sum, h, i) => sum + preferred[i]! * softplus(-beta * h) + share * softplus(beta * h),
        0,
      ),
      gradient: ratios.map((h, i) =>
        beta * (share * sigmoid(beta * h) - preferred[i]! * sigmoid(-beta * h)) * slopes[i]!
      ),
    };
  },
};
