/** The time left for all stages of a run, by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TimeLeft } from "../../lib/pipeline/time_left.ts";

test("what is left is what stages of the kind took, times what is to come", () => {
  let now = 100;
  const left = new TimeLeft([
    { label: "vft", kind: "train", units: 100 },
    { label: "candidates", kind: "generate", units: 50 },
    { label: "aft", kind: "train", units: 200 },
    { label: "evaluate aft", kind: "measure", units: 20 },
  ], () => now);
  assert.equal(left.take("vft", 0), undefined, "nothing is known");
  assert.equal(left.take("somewhere else", 0.5), undefined);
  now = 105;
  // 25 units in 5 s: 0.2 s each. 75 + 200 of them, 50 samples at 1.5 times, 20 measurements at once that.
  assert.equal(left.take("vft", 0.25), 75 * 0.2 + 50 * 0.3 + 200 * 0.2 + 20 * 0.2);
  now = 120;
  assert.equal(left.take("candidates", 0), 50 * 0.3 + 200 * 0.2 + 20 * 0.2);
  now = 130; // half of the samples in 10 s: 0.4 s each; trainings have a speed of their own
  const known = (20 + 10) / (100 * 1 + 25 * 1.5); // of a kind not seen yet: all that is known, at its cost
  assert.ok(Math.abs(left.take("candidates", 0.5)! - (25 * 0.4 + 200 * 0.2 + 20 * known)) < 1e-9);
  now = 150;
  assert.ok(Math.abs(left.take("aft", 0)! - (200 * 0.2 + 20 * (50 / 175))) < 1e-9);
  now = 190;
  left.take("aft", 1);
  // An evaluation that tells no share: what it is likely to take, less what it took.
  const whole = 20 * (90 / (300 + 75));
  assert.ok(Math.abs(left.take("evaluate aft, greedy", undefined)! - whole) < 1e-9);
  now = 192;
  assert.ok(Math.abs(left.take("evaluate aft, scores", undefined)! - (whole - 2)) < 1e-9);
  now = 900;
  assert.equal(left.take("evaluate aft, scores", undefined), 0);
  assert.equal(left.take("vft", 0.5), undefined, "a stage that is over");
});

test("a run that goes on counts only what it does itself", () => {
  let now = 0;
  const left = new TimeLeft([
    { label: "vft", kind: "train", units: 100 },
    { label: "control", kind: "train", units: 100 },
    { label: "aft", kind: "train", units: 100 },
  ], () => now);
  left.take("control", 0.9); // vft was there, and most of the control
  now = 2;
  // 5 units in 2 s.
  assert.ok(Math.abs(left.take("control", 0.95)! - (5 + 100) * 0.4) < 1e-9);
  now = 4;
  assert.ok(Math.abs(left.take("aft", 0)! - 100 * 0.4) < 1e-9);
});
