import { bestOf, readMerits, readScores } from "./_group.ts";
import { constrainWorse, meanOverPairs } from "./_pairs.ts";
import { log1mexp, sigmoid, softplus } from "./_stable.ts";
import { boundary } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * The highest score that has odds: at s = 0 they are infinite. Float32 cannot tell a probability nearer to 1 from
 * 1 with certainty, so a score above counts as this one, with its slope.
 */
const ceiling = -1e-6;

/** log-odds of a geometric-mean probability, s − log(1 − e^s), and its derivative 1 / (1 − e^s). */
function logOdds(score: number): { value: number; slope: number } {
  const s = Math.min(score, ceiling);
  return { value: s - log1mexp(s), slope: -1 / Math.expm1(s) };
}

/**
 * Odds-ratio preference optimization (ORPO, Hong et al. 2024, arXiv 2403.07691).
 *
 *   L = −s_best + λ · mean_{w≻l} −log σ(o(s_w) − o(s_l)),   o(s) = s − log(1 − e^s)
 *
 * Scores in nats per token. The likelihood term is of the best candidate: the reference if it is one of the best,
 * otherwise the first of them. A constraint acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has neither labels, ranks nor rewards
 */
export const orpo: ObjectiveSpec<"boundary" | "lambda"> = {
  name: "orpo",
  title: "Odds-ratio preference optimization",
  feedback: ["labels", "ranks", "rewards"],
  constraints: ["none", "dc", "bc"],
  options: {
    boundary,
    lambda: { default: 0.2, min: 0, help: "Weight of the odds-ratio term" },
  },
  loss(group, { constraint, lambda, boundary }) {
    const scores = readScores(group);
    const merits = readMerits(group, { objective: "orpo", accepted: orpo.feedback });
    const worse = constrainWorse(scores, merits, { constraint, boundary });
    const { value, gradient } = meanOverPairs(merits, worse, (w, l) => {
      const better = logOdds(scores[w]);
      const other = logOdds(worse.scores[l]);
      const margin = better.value - other.value;
      const slope = lambda * sigmoid(-margin);
      return {
        value: lambda * softplus(-margin),
        better: -slope * better.slope,
        worse: slope * other.slope,
      };
    });
    const best = bestOf(merits, group.reference);
    if (!merits.some((merit) => merit < merits[best])) return { value: 0, gradient };
    gradient[best] -= 1;
    return { value: value - scores[best], gradient };
  },
};
