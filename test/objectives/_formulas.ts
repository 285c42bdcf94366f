/**
 * Every objective's formula, written out naively: what `gradient_test.ts` differences.
 *
 * A detached quantity cannot be differenced through the objective itself: moving s_n would move D(s_n) too. So each
 * formula here takes the scores twice, `s` that moves and `d` that stays: D(s_n) reads d, B reads d, and the
 * derivative with respect to s alone is what the objective must return. With s = d it must give the value.
 */
import type { Constraint, ScoredGroup } from "../../lib/objectives/objective.ts";

/** What a formula reads of an objective's options. */
export type Options = Readonly<Record<string, number>> & { readonly constraint: Constraint };
/** A loss of the scores that move and those that stay. */
export type Formula = (
  s: readonly number[],
  d: readonly number[],
  context: { group: ScoredGroup; options: Options },
) => number;

const { exp, log, max, min } = Math;
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const mean = (values: number[]) => sum(values) / values.length;
const nls = (x: number) => log(1 + exp(-x)); // −log σ(x)

/** [better, worse] of a group, by labels or by a field where lower (rank) or higher (reward) is better. */
function pairsBy(group: ScoredGroup, field: "correct" | "rank" | "reward"): [number, number][] {
  const worth = Array.from(group.scores, (_, i) => Number(group[field]![i]) * (field === "rank" ? -1 : 1));
  return worth.flatMap((a, i) => worth.flatMap((b, j): [number, number][] => a > b ? [[i, j]] : []));
}

function boundary(
  d: readonly number[],
  pairs: [number, number][],
  options: { n: number; beta: number },
): number {
  return min(...pairs.filter(([, j]) => j === options.n).map(([i]) => d[i])) - options.beta;
}

/** What a baseline puts in place of s_n. */
function lower(
  s: readonly number[],
  d: readonly number[],
  context: { n: number; pairs: [number, number][]; options: Options },
): number {
  const { n, pairs, options } = context;
  if (options.constraint === "dc") return d[n];
  if (options.constraint === "bc") return max(s[n], boundary(d, pairs, { n, beta: options.boundary }));
  return s[n];
}

function alignment(field: "correct" | "rank"): Formula {
  return (s, d, { group, options }) => {
    const pairs = pairsBy(group, field);
    return log(
      1 + sum(pairs.map(([i, j]) => {
        if (options.constraint === "dc") return exp(d[j] - s[i]);
        if (options.constraint === "none") return exp(s[j] - s[i]);
        const target = 2 * boundary(d, pairs, { n: j, beta: options.beta }) - d[i];
        return exp(s[j] - s[i]) + exp(target - s[j]);
      })),
    );
  };
}

/** Mean over the pairs of labels of a loss of (s_w, the constrained s_l), with their indices. */
function pairwise(
  loss: (
    better: number,
    worse: number,
    context: { w: number; l: number; group: ScoredGroup; options: Options },
  ) => number,
): Formula {
  return (s, d, { group, options }) => {
    const pairs = pairsBy(group, "correct");
    return mean(
      pairs.map(([w, l]) => loss(s[w], lower(s, d, { n: l, pairs, options }), { w, l, group, options })),
    );
  };
}

/** A reference model's pairs: a loss of (h_w, h_l), sums or means over tokens. */
function ratios(
  loss: (better: number, worse: number, options: Options) => number,
  { perToken = false } = {},
): Formula {
  return pairwise((a, b, { w, l, group, options }) => {
    const h = (score: number, i: number) => gain(score, i, group) / (perToken ? group.lengths[i] : 1);
    return loss(h(a, w), h(b, l), options);
  });
}

/** Scores of a loss over a whole group: a constraint holds whatever has a better candidate. */
function belowBest(
  s: readonly number[],
  d: readonly number[],
  context: { group: ScoredGroup; options: Options },
): number[] {
  const pairs = pairsBy(context.group, "reward");
  return s.map((score, n) =>
    pairs.some(([, worse]) => worse === n) ? lower(s, d, { n, pairs, options: context.options }) : score
  );
}

/** −mean A ρ; ρ of the candidate's length, its score, and the score that stays. */
function policy(
  field: "correct" | "reward",
  advantages: (rewards: number[]) => number[],
  ratio: (change: number, context: { length: number; options: Options }) => number,
): Formula {
  return (s, d, { group, options }) => {
    const rewards = Array.from(group.scores, (_, i) => Number(group[field]![i]));
    const pairs = pairsBy(group, field);
    return -mean(
      advantages(rewards).map((A, n) => {
        const held = (score: readonly number[]) => A < 0 ? lower(score, d, { n, pairs, options }) : score[n];
        return A * ratio(held(s) - held(d), { length: group.lengths[n], options });
      }),
    );
  };
}

const away = (r: number[]) => r.map((one) => one - mean(r));
const normal = (r: number[]) => {
  const deviation = Math.sqrt(sum(away(r).map((x) => x * x)) / (r.length - 1));
  return away(r).map((x) => x / (deviation + 1e-4));
};
const response = (change: number, { length }: { length: number }) => exp(change * length);
const preferred = (r: readonly number[], alpha: number) => {
  const powers = r.map((one) => exp(one / alpha));
  return powers.map((power) => power / sum(powers));
};
const σ = (x: number) => 1 / (1 + exp(-x));

const gain = (score: number, i: number, group: ScoredGroup) =>
  score * group.lengths[i] - group.referenceLogprobs![i];
const odds = (score: number) => log(exp(score) / (1 - exp(score)));

/** By the objective's name. */
export const formulas: Record<string, Formula> = {
  vft: (s, _, { group }) => -s[group.reference!],
  rft: (s, _, { group }) => mean(group.correct!.flatMap((right, i) => right ? [-s[i]] : [])),
  aft: alignment("correct"),
  "aft-rank": alignment("rank"),
  rrhf: (s, d, { group, options }) => {
    const pairs = pairsBy(group, "reward");
    const best = group.reward!.indexOf(max(...group.reward!));
    return options.weight * sum(pairs.map(([j, i]) => max(0, lower(s, d, { n: i, pairs, options }) - s[j]))) -
      s[best];
  },
  pro: (s, d, { group, options }) => {
    const pairs = pairsBy(group, "reward");
    const r = group.reward!;
    const order = r.map((_, i) => i).sort((a, b) => r[b] - r[a]);
    const steps = order.slice(0, -1).map((k, at) => {
      const rest = order.slice(at + 1);
      const T = max(...rest.map((i) => r[k] - r[i]));
      const others = rest.map((i) => exp(lower(s, d, { n: i, pairs, options }) * (r[k] - r[i])));
      return log(exp(s[k] * T) + sum(others)) - s[k] * T;
    });
    return sum(steps) - options.sftWeight * s[order[0]];
  },
  dpo: pairwise((a, b, { w, l, group, options }) =>
    nls(options.beta * (gain(a, w, group) - gain(b, l, group)))
  ),
  ipo: pairwise((a, b, { w, l, group, options }) =>
    (gain(a, w, group) / group.lengths[w] - gain(b, l, group) / group.lengths[l] - 1 / (2 * options.beta)) **
      2
  ),
  irpo: pairwise((a, b, { w, l, group, options }) =>
    nls(options.beta * (gain(a, w, group) - gain(b, l, group))) - options.sftWeight * a
  ),
  simpo: pairwise((a, b, { options }) => nls(options.beta * (a - b) - options.gamma)),
  orpo: (s, d, context) =>
    pairwise((a, b, { options }) => options.lambda * nls(odds(a) - odds(b)))(s, d, context) - s[0],
  kto: (s, d, { group, options }) => {
    const pairs = pairsBy(group, "correct");
    return mean(s.map((score, i) => {
      const siblings = d.flatMap((other, j) => j === i ? [] : [gain(other, j, group)]);
      const z = max(0, mean(siblings));
      if (group.correct![i]) {
        return options.desirableWeight / (1 + exp(options.beta * (gain(score, i, group) - z)));
      }
      const held = lower(s, d, { n: i, pairs, options });
      return options.undesirableWeight / (1 + exp(options.beta * (z - gain(held, i, group))));
    }));
  },
  "dpo-norm": ratios((w, l, { beta }) => nls(beta * (w - l)), { perToken: true }),
  dpop: ratios((w, l, { beta, lambda }) => nls(beta * (w - l - lambda * max(0, -w)))),
  robust: ratios((w, l, { beta, labelSmoothing: e }) =>
    ((1 - e) * nls(beta * (w - l)) - e * nls(beta * (l - w))) / (1 - 2 * e)
  ),
  hinge: ratios((w, l, { beta }) => max(0, 1 - beta * (w - l))),
  "apo-zero": ratios((w, l, { beta }) => 1 - σ(beta * w) + σ(beta * l)),
  "apo-down": ratios((w, l, { beta }) => σ(beta * w) + 1 - σ(beta * (w - l))),
  cpo: pairwise((a, b, { w, l, group, options }) =>
    nls(options.beta * (a * group.lengths[w] - b * group.lengths[l])) - options.sftWeight * a
  ),
  infonca: (s, d, context) => {
    const { group, options: { alpha, beta } } = context, q = preferred(group.reward!, alpha);
    const z = belowBest(s, d, context).map((score, i) => beta * gain(score, i, group));
    return -sum(q.map((share, i) => share * log(exp(z[i]) / sum(z.map(exp)))));
  },
  nca: (s, d, context) => {
    const { group, options: { alpha, beta } } = context, q = preferred(group.reward!, alpha);
    const z = belowBest(s, d, context).map((score, i) => beta * gain(score, i, group));
    return sum(z.map((x, i) => q[i] * nls(x) + nls(-x) / z.length));
  },
  scpo: (s, d, { group, options }) => {
    const r = group.reward!, pairs = pairsBy(group, "reward");
    const w = r.indexOf(max(...r)), l = r.indexOf(min(...r));
    const held = lower(s, d, { n: l, pairs, options });
    return (r[w] - r[l]) *
      (nls(options.beta * (gain(s[w], w, group) - gain(held, l, group))) - options.sftWeight * s[w]);
  },
  rloo: policy("reward", (r) => r.map((one) => one - (sum(r) - one) / (r.length - 1)), response),
  grpo: policy("reward", normal, (change) => exp(change)),
  "dr-grpo": policy(
    "reward",
    away,
    (change, { length, options }) => length / options.divisor * exp(change),
  ),
  "reinforce-rej": policy("correct", (r) => r.map((right) => right ? 1 : -1), response),
  psr: policy("correct", (r) => r, response),
  nsr: policy("correct", (r) => r.map((right) => right - 1), response),
  gspo: (s, d, { group, options }) => {
    const pairs = pairsBy(group, "reward");
    return -mean(
      normal([...group.reward!]).map((A, n) => {
        const held = A < 0 ? lower(s, d, { n, pairs, options }) : s[n];
        const ratio = exp(held - group.referenceLogprobs![n] / group.lengths[n]);
        return min(A * ratio, A * min(max(ratio, 1 - options.epsilon), 1 + options.epsilonHigh));
      }),
    );
  },
  "a-star-po": (s, d, context) => {
    const { group, options: { alpha, beta } } = context, r = [...group.reward!];
    const V = alpha * log(mean(r.map((one) => exp(one / alpha))));
    return mean(
      belowBest(s, d, context).map((score, i) => (beta * gain(score, i, group) - (r[i] - V)) ** 2),
    );
  },
};
