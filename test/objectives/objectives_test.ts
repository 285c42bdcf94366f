/** Each objective on a group small enough to work out by hand; the derivations stand beside the numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { lossOf, objectives } from "../../lib/objectives/objectives.ts";
import type { Objective, ObjectiveSpec } from "../../lib/objectives/objective.ts";
import { check } from "./_by_hand.ts";

const { log, LN2 } = Math;
const log3 = log(3);

test("vft is −s of the reference, or of the only candidate", () => {
  check("vft", { scores: [-1.5] }, { value: 1.5, gradient: [-1] });
  check("vft", { scores: [-1.5, -0.25], reference: 1 }, { value: 0.25, gradient: [0, -1] });
});

test("rft is the mean −s of the reference and the correct candidates", () => {
  // Kept: candidate 0 (the reference, whatever its label) and 1. (1 + 2) / 2.
  const group = { scores: [-1, -2, -5], correct: [false, true, false], reference: 0 };
  check("rft", group, { value: 1.5, gradient: [-0.5, -0.5, 0] });
});

// exp(s_n − s_p) is 1 for the first negative and 1/2 for the second.
const binary = { scores: [-1, -1, -1 - LN2], correct: [true, false, false] };

test("aft: log(1 + 1 + 1/2)", () => {
  check("aft", binary, { value: log(2.5), gradient: [-1.5 / 2.5, 1 / 2.5, 0.5 / 2.5] });
});

test("aft, dc: the same value, nothing for the negatives", () => {
  check("aft", binary, { options: { constraint: "dc" }, value: log(2.5), gradient: [-0.6, 0, 0] });
});

test("aft, bc: the boundary's terms pull up what lies under it", () => {
  // β = 0: B = −1 and T = 2B − s_p = −1. exp(T − s_n) is 1 for the first negative, 2 for the second: the sum is
  // 1 + 1 + 1/2 + 1 + 2. The first negative is at B, so 1 − 1; the second is under it: 1/2 − 2. T is a constant.
  check("aft", binary, {
    options: { constraint: "bc", beta: 0 },
    value: log(5.5),
    gradient: [-1.5 / 5.5, 0, -1.5 / 5.5],
  });
});

// exp(s_j − s_i): pair (1,2) 2, pair (1,3) 1/2, pair (2,3) 1/4. Rank 1 is best.
const ranked = { scores: [-2, -2 + LN2, -2 - LN2], rank: [1, 2, 3] };

test("aft-rank: log(1 + 2 + 1/2 + 1/4)", () => {
  check("aft-rank", ranked, { value: log(3.75), gradient: [-2.5 / 3.75, 1.75 / 3.75, 0.75 / 3.75] });
  // dc: the 2 of pair (1,2) no longer reaches candidate 2, which keeps −1/4 of pair (2,3).
  check("aft-rank", ranked, {
    options: { constraint: "dc" },
    value: log(3.75),
    gradient: [-2.5 / 3.75, -0.25 / 3.75, 0],
  });
});

test("aft-rank, bc: every worse candidate has its own boundary", () => {
  // β = log 2: B_2 = s_1 − log 2 = −2 − log 2, B_3 = min(s_1, s_2) − log 2 = −2 − log 2 = s_3.
  // exp(2B_j − s_i − s_j): pair (1,2) exp(−3 log 2) = 1/8, (1,3) exp(−log 2) = 1/2, (2,3) exp(−2 log 2) = 1/4.
  // s_2: 2 − 1/8 as the worse of (1,2), −1/4 as the better of (2,3). s_3 is at its boundary: 0.
  check("aft-rank", ranked, {
    options: { constraint: "bc", beta: LN2 },
    value: log(4.625),
    gradient: [-2.5 / 4.625, 1.625 / 4.625, 0],
  });
});

test("rrhf: hinges of the wrongly ordered pairs, and the best's likelihood", () => {
  // s_0 − s_1 = 2 and s_0 − s_2 = 1 are wrongly ordered, s_1 − s_2 = −1 is not. 2·(2 + 1) + 2.
  const group = { scores: [-1, -3, -2], reward: [0, 0.5, 1] };
  check("rrhf", group, { options: { weight: 2 }, value: 8, gradient: [4, -2, -3] });
  check("rrhf", group, { options: { weight: 2, constraint: "dc" }, value: 8, gradient: [0, -2, -3] });
});

test("pro: one softmax over each tail", () => {
  // k=1, T=2: e^{2 s_1} = e^{s_2} = e^{2 s_3} = 1/4, so log(3/4) − log(1/4) = log 3.
  // k=2, T=1: e^{s_2} = 1/4, e^{s_3} = 1/2, so log 3 again. w·(−s_1) = w log 2.
  // s_1: 2(1/3) − 2 − w. s_2: 1·1/3 + 1/3 − 1. s_3: 2·1/3 + 1·2/3.
  const group = { scores: [-LN2, -2 * LN2, -LN2], reward: [2, 1, 0] };
  const value = 2 * log3 + 0.05 * LN2;
  check("pro", group, { value, gradient: [-4 / 3 - 0.05, -1 / 3, 4 / 3] });
  // dc: s_2 keeps its own step's 1/3 − 1; s_3 never leads one.
  check("pro", group, { options: { constraint: "dc" }, value, gradient: [-4 / 3 - 0.05, -2 / 3, 0] });
});

// Log-probs −10 and −10, h = 2 and −1: a margin of 3 nats.
const pair = { scores: [-1, -2], lengths: [10, 5], correct: [true, false], referenceLogprobs: [-12, -9] };

test("dpo: σ(β·3) = 3/4 with β = log(3)/3", () => {
  const beta = log3 / 3;
  const value = log(4 / 3);
  check("dpo", pair, { options: { beta }, value, gradient: [-beta / 4 * 10, beta / 4 * 5] });
  check("dpo", pair, { options: { beta, constraint: "dc" }, value, gradient: [-beta / 4 * 10, 0] });
  // bc: B = −1 − 0.4 = −1.4 replaces s_l = −2, so h_l = −7 + 9 = 2: the margin is 0, σ = 1/2, and s_l is let go.
  check("dpo", pair, {
    options: { beta, constraint: "bc", boundary: 0.4 },
    value: LN2,
    gradient: [-beta / 2 * 10, 0],
  });
});

test("ipo: (3 − 1/(2·0.25))² = 1", () => {
  check("ipo", pair, { options: { beta: 0.25, perToken: 0 }, value: 1, gradient: [20, -10] });
});

test("irpo: dpo and −α s of the better one", () => {
  const beta = log3 / 3;
  check("irpo", pair, {
    options: { beta, sftWeight: 0.5 },
    value: log(4 / 3) + 0.5,
    gradient: [-beta / 4 * 10 - 0.5, beta / 4 * 5],
  });
});

test("kto: each side against the other's reference point", () => {
  // h_p = 2 and h_n = 0, so z_p = 0 and z_n = 2. β·2 = log 3 on both sides: 1 − σ = 1/4 twice, the mean is 1/4.
  // ∂(1 − σ(x))/∂x = −3/16, ∂x/∂s = ±β·length, and the mean halves.
  const group = { ...pair, referenceLogprobs: [-12, -10] };
  const beta = log3 / 2;
  const slope = beta * 3 / 32;
  check("kto", group, { options: { beta }, value: 0.25, gradient: [-slope * 10, slope * 5] });
  check("kto", group, {
    options: { beta, desirableWeight: 3, undesirableWeight: 1 },
    value: 0.5,
    gradient: [-3 * slope * 10, slope * 5],
  });
  // h_n = −1 would make z_p = −1: it is held at 0, so only the negative's term changes, to β·3 = 1.5 log 3.
  check("kto", pair, {
    options: { beta, undesirableWeight: 0 },
    value: 0.125,
    gradient: [-slope * 10, 0],
  });
});

test("simpo: σ(β·difference − γ) = 3/4", () => {
  const group = { scores: [-1, -1 - (log3 + 0.5) / 2], correct: [true, false] };
  check("simpo", group, { options: { beta: 2, gamma: 0.5 }, value: log(4 / 3), gradient: [-0.5, 0.5] });
});

test("orpo: odds 3 against odds 1", () => {
  // p_w = 3/4 (odds 3), p_l = 1/2 (odds 1): σ(log 3) = 3/4. −s_w = log(4/3). do/ds = 1/(1 − p) = 4 and 2.
  // s_w: −1 − λ·1/4·4. s_l: λ·1/4·2.
  const group = { scores: [log(0.75), -LN2], correct: [true, false] };
  check("orpo", group, { options: { lambda: 0.4 }, value: 1.4 * log(4 / 3), gradient: [-1.4, 0.2] });
});

test("bc lets go of what lies at or under the boundary, and only of that", () => {
  // B = −1 − 0.5. Candidate 1 is above it, candidate 2 at it, candidate 3 under it.
  const group = { scores: [-1, -1.2, -1.5, -4], lengths: [1, 1, 1, 1], correct: [true, false, false, false] };
  const { gradient } = lossOf("simpo", group, { constraint: "bc", boundary: 0.5 });
  assert.ok(gradient[1] > 0);
  assert.deepEqual([gradient[2], gradient[3]], [0, 0]);
});

/** The defaults that an objective declares. */
const defaultsOf = (spec: Objective) =>
  Object.fromEntries(Object.entries(spec.options).map(([name, option]) => [name, option.default]));

test("what each objective declares holds together: its name, its defaults, its constraints", () => {
  const group = {
    scores: [-1, -1.5, -0.5],
    lengths: [3, 5, 4],
    correct: [true, false, false],
    rank: [1, 2, 3],
    reward: [3, 2, 1],
    referenceLogprobs: [-4, -7, -3],
    reference: 0,
  };
  for (const [name, spec] of Object.entries(objectives)) {
    assert.equal(spec.name, name);
    assert.deepEqual(lossOf(name, group), lossOf(name, group, defaultsOf(spec)), name);
    const constraints = spec.constraints ?? ["none"];
    assert.ok(constraints.includes(spec.trainingConstraint ?? "none"), name);
    if (constraints.includes("bc")) assert.ok((spec.boundary ?? "boundary") in spec.options, name);
    for (const constraint of constraints) {
      assert.ok(Number.isFinite(lossOf(name, group, { constraint }).value), `${name} ${constraint}`);
    }
    for (const [option, { help, min, above, default: value }] of Object.entries(spec.options)) {
      assert.ok(help.length > 5, `${name} ${option}`);
      assert.ok(value >= (min ?? -Infinity) && value > (above ?? -Infinity), `${name} ${option}`);
    }
  }
});

test("ipo by hand: log-ratios are means over tokens, or with perToken 0 their sums", () => {
  const group = {
    scores: [-1, -2],
    lengths: [4, 10],
    correct: [true, false],
    referenceLogprobs: [-5, -18],
  };
  // Means: h = −1 + 5/4 = 0.25 and −2 + 18/10 = −0.2; 0.45 − 1/(2·0.5) = −0.55; squared 0.3025; slopes ∓1.1.
  const mean = lossOf("ipo", group, { beta: 0.5 });
  assert.ok(Math.abs(mean.value - 0.3025) < 1e-12, `${mean.value}`);
  assert.deepEqual([...mean.gradient].map((g) => Number(g.toFixed(12))), [-1.1, 1.1]);
  // Sums: h = −4 + 5 = 1 and −20 + 18 = −2; 3 − 1 = 2; squared 4; slopes 2·2·4 and −2·2·10.
  const sum = lossOf("ipo", group, { beta: 0.5, perToken: 0 });
  assert.deepEqual([sum.value, ...sum.gradient], [4, 16, -40]);
});

/** Every right candidate above every wrong one by a margin: as somebody else would write it. */
const hinge: ObjectiveSpec<"margin"> = {
  name: "hinge",
  title: "A margin between right and wrong",
  feedback: ["labels"],
  options: { margin: { default: 0.5, min: 0, help: "Distance asked for" } },
  loss({ scores, correct = [] }, { margin }) {
    const gradient = new Float64Array(scores.length);
    let value = 0;
    for (let p = 0; p < scores.length; p++) {
      for (let n = 0; n < scores.length; n++) {
        const gap = margin - (scores[p]! - scores[n]!);
        if (!correct[p] || correct[n] || gap <= 0) continue;
        value += gap;
        gradient[p]! -= 1;
        gradient[n]! += 1;
      }
    }
    return { value, gradient };
  },
};

test("an objective of one's own is used like those of the table, and its faults are one line each", () => {
  const group = { scores: [-1, -1.2, -3], lengths: [1, 1, 1], correct: [true, false, false] };
  // 0.5 − 0.2 for the second; the third is far enough.
  const { value, gradient } = lossOf(hinge, group);
  assert.ok(Math.abs(value - 0.3) < 1e-12);
  assert.deepEqual([...gradient], [-1, 1, 0]);
  assert.ok(Math.abs(lossOf(hinge, group, { margin: 3 }).value - (2.8 + 1)) < 1e-12);
  const line = (spec: unknown, options = {}) => {
    try {
      lossOf(spec as Objective, group, options);
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
    return "";
  };
  assert.equal(
    line(hinge, { margin: -1 }),
    "UsageError: Cannot use margin -1 with objective hinge: expected a number from 0 up",
  );
  assert.equal(
    line(hinge, { margn: 1 }),
    "UsageError: Cannot use option `margn` with objective hinge: it has margin: did you mean margin?",
  );
  assert.equal(
    line(hinge, { constraint: "dc" }),
    'UsageError: Cannot use constraint "dc" with objective hinge: expected none (it compares no candidates)',
  );
  const returning = (result: unknown) => ({ ...hinge, loss: () => result });
  assert.equal(
    line(returning({ value: NaN, gradient: new Float64Array(3) })),
    "InputError: Cannot use objective hinge: its value must be a finite number: got NaN",
  );
  assert.equal(
    line(returning({ value: 1, gradient: new Float64Array(2) })),
    "InputError: Cannot use objective hinge: its gradient must have 3 numbers, one a candidate: got 2",
  );
  assert.equal(
    line(returning({ value: 1 })),
    "InputError: Cannot use objective hinge: its gradient must have 3 numbers, one a candidate: got none",
  );
  assert.equal(
    line(returning({ value: 1, gradient: Float64Array.of(0, Infinity, 0) })),
    "InputError: Cannot use objective hinge: its gradient must be finite: got Infinity for candidate 2",
  );
  assert.equal(
    line(returning(undefined)),
    "InputError: Cannot use objective hinge: its value must be a finite number: got undefined",
  );
  assert.equal(
    line({ ...hinge, name: "" }),
    'UsageError: Cannot use objective without a name: field "name" must be a text: got ""',
  );
  assert.equal(
    line({ ...hinge, loss: 3 }),
    'UsageError: Cannot use objective hinge: field "loss" must be a function: got 3',
  );
  assert.equal(
    line({ ...hinge, options: { margin: {} } }),
    'UsageError: Cannot use objective hinge: option "margin" must have a default that is a number',
  );
  assert.match(line("hing"), /^UsageError: Objective must be one of vft, rft, aft/);
  assert.match(line("dop"), /: did you mean dpo\?$/);
});
