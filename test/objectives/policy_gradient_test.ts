/** Policy gradients on a model's own samples, worked out by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findObjective, lossOf, objectives } from "../../lib/objectives/objectives.ts";
import { check } from "./_by_hand.ts";

const { log, LN2, SQRT1_2 } = Math;

test("rloo: each against the mean of the others", () => {
  // A = 1 − 0, 0 − 1/2, 0 − 1/2; the slope is the length, a third of each.
  const group = { scores: [-1, -2, -3], lengths: [4, 2, 6], correct: [true, false, false] };
  check("rloo", group, { value: 0, gradient: [-4 / 3, 1 / 3, 1] });
  check("rloo", group, { options: { constraint: "dc" }, value: 0, gradient: [-4 / 3, 0, 0] });
  // B = −1 − 1: the second is at it, the third under it.
  check("rloo", group, { options: { constraint: "bc", boundary: 1 }, value: 0, gradient: [-4 / 3, 0, 0] });
  check("rloo", group, {
    options: { constraint: "bc", boundary: 1.5 },
    value: 0,
    gradient: [-4 / 3, 1 / 3, 0],
  });
  // Rewards come before labels: A = 0.6 − (0.2 + 0.4)/2 and so on.
  check("rloo", { ...group, reward: [0.6, 0.2, 0.4] }, {
    value: 0,
    gradient: [-0.3 * 4 / 3, 0.3 * 2 / 3, 0],
  });
});

test("grpo: over the deviation, and no length", () => {
  // Deviation of 1 and 0 with n − 1: √(1/2).
  const A = 0.5 / (SQRT1_2 + 1e-4);
  const group = { scores: [-1, -2], lengths: [4, 600], correct: [true, false] };
  check("grpo", group, { value: 0, gradient: [-A / 2, A / 2] });
});

test("dr-grpo: the length over a constant", () => {
  // −½ (½ · 4/8 − ½ · 6/8) = 1/16
  const group = { scores: [-1, -2], lengths: [4, 6], correct: [true, false] };
  check("dr-grpo", group, { options: { divisor: 8 }, value: 1 / 16, gradient: [-0.125, 0.1875] });
});

test("reinforce-rej: plus and minus one, and nothing from a question all right or all wrong", () => {
  const group = { scores: [-1, -2, -1], lengths: [4, 6, 8], correct: [true, false, false] };
  check("reinforce-rej", group, { value: 1 / 3, gradient: [-4 / 3, 2, 8 / 3] });
  for (const one of [true, false]) {
    check("reinforce-rej", { ...group, correct: [one, one, one] }, { value: 0, gradient: [0, 0, 0] });
  }
});

test("psr raises right samples, nsr lowers wrong ones", () => {
  const group = { scores: [-1, -2], lengths: [4, 6], correct: [true, false] };
  check("psr", group, { value: -0.5, gradient: [-2, 0] });
  check("nsr", group, { value: 0.5, gradient: [0, 3] });
  const wrong = { ...group, correct: [false, false] };
  check("psr", wrong, { value: 0, gradient: [0, 0] });
  check("nsr", wrong, { value: 1, gradient: [2, 3] });
  // Nothing is better, so there is no boundary to fall to.
  check("nsr", wrong, { options: { constraint: "bc" }, value: 1, gradient: [0, 0] });
  check("nsr", wrong, { options: { constraint: "bc", boundary: Infinity }, value: 1, gradient: [2, 3] });
  assert.throws(() => lossOf("nsr", group, { constraint: "dc" }), {
    message: 'Cannot use constraint "dc" with objective nsr: expected none, bc',
  });
});

test("gspo: a ratio of 1 moves, one that is clipped does not", () => {
  const A = 0.5 / (SQRT1_2 + 1e-4);
  // exp(−1 + 4/4) = 1 and exp(−2 + 1.5 · 6/6) = e^−½, under 1 − ε: A < 0 takes the clipped one, without slope.
  const group = { scores: [-1, -2], lengths: [4, 6], correct: [true, false], referenceLogprobs: [-4, -9] };
  check("gspo", group, { options: { epsilon: 0.25 }, value: (-A + A * 0.75) / 2, gradient: [-A / 2, 0] });
  // e^½ for the wrong one: min takes the larger loss, which moves.
  check("gspo", { ...group, referenceLogprobs: [-4, -15] }, {
    value: (-A + A * Math.exp(0.5)) / 2,
    gradient: [-A / 2, A * Math.exp(0.5) / 2],
  });
});

test("gspo: a ratio beyond e^20 is a number still", () => {
  const group = { scores: [0, 0], lengths: [1, 1], correct: [true, false], referenceLogprobs: [0, -1000] };
  const { value, gradient } = lossOf("gspo", group);
  assert.ok(Number.isFinite(value) && gradient[1]! > 1e8 && gradient[1]! < 1e9, `${value} ${gradient}`);
});

test("a-star-po: β₂ h against r − V", () => {
  // r = log 3 and 0, β₁ = 1: V = log((3 + 1)/2) = log 2. h = 0 and 10: errors −log 1.5, and 0.1 · 10 + log 2.
  const group = {
    scores: [-1, -2],
    lengths: [4, 6],
    reward: [log(3), 0],
    referenceLogprobs: [-4, -22],
  };
  check("a-star-po", group, {
    options: { alpha: 1, beta: 0.1 },
    value: (log(1.5) ** 2 + (1 + LN2) ** 2) / 2,
    gradient: [-log(1.5) * 0.1 * 4, (1 + LN2) * 0.1 * 6],
  });
});

test("one sample, and samples of one reward, move no policy gradient", () => {
  const names = Object.keys(objectives).filter((name) => {
    const { trainsOn, learnsFrom = "pair" } = findObjective(name);
    return trainsOn === "samples" && learnsFrom === "pair";
  });
  assert.deepEqual(names, ["scpo", "rloo", "grpo", "dr-grpo", "gspo", "reinforce-rej"]);
  for (const name of names) {
    for (const count of [1, 3]) {
      const all = <T>(value: T) => Array.from({ length: count }, () => value);
      const group = { scores: all(-1), lengths: all(5), correct: all(true), referenceLogprobs: all(-5) };
      const { value, gradient } = lossOf(name, { ...group, reward: all(0.1) });
      assert.deepEqual([value, ...gradient], [0, ...all(0)], `${name} ${count}`);
    }
  }
});
