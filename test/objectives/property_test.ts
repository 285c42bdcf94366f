/** What holds for every objective: order, tiers, ties, constraints and extremes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findObjective, lossOf, type ObjectiveOptions, objectives } from "../../lib/objectives/objectives.ts";
import type { Constraint, ScoredGroup } from "../../lib/objectives/objective.ts";

const names = Object.keys(objectives);
const every = names.flatMap((name) =>
  (findObjective(name).constraints ?? ["none"]).map((constraint) => ({ name, constraint }))
);

/** Those that average over the pairs of a group, and nothing else. */
const pairwise = ["dpo", "dpo-norm", "dpop", "robust", "ipo", "hinge", "apo-zero", "apo-down"]
  .concat("irpo", "simpo", "orpo", "cpo");
/** Policy gradients, which compare a sample with its siblings. */
const policies = ["rloo", "grpo", "dr-grpo", "gspo", "reinforce-rej"];

/** Three right and two wrong candidates of unequal length, with feedback of every kind. */
const group: ScoredGroup = {
  scores: [-0.9, -1.4, -0.7, -2.6, -1.1],
  lengths: [9, 14, 4, 11, 6],
  correct: [true, true, false, false, true],
  rank: [2, 1, 3, 3, 2],
  reward: [0.3, 0.9, 0.1, 0.5, 0.7],
  referenceLogprobs: [-9.5, -19, -3.5, -27, -7.2],
  reference: 4,
};

function pick(group: ScoredGroup, order: readonly number[]): ScoredGroup {
  const take = <T>(values: ArrayLike<T> | undefined) => values && order.map((i) => values[i]);
  const reference = group.reference === undefined ? -1 : order.indexOf(group.reference);
  return {
    scores: take(group.scores)!,
    lengths: take(group.lengths)!,
    correct: take(group.correct),
    rank: take(group.rank),
    reward: take(group.reward),
    referenceLogprobs: take(group.referenceLogprobs),
    ...(reference < 0 ? {} : { reference }),
  };
}

function close(found: number, expected: number, where: string): void {
  const allowed = 1e-12 * Math.max(1, Math.abs(expected));
  assert.ok(Math.abs(found - expected) <= allowed, `${where}: ${found}, expected ${expected}`);
}

function run(name: string, group: ScoredGroup, options?: ObjectiveOptions) {
  const result = lossOf(name, group, options);
  assert.ok(Number.isFinite(result.value), `${name} ${JSON.stringify(options)}: value ${result.value}`);
  assert.equal(result.gradient.length, group.scores.length);
  assert.ok(result.gradient.every(Number.isFinite), `${name} ${JSON.stringify(options)}: ${result.gradient}`);
  return result;
}

for (const { name, constraint } of every) {
  test(`${name}, ${constraint}: the order of the candidates does not matter`, () => {
    const plain = run(name, group, { constraint });
    for (const order of [[4, 3, 2, 1, 0], [2, 4, 0, 3, 1], [1, 0, 4, 2, 3]]) {
      const shuffled = run(name, pick(group, order), { constraint });
      close(shuffled.value, plain.value, "value");
      order.forEach((from, to) => close(shuffled.gradient[to], plain.gradient[from], `gradient of ${from}`));
    }
  });
}

test("two tiers of ranks or rewards equal the labels", () => {
  const { correct, rank: _rank, reward: _reward, ...numbers } = group;
  const byLabels = { ...numbers, correct };
  const byRanks = { ...numbers, rank: correct!.map((right) => right ? 1 : 2) };
  const byRewards = { ...numbers, reward: correct!.map((right) => right ? 1 : 0) };
  const constraints: Constraint[] = ["none", "dc", "bc"];
  for (const constraint of constraints) {
    const same = [
      ["aft", "aft-rank"],
      ...[...pairwise, "rrhf", "pro", "nca", "infonca"].map((n) => [n, n]),
    ];
    for (const [labelled, ranked] of same) {
      assert.deepEqual(
        run(ranked, byRanks, { constraint }),
        run(labelled, byLabels, { constraint }),
        `${labelled} ${constraint}`,
      );
    }
    for (const name of ["rrhf", "pro", "nca", "rloo", "grpo", "dr-grpo", "gspo", "a-star-po"]) {
      const accepted = findObjective(name).constraints!;
      assert.ok(accepted.includes(constraint));
      assert.deepEqual(run(name, byRewards, { constraint }), run(name, byLabels, { constraint }), name);
    }
  }
});

test("aft counts pairs, the others average over them: each wrong candidate twice", () => {
  const doubled = pick(group, [0, 1, 2, 3, 4, 2, 3]);
  // Two of each pair: e^L − 1 doubles.
  close(Math.expm1(run("aft", doubled).value), 2 * Math.expm1(run("aft", group).value), "aft");
  for (const name of pairwise) {
    close(run(name, doubled).value, run(name, group).value, name);
  }
});

test("one right candidate among 63 wrong ones, and the reverse", () => {
  const order = Array.from({ length: 64 }, (_, i) => i === 0 ? 0 : 2);
  for (const swap of [false, true]) {
    const large = pick({ ...group, ...(swap && { correct: group.correct!.map((right) => !right) }) }, order);
    for (const { name, constraint } of every) {
      if (name === "vft") continue; // it reads the reference alone, and this group has none
      const { gradient } = run(name, { ...large, rank: large.correct!.map((right) => right ? 1 : 2) }, {
        constraint,
      });
      // The candidates that are alike get the same derivative, but the leader of a tie has a likelihood term.
      if (!["vft", "rft", "rrhf", "pro", "scpo"].includes(name)) {
        const alike = Array.from(gradient.subarray(2));
        alike.forEach((slope) => close(slope, alike[0], name));
      }
    }
    // 63 pairs with exp(s_n − s_p) = e^{±0.2}.
    close(run("aft", large).value, Math.log(1 + 63 * Math.exp(swap ? -0.2 : 0.2)), "aft");
  }
});

test("ties make no pair", () => {
  const tied = { ...group, rank: [3, 3, 3, 3, 3], reward: [2, 2, 2, 2, 2] };
  const { correct: _, ...unlabelled } = tied;
  const ofRewards = ["rloo", "grpo", "dr-grpo", "gspo", "scpo"];
  for (const name of ["aft-rank", ...pairwise, ...ofRewards]) {
    assert.deepEqual(run(name, unlabelled), { value: 0, gradient: new Float64Array(5) }, name);
  }
  // Only the likelihood of the best is left: of the tie, the reference.
  assert.deepEqual(run("rrhf", tied), { value: 1.1, gradient: Float64Array.of(0, 0, 0, 0, -1) });
  assert.deepEqual(run("pro", tied, { sftWeight: 1 }), {
    value: 1.1,
    gradient: Float64Array.of(0, 0, 0, 0, -1),
  });
  // Equal scores are no tie: log(1 + 1) and half each.
  assert.deepEqual(run("aft", { scores: [-1, -1], lengths: [2, 3], correct: [true, false] }), {
    value: Math.LN2,
    gradient: Float64Array.of(-0.5, 0.5),
  });
});

test("an empty group and a group of one side give 0", () => {
  const { reference: _, ...anonymous } = group;
  const empty = pick(anonymous, []);
  for (const { name, constraint } of every) {
    assert.deepEqual(Math.abs(run(name, empty, { constraint }).value), 0, name);
    assert.deepEqual(run(name, { scores: [], lengths: [] }, { constraint }).gradient.length, 0, name);
  }
  for (const right of [true, false]) {
    const oneSided = {
      ...anonymous,
      correct: group.correct!.map(() => right),
      rank: group.rank!.map(() => 1),
    };
    const { reward: _, ...unrewarded } = oneSided;
    for (const name of ["aft", "aft-rank", "kto", ...pairwise, ...policies]) {
      for (const constraint of (findObjective(name).constraints ?? ["none"])) {
        const result = run(name, unrewarded, { constraint });
        assert.deepEqual(result, { value: 0, gradient: new Float64Array(5) }, `${name} ${constraint}`);
      }
    }
  }
  assert.equal(run("rft", { ...anonymous, correct: [false, false, false, false, false] }).value, 0);
});

test("−∞, −1e4, 0 and very long responses give finite numbers everywhere", () => {
  const extremes = [-Infinity, -1e4, -1e300, -0.5, -1e-9, 0];
  for (const a of extremes) {
    for (const b of extremes) {
      for (const length of [1, 1e6]) {
        const group: ScoredGroup = {
          scores: [a, b, a, -1],
          lengths: [length, 3, 1, length],
          correct: [true, false, false, true],
          rank: [1, 4, 2, 3],
          reward: [4, -3, 2, 1],
          referenceLogprobs: [b * length, -1, -Infinity, -2],
          reference: 0,
        };
        for (const { name, constraint } of every) run(name, group, { constraint });
      }
    }
  }
});

test("aft does not overflow, and keeps the digits of a loss near 0", () => {
  const of = (right: number, wrong: number, options?: ObjectiveOptions) =>
    run("aft", { scores: [right, wrong], lengths: [5, 5], correct: [true, false] }, options);
  // log(1 + e^9999) = 9999; e^9999 alone is ∞.
  assert.deepEqual(of(-1e4, -1), { value: 9999, gradient: Float64Array.of(-1, 1) });
  // log(1 + e^−50) = e^−50, which 1 + e^−50 rounds away.
  close(of(-1, -51).value / Math.exp(-50), 1, "relative value");
  // A right candidate without probability takes the whole gradient; a wrong one takes none.
  assert.deepEqual(of(-Infinity, -1).gradient, Float64Array.of(-1, 1));
  assert.equal(of(-1, -Infinity).value, 0);
});

test("orpo's log-odds keep their digits near a probability of 1", () => {
  const delta = 1.5e-6;
  const { value, gradient } = run(
    "orpo",
    { scores: [-delta, -2 * delta], lengths: [5, 5], correct: [true, false] },
    { lambda: 1 },
  );
  // log(1 − e^−δ) = log δ − δ/2 + O(δ²), so o(−δ) − o(−2δ) = (−log δ − δ/2) − (−log 2δ − δ) = log 2 + δ/2.
  const expected = delta + Math.log1p(Math.exp(-Math.LN2 - delta / 2));
  assert.ok(Math.abs(value - expected) < 1e-12, `value ${value}, expected ${expected}`);
  // do/ds ≈ 1/2δ times 1 − σ(log 2) = 1/3.
  assert.ok(Math.abs(gradient[1] * 3 * 2 * delta - 1) < 1e-5, `gradient ${gradient}`);
});

test("dc keeps the value and frees the wrong candidates", () => {
  for (const name of ["aft", "kto", ...pairwise]) {
    const none = run(name, group);
    const dc = run(name, group, { constraint: "dc" });
    assert.equal(dc.value, none.value, name);
    assert.deepEqual([dc.gradient[2], dc.gradient[3]], [0, 0], name);
    assert.ok(none.gradient[2] !== 0, name);
    assert.deepEqual([0, 1, 4].map((i) => dc.gradient[i]), [0, 1, 4].map((i) => none.gradient[i]), name);
  }
});

test("bc with an infinite boundary is none", () => {
  for (const { name, constraint } of every) {
    if (constraint !== "bc") continue;
    assert.deepEqual(
      run(name, group, { constraint, [findObjective(name).boundary ?? "boundary"]: Infinity }),
      run(name, group),
      name,
    );
  }
});

test("aft, bc: pushes down above the boundary, pulls up below it, leaves alone what is at it", () => {
  const slope = (wrong: number) =>
    run("aft", { scores: [-1, -0.5, wrong], lengths: [1, 1, 1], correct: [true, true, false] }, {
      constraint: "bc",
      beta: 0.5,
    }).gradient[2];
  assert.ok(slope(-1.4) > 0);
  assert.equal(slope(-1.5), 0);
  assert.ok(slope(-1.6) < 0);
});

test("rrhf: bc is none, as the doc comment says", () => {
  assert.deepEqual(run("rrhf", group, { constraint: "bc", boundary: 0 }), run("rrhf", group));
});
