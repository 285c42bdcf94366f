/** Statistics of the study's claims, against numbers worked out by hand, printed tables and simulation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../lib/data/random.ts";
import type { Claim, Outcome } from "../../lib/report/study.ts";
import { correlationOverSeeds } from "../../lib/study/correlation.ts";
import { claimAbove, joined } from "../../lib/study/figures.ts";
import { holm } from "../../lib/study/holm.ts";
import { crossedVariance, pairedDifference } from "../../lib/study/paired_difference.ts";
import { criticalT, twoSidedP } from "../../lib/study/students_t.ts";
import { leastDifference, planStudy } from "../../lib/study/plan.ts";
import { settle } from "../../lib/study/verdicts.ts";

const near = (a: number, b: number, within = 1e-9) =>
  assert.ok(Math.abs(a - b) <= within, `${a} is not ${b}`);

test("Student's t: the closed forms for 1 and 2 degrees of freedom, and the printed table", () => {
  for (const t of [0, 0.1, 1, 3, 40]) {
    near(twoSidedP(t, 1), 1 - 2 / Math.PI * Math.atan(t), 1e-13);
    near(twoSidedP(-t, 2), 1 - t / Math.sqrt(2 + t * t), 1e-13);
  }
  const table = [[1, 12.706], [2, 4.303], [4, 2.776], [9, 2.262], [30, 2.042], [120, 1.98], [
    1e7,
    1.96,
  ]] as const;
  for (const [df, t] of table) near(criticalT(0.05, df), t, 5e-4);
  near(criticalT(0.01, 4), 4.604, 5e-4);
  near(twoSidedP(criticalT(0.2, 3.7), 3.7), 0.2, 1e-12);
  assert.equal(twoSidedP(Infinity, 4), 0);
});

test("seeds and problems crossed, by hand", () => {
  // Means of seeds 2 and 4, of problems 1.5 and 4.5; rests ±0.5. Mean squares 4, 9 and 1: (4 + 9 − 1) / 4 = 3.
  const { mean, variance, df } = crossedVariance([[1, 3], [2, 6]]);
  near(mean, 3);
  near(variance, 3);
  near(df, 144 / (16 + 81 + 1));
  // Neither seeds nor problems differ: their mean squares of 0 count as that of the rest, 1.
  near(crossedVariance([[0, 1], [1, 0]]).variance, 1 / 4);
  const { difference, low, high, p, seeds, problems } = pairedDifference([[1, 3], [2, 6]]);
  assert.deepEqual([difference, seeds, problems], [3, 2, 2]);
  near(high - 3, criticalT(0.05, 144 / 98) * Math.sqrt(3), 1e-6);
  near(3 - low, high - 3);
  near(p, twoSidedP(Math.sqrt(3), 144 / 98));
});

test("where a problem lacks a number the seeds' means alone count; one seed has no interval", () => {
  // Means 1 and 3: 2 ± 12.706 · √(2/2).
  const { difference, low, problems } = pairedDifference([[1, undefined], [2, 4]]);
  assert.deepEqual([difference, problems], [2, 2]);
  near(2 - low, 12.706, 5e-4);
  const one = pairedDifference([[1, 2, 3]]);
  assert.deepEqual([one.difference, one.low, one.p], [2, NaN, 1]);
  assert.equal(one.bootstrap, undefined);
  // No spread at all: certain, unless it is 0.
  assert.equal(pairedDifference([[1, 1], [1, 1]]).p, 0);
  assert.equal(pairedDifference([[0, 0], [0, 0]]).p, 1);
  assert.throws(() => pairedDifference([[undefined]]), /number at least: got none/);
});

test("where five seeds differ most, 95% intervals hold the truth in 95% of simulations; the bootstrap's do not", () => {
  const random = new Random(7);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  let held = 0, booted = 0;
  const runs = 300;
  for (let run = 0; run < runs; run++) {
    const ofProblems = Array.from({ length: 40 }, () => normal() * 0.2);
    const table = Array.from({ length: 5 }, () => {
      const ofSeed = normal() * 0.3;
      return ofProblems.map((own) => ofSeed + own + normal() * 0.3);
    });
    const { low, high, bootstrap } = pairedDifference(table);
    if (low <= 0 && 0 <= high) held++;
    if (bootstrap![0] <= 0 && 0 <= bootstrap![1]) booted++;
  }
  assert.ok(held / runs > 0.93 && held / runs < 0.985, `${held / runs}`);
  assert.ok(booted / runs < 0.9, `${booted / runs}`);
});

test("a bootstrap's interval lies about a difference that is the same everywhere, and is the same each time", () => {
  const table = Array.from(
    { length: 5 },
    (_, s) => Array.from({ length: 30 }, (_, p) => 1 + ((s + p) % 3 - 1) / 10),
  );
  const [low, high] = pairedDifference(table).bootstrap!;
  assert.ok(low > 0.95 && high < 1.05 && low < high, `${low} ${high}`);
  assert.deepEqual(pairedDifference(table).bootstrap, [low, high]);
});

test("Holm by hand: 0.005·4, 0.01·3, 0.03·2, and never less than the one before", () => {
  const close = holm([0.01, 0.04, 0.03, 0.005]);
  [0.03, 0.06, 0.06, 0.02].forEach((p, i) => near(close[i]!, p));
  assert.deepEqual(holm([0.9, 0.8]), [1, 1]);
  assert.deepEqual(holm([]), []);
});

test("data sets of unlike size weigh alike in an average", () => {
  // Means 1 and 0: 0.5, though one has three problems and the other one.
  const [row] = joined([[[1, 1, 1, undefined]], [[0]]]);
  const known = row!.filter((x) => x !== undefined);
  near(known.reduce((a, b) => a + b) / known.length, 0.5);
  assert.equal(row!.length, 5);
});

test("a claim is a difference with its interval, and says so in points and nats", () => {
  const words = { claim: "a is above b", theirs: "above" };
  const above = claimAbove([[1, 1, 0], [1, 0, 1]], [[0, 1, 0], [1, 0, 0]], words);
  near(above.estimate!.difference, 1 / 3);
  assert.match(above.ours, /^\+33\.33 \(−\d+\.\d\d to \+\d+\.\d\d\) points$/);
  assert.match(
    claimAbove([[-1], [-3]], [[-2], [-2]], { ...words, unit: "nats per token" }).ours,
    /^\+0\.00 \(−12\.71 to \+12\.71\) nats per token$/,
  );
  assert.equal(claimAbove([[0.5 - 1e-9]], [[0.5]], words).ours, "+0.00 points"); // no "−0.00"
  assert.deepEqual(claimAbove([[undefined]], [[1]], words), {
    ...words,
    ours: "not measured",
    held: "unclear",
  });
});

test("verdicts take all claims of a study together", () => {
  const claim = (difference: number, margin: number, p: number): Claim => ({
    claim: `${difference}`,
    theirs: "above",
    ours: "",
    estimate: { difference, low: difference - margin, high: difference + margin, p, seeds: 5, problems: 9 },
    matters: 0.02,
    held: "unclear",
  });
  const outcome = (claims: readonly Claim[]): Outcome => ({
    ...{ name: "main", title: "", about: "", size: "", tables: [], plots: [] },
    claims,
  });
  const held = (...outcomes: Outcome[]) =>
    settle(outcomes).flatMap(({ claims }) => claims.map((c) => c.held));
  assert.deepEqual(
    held(outcome([claim(0.08, 0.01, 1e-4), claim(-0.08, 0.01, 1e-4)]), outcome([claim(0.005, 0.01, 0.4)])),
    ["yes", "no", "smaller"],
  );
  // Alone it would hold; beside two others p is 3 · 0.03.
  assert.deepEqual(held(outcome([claim(0.03, 0.025, 0.03)])), ["yes"]);
  const several = outcome([claim(0.03, 0.025, 0.03), claim(0, 0.05, 0.9), claim(0.001, 0.001, 0.8)]);
  assert.deepEqual(held(several), ["unclear", "unclear", "smaller"]);
  near(settle([several])[0]!.claims[0]!.estimate!.adjusted!, 0.09);
  const unmeasured: Claim = { claim: "x", theirs: "", ours: "not measured", held: "unclear" };
  assert.deepEqual(settle([outcome([unmeasured])])[0]!.claims, [unmeasured]);
});

test("a correlation over seeds is that of Fisher's z", () => {
  // z = 1 and 3: mean 2, ± 12.706 · 1.
  const { difference, low, high, seeds } = correlationOverSeeds([Math.tanh(1), undefined, Math.tanh(3)])!;
  near(difference, Math.tanh(2));
  near(low, Math.tanh(2 - 12.706), 1e-6);
  near(high, 1, 1e-6);
  assert.equal(seeds, 2);
  assert.ok(Number.isFinite(correlationOverSeeds([1, 0.5])!.difference));
  assert.equal(correlationOverSeeds([undefined]), undefined);
});

test("a plan by hand, and by simulation: the difference planned for is seen in 8 of 10 studies", () => {
  // Seeds alone: √(0.01²/5) · (2.776 + 0.941) for 4 degrees of freedom.
  near(
    leastDifference(5, 1e9, { seed: 1e-4, problem: 0, rest: 0 }),
    0.01 / Math.sqrt(5) * (2.7764 + 0.941),
    1e-5,
  );
  const variances = { seed: 0.02 ** 2, problem: 0.02, rest: 0.1 };
  const difference = leastDifference(5, 80, variances), random = new Random(3);
  const normal = (v: number) =>
    Math.sqrt(-2 * v * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  let seen = 0;
  for (let run = 0; run < 400; run++) {
    const ofProblems = Array.from({ length: 80 }, () => normal(variances.problem));
    const table = Array.from({ length: 5 }, () => {
      const ofSeed = difference + normal(variances.seed);
      return ofProblems.map((own) => ofSeed + own + normal(variances.rest));
    });
    const { mean, variance, df } = crossedVariance(table);
    if (twoSidedP(mean / Math.sqrt(variance), df) < 0.05 && mean > 0) seen++;
  }
  assert.ok(seen / 400 > 0.74 && seen / 400 < 0.88, `${seen / 400}`);
  const [few, more] = planStudy({ difference: 0.015, seeds: [2, 8] });
  assert.deepEqual(few, { seeds: 2, problems: undefined, hours: undefined, elapsed: undefined });
  assert.ok(leastDifference(8, more!.problems!) <= 0.015 && leastDifference(8, more!.problems! - 1) > 0.015);
  // Five jobs make 8 seeds in two rounds and 12 in three; one makes them one after the other.
  const shared = planStudy({ difference: 0.015, seeds: [8, 12], jobs: 5 });
  assert.deepEqual(
    shared.map(({ seeds, hours, elapsed }) => Math.round(1e9 * seeds * elapsed! / hours!)),
    [2e9, 3e9],
  );
  assert.equal(more!.elapsed, more!.hours);
  assert.throws(
    () => planStudy({ difference: 0.015, jobs: 0 }),
    /jobs must be a whole number of at least 1: got 0/,
  );
  assert.throws(() => planStudy({ difference: 1.5 }), /difference must be above 0 and below 1: got 1.5/);
});
