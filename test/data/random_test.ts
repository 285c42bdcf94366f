import assert from "node:assert/strict";
import { test } from "node:test";
import { Random, type RandomState } from "../../lib/data/random.ts";

test("sfc32 by hand: the first three words from the state 0, 0, 0, 1", () => {
  // word = a+b+n. 1: 0+0+1, then a=0, b=0, c=1. 2: 0+0+2, then b=1+8=9. 3: 0+9+3.
  const random = Random.restore([0, 0, 0, 1]);
  assert.deepEqual([random.word(), random.word(), random.word()], [1, 2, 12]);
});

test("a seed gives the same sequence, another seed or stream another", () => {
  const draw = (random: Random) => Array.from({ length: 8 }, () => random.word());
  assert.deepEqual(draw(new Random(7)), draw(new Random(7)));
  const seen = [
    new Random(7),
    new Random(8),
    new Random(7.5),
    new Random(7 + 2 ** 32),
    new Random(7, { stream: "shuffle" }),
    new Random(7, { stream: 1 }),
  ].map((random) => draw(random).join());
  assert.equal(new Set(seen).size, seen.length);
});

test("a state that went through JSON continues the sequence", () => {
  const random = new Random(3);
  random.next();
  const state = JSON.parse(JSON.stringify(random.state)) as RandomState;
  const expected = [random.next(), random.integer(10), random.normal()];
  const resumed = Random.restore(state);
  assert.deepEqual([resumed.next(), resumed.integer(10), resumed.normal()], expected);
  assert.throws(() => Random.restore([1, 2, 3, -1]), RangeError);
  assert.throws(() => Random.restore([1, 2, 3] as unknown as RandomState), RangeError);
});

test("next, integer and normal have the moments they should", () => {
  const random = new Random(11);
  const n = 20000;
  let sum = 0, squares = 0;
  const counts = new Array<number>(7).fill(0);
  for (let i = 0; i < n; i++) {
    const u = random.next();
    assert.ok(u >= 0 && u < 1);
    sum += u;
    squares += random.normal() ** 2;
    counts[random.integer(7)]++;
  }
  assert.ok(Math.abs(sum / n - 0.5) < 0.01); // five standard errors
  assert.ok(Math.abs(squares / n - 1) < 0.05);
  const chi2 = counts.reduce((total, count) => total + (count - n / 7) ** 2 / (n / 7), 0);
  assert.ok(chi2 < 27.9, `chi-square ${chi2} of 6 degrees of freedom`); // p = 1e-4
  assert.throws(() => random.integer(0), RangeError);
  assert.throws(() => random.integer(1.5), RangeError);
  assert.throws(() => new Random(NaN), RangeError);
});

test("shuffle is a permutation, and every order of three is as likely as another", () => {
  const random = new Random(5);
  const counts = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const order = random.shuffle(["a", "b", "c"]).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assert.deepEqual([...counts.keys()].sort(), ["abc", "acb", "bac", "bca", "cab", "cba"]);
  for (const count of counts.values()) assert.ok(Math.abs(count - 1000) < 150, `${count}`);
  assert.ok(["x", "y"].includes(random.pick(["x", "y"])));
});
