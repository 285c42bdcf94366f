/** Objectives with a reference model, on pairs and on whole groups, worked out by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { lossOf } from "../../lib/objectives/objectives.ts";
import { check } from "./_by_hand.ts";

const { log, LN2 } = Math;
const log3 = log(3);

// Log-probs −10 and −10. h = 2 and −1, a margin of 3 nats; over the lengths 0.2 and −0.2, a margin of 0.4.
const pair = { scores: [-1, -2], lengths: [10, 5], correct: [true, false], referenceLogprobs: [-12, -9] };
// h = 2 and 0.
const anchored = { ...pair, referenceLogprobs: [-12, -10] };

test("conservative dpo: a tenth of log σ(−z), σ(z) = 3/4", () => {
  // dL/dz = 0.1 · 3/4 − 0.9 · 1/4 = −0.15
  const beta = log3 / 3;
  check("dpo", pair, {
    options: { beta, labelSmoothing: 0.1 },
    value: 0.9 * log(4 / 3) + 0.1 * log(4),
    gradient: [-0.15 * beta * 10, 0.15 * beta * 5],
  });
});

test("dpo-norm: σ(β·0.4) = 3/4, and no length in the derivative", () => {
  const beta = log3 / 0.4;
  check("dpo-norm", pair, { options: { beta }, value: log(4 / 3), gradient: [-beta / 4, beta / 4] });
  check("dpo-norm", pair, {
    options: { beta, labelSmoothing: 0.1, constraint: "dc" },
    value: 0.9 * log(4 / 3) + 0.1 * log(4),
    gradient: [-0.15 * beta, 0],
  });
});

test("robust: what is left when the noise is taken out", () => {
  // [0.9 log(4/3) − 0.1 log 4] / 0.8, and −[0.9 · 1/4 + 0.1 · 3/4] / 0.8 = −0.375.
  const beta = log3 / 3;
  check("robust", pair, {
    options: { beta, labelSmoothing: 0.1 },
    value: (0.9 * log(4 / 3) - 0.1 * log(4)) / 0.8,
    gradient: [-3.75 * beta, 1.875 * beta],
  });
  assert.deepEqual(lossOf("robust", pair, { labelSmoothing: 0 }), lossOf("dpo", pair));
});

test("dpop pays for a better one under the reference, and is dpo above it", () => {
  // h = −1 and −1: z = β (0 − λ) = −log 3, so σ(−z) = 3/4, and h_w counts 1 + λ times.
  const under = { ...pair, referenceLogprobs: [-9, -9] };
  check("dpop", under, {
    options: { beta: log3, lambda: 1 },
    value: log(4),
    gradient: [-2 * log3 * 0.75 * 10, log3 * 0.75 * 5],
  });
  assert.deepEqual(lossOf("dpop", pair, { beta: 0.1 }), lossOf("dpo", pair));
});

test("hinge: 1 − β·3, and nothing once that is under 0", () => {
  check("hinge", pair, { options: { beta: 0.25 }, value: 0.25, gradient: [-2.5, 1.25] });
  check("hinge", pair, { options: { beta: 0.5 }, value: 0, gradient: [0, 0] });
});

test("apo-zero: 1 − 3/4 and 1/2; apo-down: 3/4 and 1 − 3/4", () => {
  // β h = log 3 and 0; σ' is 3/16 and 1/4.
  const beta = log3 / 2;
  check("apo-zero", anchored, {
    options: { beta },
    value: 0.75,
    gradient: [-beta * 3 / 16 * 10, beta / 4 * 5],
  });
  // The better one's fall and its lead cancel here.
  check("apo-down", anchored, { options: { beta }, value: 1, gradient: [0, beta * 3 / 16 * 5] });
});

test("cpo: equal log-probs, so log 2, and the likelihood of the better one", () => {
  check("cpo", pair, {
    options: { beta: 0.2, sftWeight: 0.5 },
    value: LN2 + 0.5,
    gradient: [-0.2 / 2 * 10 - 0.5, 0.2 / 2 * 5],
  });
});

test("infonca: the cross entropy of what is preferred, by hand", () => {
  const beta = log3 / 2; // softmax of log 3 and 0: 3/4 and 1/4
  const even = { ...anchored, correct: undefined, reward: [1, 1] };
  check("infonca", even, {
    options: { beta },
    value: (log(4 / 3) + log(4)) / 2,
    gradient: [beta / 4 * 10, -beta / 4 * 5],
  });
  // Preferred as it is: α = 1, r = log 3 and 0.
  check("infonca", { ...even, reward: [log3, 0] }, {
    options: { beta },
    value: 0.75 * log(4 / 3) + 0.25 * log(4),
    gradient: [0, 0],
  });
  // With α near 0 and two candidates: dpo.
  const hard = lossOf("infonca", pair, { alpha: 1e-3 }), dpo = lossOf("dpo", pair);
  assert.ok(Math.abs(hard.value - dpo.value) < 1e-12);
  hard.gradient.forEach((slope, i) => assert.ok(Math.abs(slope - dpo.gradient[i]!) < 1e-12));
});

test("nca: q of log σ(β h), and of all candidates alike log σ(−β h)", () => {
  const beta = log3 / 2;
  // ½ log(4/3) + ½ log 4 of the first, ½ log 2 twice of the second, which has no slope: ½ · ½ − ½ · ½.
  check("nca", { ...anchored, correct: undefined, reward: [1, 1] }, {
    options: { beta },
    value: (log(4 / 3) + log(4)) / 2 + LN2,
    gradient: [beta * (0.75 - 0.25) / 2 * 10, 0],
  });
  // The pair form that TRL has: −log σ(z_w) − ½ log σ(−z_w) − ½ log σ(−z_l), z = log 3 and −½ log 3.
  const { value } = lossOf("nca", pair, { alpha: 1e-3, beta });
  const expected = log(4 / 3) + log(4) / 2 + log(1 + 1 / Math.sqrt(3)) / 2;
  assert.ok(Math.abs(value - expected) < 1e-12);
});

test("scpo: the vote's margin weighs dpo and the likelihood", () => {
  const beta = log3 / 3, voted = { ...pair, correct: undefined, reward: [0.75, 0.25] };
  check("scpo", voted, {
    options: { beta, sftWeight: 0.5 },
    value: 0.5 * (log(4 / 3) + 0.5),
    gradient: [-0.5 * (beta / 4 * 10 + 0.5), 0.5 * beta / 4 * 5],
  });
  check("scpo", { ...voted, reward: [0.5, 0.5] }, { value: 0, gradient: [0, 0] });
});

test("a constraint on a whole group holds all but the best", () => {
  const group = {
    scores: [-1, -1.1, -3],
    lengths: [4, 5, 6],
    reward: [1, 0.5, 0],
    referenceLogprobs: [-4, -5, -20],
  };
  for (const name of ["nca", "infonca", "a-star-po"]) {
    const none = lossOf(name, group).gradient, dc = lossOf(name, group, { constraint: "dc" }).gradient;
    const bc = lossOf(name, group, { constraint: "bc", boundary: 0.5 }).gradient;
    assert.ok(none.every((slope) => slope !== 0), name);
    assert.deepEqual(Array.from(dc, (slope) => slope !== 0), [true, false, false], name);
    // B of the last is −1.1 − 0.5, which it is under.
    assert.deepEqual(Array.from(bc, (slope) => slope !== 0), [true, true, false], name);
  }
});
