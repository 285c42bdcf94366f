import type { ObjectiveSpec } from "../../lib/objectives/objective.ts";

/**
 * Likelihood of right candidates, and unlikelihood of wrong ones token by token (Welleck et al. 2019, arXiv 1908.04319), as
 * somebody else would write it:
 *
 *   L = Σ_p −s_p + Σ_n −(1/T_n) Σ_t log(1 − p_t),   ∂L/∂log p_t = p_t / (1 − p_t) / T_n
 */
export const unlikelihood: ObjectiveSpec<never> = {
  name: "unlikelihood",
  title: "Likelihood of right candidates, unlikelihood of wrong ones",
  feedback: ["labels"],
  needsTokens: true,
  options: {},
  loss({ scores, lengths, correct = [], tokens = [] }) {
    const gradient = new Float64Array(scores.length);
    const tokenGradient = Array.from(lengths, (length) => new Float64Array(length));
    let value = 0;
    for (const [c, slopes] of tokenGradient.entries()) {
      if (correct[c]) {
        value -= scores[c]!;
        gradient[c] = -1;
        continue;
      }
      for (let t = 0; t < slopes.length; t++) {
        const odds = 1 / Math.expm1(-tokens[c]![t]!); // p/(1 − p)
        value += Math.log1p(odds) / slopes.length; // −log(1 − p)
        slopes[t] = odds / slopes.length;
      }
    }
    return { value, gradient, tokenGradient };
  },
};
