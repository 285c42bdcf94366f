import { readMerits, readScores } from "./_group.ts";
import { constrainWorse } from "./_pairs.ts";
import { boundary } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Preference ranking optimization (PRO, Song et al. 2023, arXiv 2306.17492). Candidates 1…n by falling reward r:
 *
 *   L = Σ_{k<n} [log(e^{s_k T_k} + Σ_{i>k} e^{s_i (r_k − r_i)}) − s_k T_k] − w · s_1,   T_k = max_{i>k} (r_k − r_i)
 *
 * Scores in nats per token. Without rewards, −rank or 1/0 for right/wrong stands for them. Candidates of equal
 * reward keep their order, the reference first; the later one adds the constant e^0 to the earlier one's sum, so
 * among ties, alone, the order matters. A step with T_k = 0 compares nothing and is left out. A constraint acts
 * on the s_i. `w` is `sftWeight`, on −s_1 (the published code has another term in its place).
 *
 * @throws {InputError} when the group has no feedback at all
 */
export const pro: ObjectiveSpec<"boundary" | "sftWeight"> = {
  name: "pro",
  title: "Preference ranking optimization",
  feedback: ["rewards", "ranks", "labels"],
  constraints: ["none", "dc", "bc"],
  options: {
    boundary,
    sftWeight: { default: 0.05, min: 0, help: "Weight of the likelihood term" },
  },
  loss(group, { constraint, boundary, sftWeight }) {
    const scores = readScores(group);
    const rewards = readMerits(group, { objective: "pro", accepted: pro.feedback });
    const gradient = new Float64Array(scores.length);
    if (scores.length === 0) return { value: 0, gradient };
    const worse = constrainWorse(scores, rewards, { constraint, boundary });
    const isReference = (i: number) => Number(i === group.reference);
    const order = Array.from(rewards.keys()).sort((a, b) =>
      rewards[b] - rewards[a] || isReference(b) - isReference(a)
    );
    const lowest = rewards[order[order.length - 1]];
    let value = -sftWeight * scores[order[0]];
    gradient[order[0]] -= sftWeight;
    order.forEach((k, position) => {
      const temperature = rewards[k] - lowest;
      if (temperature === 0) return;
      const rest = order.slice(position + 1);
      const own = scores[k] * temperature;
      const exponents = rest.map((i) => worse.scores[i] * (rewards[k] - rewards[i]));
      const largest = Math.max(own, ...exponents);
      const terms = exponents.map((exponent) => Math.exp(exponent - largest));
      const others = terms.reduce((sum, term) => sum + term, 0);
      const total = Math.exp(own - largest) + others;
      // With own largest, log(total) is log(1 + others): log1p keeps its digits.
      value += largest === own ? Math.log1p(others) : largest - own + Math.log(total);
      gradient[k] -= temperature * (others / total);
      rest.forEach((i, at) => {
        gradient[i] += (rewards[k] - rewards[i]) * (terms[at] / total) * worse.slopes[i];
      });
    });
    return { value, gradient };
  },
};
