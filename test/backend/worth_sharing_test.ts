import assert from "node:assert/strict";
import { test } from "node:test";
import { WorthSharing } from "../../lib/backend/_worth_sharing.ts";

/**
 * Jobs of two kinds, one twice as long, for so many milliseconds; returns the share of the time that was done alone.
 *
 * @param shared what a job of the shorter kind takes when it is shared, and how much of that is waiting
 */
function run(
  worth: WorthSharing,
  { from, to, alone, shared, waited }: Readonly<
    Record<"from" | "to" | "alone" | "shared" | "waited", number>
  >,
): number {
  let now = from, time = 0;
  for (let i = 0; now < to; i++) {
    const kind = 1 + i % 2, isAlone = worth.way === "alone", took = kind * (isAlone ? alone : shared);
    worth.tell({ kind, start: now, end: now + took, waited: isAlone ? 0 : kind * waited });
    now += took + 0.01;
    if (isAlone) time += took;
  }
  return time / (to - from);
}

test("work is shared as long as nobody waits, whatever it takes", () => {
  const worth = new WorthSharing();
  assert.equal(run(worth, { from: 0, to: 2000, alone: 1, shared: 0.5, waited: 0.05 }), 0);
  assert.equal(run(worth, { from: 2000, to: 4000, alone: 1, shared: 3, waited: 0.1 }), 0);
});

test("where waiting makes it slower than one thread, one does it, and sharing comes back when it pays", () => {
  const worth = new WorthSharing();
  const busy = run(worth, { from: 0, to: 4000, alone: 1, shared: 4, waited: 3 });
  assert.ok(busy > 0.85 && busy < 1, String(busy)); // sharing was tried again now and then
  run(worth, { from: 4000, to: 6000, alone: 1, shared: 0.5, waited: 0 }); // until it is tried again, and learns
  assert.equal(run(worth, { from: 6000, to: 8000, alone: 1, shared: 0.5, waited: 0 }), 0);
});

test("where waiting is no loss, doing without the others is tried seldom", () => {
  const worth = new WorthSharing();
  const alone = run(worth, { from: 0, to: 10_000, alone: 1, shared: 0.7, waited: 0.25 });
  assert.ok(alone > 0 && alone < 0.05, String(alone));
});

test("trials of jobs that take long are as seldom, by their time", () => {
  const worth = new WorthSharing();
  const alone = run(worth, { from: 0, to: 300_000, alone: 100, shared: 60, waited: 15 });
  assert.ok(alone > 0 && alone < 0.04, String(alone));
});

test("jobs of unlike kinds are not held against each other", () => {
  const worth = new WorthSharing();
  // Long jobs while it is shared, short ones while it is tried alone: that says nothing, so sharing goes on.
  let now = 0, alone = 0;
  for (let i = 0; i < 2000; i++) {
    const isAlone = worth.way === "alone", took = isAlone ? 1 : 4;
    worth.tell({ kind: isAlone ? 2 : 1, start: now, end: now += took, waited: isAlone ? 0 : 1 });
    if (isAlone) alone++;
  }
  assert.ok(alone < 200, String(alone));
});
