import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../lib/data/random.ts";
import { type HealthMetrics, watchHealth } from "../../lib/train/health.ts";

type Figures = Omit<HealthMetrics, "step" | "gradient_norm"> & { readonly gradient_norm?: number };

/** What a run is told whose line at step s has these figures; lines at `every` steps from step 1 on, as a trainer logs. */
function told(
  steps: number,
  figures: (step: number) => Figures,
  options: { readonly every?: number } & Parameters<typeof watchHealth>[0] = {},
): string[] {
  const { every = 10, ...rest } = options;
  const watch = watchHealth(rest);
  const lines: string[] = [];
  for (let step = 1; step <= steps; step++) {
    if (step !== 1 && step % every !== 0) continue;
    lines.push(...watch({ step, gradient_norm: 1, ...figures(step) }));
  }
  return lines;
}

const healthy: Figures = {
  positives: -0.5,
  negatives: -1,
  reference: -0.5,
  active_pairs: 0.5,
  objective_loss: 0.4,
};

test("a healthy run hears nothing", () => {
  assert.deepEqual(
    told(1000, (step) => ({ ...healthy, positives: -1 + step / 2000, negatives: -1 - step / 500 })),
    [],
  );
  assert.deepEqual(told(1000, () => ({})), []);
});

test("positives that fall for 100 steps are told once, at step 110 and not before", () => {
  // Lines at 1, 10, 20, …: 1 to 100 are 99 steps, so the first whole window is 10 to 110.
  const falling = (step: number) => ({ ...healthy, positives: -0.5 - step / 1000 });
  assert.deepEqual(told(100, falling), []);
  assert.deepEqual(told(1000, falling), [
    "Step 110: the mean score of positives has fallen for 100 steps, by 0.10 nats per token",
  ]);
  assert.equal(told(300, falling, { every: 1 }).length, 1);
  assert.match(told(300, falling, { every: 1 })[0], /^Step 101: .* for 100 steps, by 0\.10 nats/);
});

test("with rare lines a trend takes six of them", () => {
  const falling = (step: number) => ({ ...healthy, positives: -0.5 - step / 1000 });
  assert.deepEqual(told(400, falling, { every: 100 }), []);
  assert.match(told(500, falling, { every: 100 })[0], /^Step 500: .* for 499 steps, by 0\.50 nats/);
});

test("a fall that is tiny, over, or lost in noise is no fall", () => {
  // 0.0001 a step: 0.01 over a window, under 0.02.
  assert.deepEqual(told(1000, (step) => ({ ...healthy, positives: -0.5 - step / 1e4 })), []);
  // Falls for 60 steps only.
  assert.deepEqual(
    told(
      1000,
      (step) => ({ ...healthy, positives: -0.5 - Math.min(step, 60) / 1000 - (step > 60 ? -0.1 : 0) }),
    ),
    [],
  );
  // Noise of ±0.1 without a trend: in 40 runs of 300 steps at most one is told so.
  let alarms = 0;
  for (let seed = 0; seed < 40; seed++) {
    const random = new Random(seed);
    alarms += told(300, () => ({ ...healthy, positives: -0.5 + 0.1 * random.normal() })).length;
  }
  assert.ok(alarms <= 1, `${alarms}`);
  // The same noise on a fall of 0.5 in 100 steps is told.
  const random = new Random(1);
  const lines = told(300, (step) => ({ ...healthy, positives: -0.5 - step / 200 + 0.1 * random.normal() }), {
    every: 5,
  });
  assert.match(lines[0], /positives has fallen/);
});

test("negatives may fall; together with positives they are told, in one line", () => {
  assert.deepEqual(told(500, (step) => ({ ...healthy, negatives: -1 - step / 100 })), []);
  const lines = told(
    500,
    (step) => ({ ...healthy, positives: -0.5 - step / 1000, negatives: -1 - step / 500 }),
  );
  assert.deepEqual(lines, [
    "Step 110: the scores of positives and negatives fall together (0.10 nats per token and 0.20 nats per token in " +
    "100 steps): the model unlearns both; option `constraint: dc` or bc, or a lower option `learningRate`, may help",
  ]);
  // Positives first, negatives later: two causes, two lines.
  const later = told(800, (step) => ({
    ...healthy,
    positives: -0.5 - step / 1000,
    negatives: -1 - Math.max(0, step - 400) / 500,
  }));
  assert.equal(later.length, 2);
  assert.match(later[1], /fall together/);
});

test("scores collapse when three lines are 2 nats per token under the best three", () => {
  const dropTo = (value: number, from: number, to: number) => (step: number) => ({
    reference: step >= from && step < to ? value : -0.5,
  });
  // −0.5 → −3: below −2.5 once the mean of three lines is: at the third.
  assert.deepEqual(told(200, dropTo(-3, 100, 1000)), [
    "Step 120: scores have collapsed: the mean of references is 2.50 nats per token below its best, -0.50; a lower " +
    "option `learningRate` may help",
  ]);
  assert.deepEqual(told(200, dropTo(-2.4, 100, 1000)), []);
  assert.deepEqual(told(200, dropTo(-4, 100, 105)), []); // one line: (−4 − 0.5 − 0.5) / 3 is 1.17 below
  assert.match(told(90, (step) => ({ positives: step > 50 ? -9 : -0.5 }))[0], /mean of positives/);
});

test("no active pair for 50 steps, in five lines", () => {
  const idleFrom = (from: number, to = Infinity) => (step: number) => ({
    ...healthy,
    active_pairs: step >= from && step < to ? 0 : 0.1,
  });
  assert.deepEqual(told(500, idleFrom(100)), [
    "Step 150: no pair has been active for 50 steps: the objective has nothing left to teach",
  ]);
  assert.deepEqual(told(500, idleFrom(100, 150)), []);
  assert.deepEqual(told(400, idleFrom(100), { every: 100 }), []); // four lines
  // A batch without a pair says nothing either way.
  const gaps = (step: number) => ({ active_pairs: step % 20 === 0 ? undefined : 0 });
  assert.equal(told(200, gaps).length, 1);
});

test("no pair at all is another cause, and no objective of pairs is none", () => {
  assert.deepEqual(told(500, () => ({ positives: -0.5, objective_loss: 0 })), [
    "Step 60: no question has had both a better and a worse candidate for 59 steps: the objective trains nothing",
  ]);
  assert.deepEqual(told(500, () => ({ positives: -0.5, objective_loss: 0.7 })), []); // vft
  assert.deepEqual(
    told(500, (step) => ({ objective_loss: 0, active_pairs: step === 30 ? 0.5 : undefined })).length,
    1,
  );
  assert.deepEqual(
    told(70, (step) => ({ objective_loss: 0, active_pairs: step === 30 ? 0.5 : undefined })),
    [],
  );
});

test("a gradient explodes in three lines running, or in one by a hundred times", () => {
  const norms = (changes: Record<number, number>) => (step: number) => ({
    gradient_norm: changes[step] ?? 2,
  });
  assert.deepEqual(told(300, norms({ 150: 25, 170: 25, 180: 25 })), []);
  assert.deepEqual(told(300, norms({ 150: 25, 160: 25, 170: 30, 180: 99, 190: 99 })), [
    "Step 170: the gradient norm explodes: 30.0, usually 2.00; a lower option `learningRate` may help",
  ]);
  assert.match(told(300, norms({ 200: 250 }))[0], /^Step 200: the gradient norm explodes: 250,/);
  assert.deepEqual(told(300, norms({ 200: 190 })), []);
  assert.deepEqual(told(300, norms({ 20: 250 })), []); // nothing is usual yet
  assert.deepEqual(told(300, (step) => ({ gradient_norm: step < 200 ? 0 : 1 })), []);
});

test("several causes at once are several lines; thresholds can be set", () => {
  const bad = (step: number) => ({ ...healthy, positives: -0.5 - step / 1000, active_pairs: 0 });
  assert.equal(told(500, bad).length, 2);
  assert.match(told(500, bad, { falling: 300, inactive: 400 })[0], /^Step 310: /);
});
