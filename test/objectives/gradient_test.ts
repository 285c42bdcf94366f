/**
 * Gradients against central differences of formulas written out naively.
 *
 * A detached quantity cannot be differenced through the objective itself: moving s_n would move D(s_n) too. So each
 * formula here takes the scores twice, `s` that moves and `d` that stays: D(s_n) reads d, B reads d, and the
 * derivative with respect to s alone is what the objective must return. With s = d it must give the value.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findObjective, lossOf, objectives } from "../../lib/objectives/objectives.ts";
import type { Constraint, ScoredGroup } from "../../lib/objectives/objective.ts";

type Options =
  & Record<
    | "beta"
    | "boundary"
    | "gamma"
    | "lambda"
    | "weight"
    | "sftWeight"
    | "desirableWeight"
    | "undesirableWeight",
    number
  >
  & {
    constraint: Constraint;
  };
type Formula = (
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

const gain = (score: number, i: number, group: ScoredGroup) =>
  score * group.lengths[i] - group.referenceLogprobs![i];
const odds = (score: number) => log(exp(score) / (1 - exp(score)));

const formulas: Record<string, Formula> = {
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
};

// Candidate 0 is right, so that it is the reference and ORPO's best. Of the negatives one lies far under the
// boundary and one above every positive; rewards, ranks and labels disagree on purpose.
const groups: ScoredGroup[] = [
  {
    scores: [-0.9, -1.4, -0.7, -2.6, -1.1],
    lengths: [9, 14, 4, 11, 6],
    correct: [true, true, false, false, false],
    rank: [2, 1, 3, 4, 2],
    reward: [0.3, 0.9, 0.1, 0.5, 0.7],
    referenceLogprobs: [-9.5, -19, -3.5, -27, -7.2],
    reference: 0,
  },
  {
    scores: [-0.31, -0.12],
    lengths: [3, 8],
    correct: [true, false],
    rank: [1, 2],
    reward: [1, -0.5],
    referenceLogprobs: [-1.2, -1.1],
    reference: 0,
  },
];

for (const [name, formula] of Object.entries(formulas)) {
  for (const constraint of (findObjective(name).constraints ?? ["none"])) {
    test(`${name}, ${constraint}: value and finite differences of the formula`, () => {
      for (const group of groups) {
        const spec = findObjective(name), defaults: Record<string, number> = {};
        for (const [option, declared] of Object.entries(spec.options)) defaults[option] = declared.default;
        if ("boundary" in spec.options) defaults.boundary = 0.35;
        const options = { ...defaults, constraint } as unknown as Options;
        const { value, gradient } = lossOf(name, group, options);
        const scores = Array.from(group.scores);
        const expected = formula(scores, scores, { group, options });
        assert.ok(Math.abs(value - expected) < 1e-10, `value ${value}, expected ${expected}`);
        for (let i = 0; i < scores.length; i++) {
          const step = 1e-5;
          const at = (by: number) =>
            formula(scores.map((s, j) => j === i ? s + by : s), scores, { group, options });
          const slope = (at(step) - at(-step)) / (2 * step);
          const allowed = 1e-7 * max(1, Math.abs(slope));
          assert.ok(Math.abs(gradient[i] - slope) < allowed, `∂/∂s_${i}: ${gradient[i]}, expected ${slope}`);
        }
      }
    });
  }
}

test("every objective has a formula here", () => {
  assert.deepEqual(Object.keys(formulas).sort(), Object.keys(objectives).sort());
});
