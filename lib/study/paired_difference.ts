/** A difference of two methods over the same seeds and the same problems. */

import { Random } from "../data/random.ts";
import type { Estimate } from "../report/study.ts";
import { criticalT, twoSidedP } from "./students_t.ts";

/** Differences by seed and problem; undefined where a problem has none. */
export type Differences = readonly (readonly (number | undefined)[])[];

/** What a mean over seeds and problems is known to, before its degrees of freedom are asked for. */
export interface CrossedVariance {
  readonly mean: number;
  /** Of the mean. */
  readonly variance: number;
  readonly df: number;
}

/**
 * Mean of a − b with its 95% interval and its p, when other seeds and other problems might have been drawn: both are random
 * effects, crossed,
 *
 *   d_sp = μ + seed_s + problem_p + rest_sp
 *   Var(mean) = (MS_seed + MS_problem − MS_rest) / (S·P)
 *
 * with the mean squares of the two-way table, Satterthwaite's degrees of freedom, and Student's t. A mean square below
 * MS_rest counts as MS_rest, which only widens the interval. Where not every seed has every problem, the seeds' means
 * alone are compared: Var = s² / S, S − 1 degrees of freedom. Without two seeds there is no interval.
 *
 * Beside it stands the interval of a paired bootstrap over both, seeds and problems drawn again with replacement; with five
 * seeds that one is too narrow (a simulation in the tests says by how much), so it decides nothing.
 *
 * Source: Satterthwaite, Biometrics Bulletin 2 (1946); for tests over items and runs, Clark, JVLVB 12 (1973).
 */
export function pairedDifference(differences: Differences): Estimate {
  const known = differences.map((row) => row.filter((d) => d !== undefined)).filter((row) => row.length > 0);
  const seeds = known.length, problems = Math.max(0, ...known.map((row) => row.length));
  if (seeds === 0) throw new RangeError("Differences must have a number at least: got none");
  const whole = known.length === differences.length &&
    differences.every((row) => row.length === problems && row.every((d) => d !== undefined));
  const { mean, variance, df } = whole && problems > 1 && seeds > 1
    ? crossedVariance(known)
    : overSeedsAlone(known.map(average));
  const margin = seeds === 1 ? NaN : variance === 0 ? 0 : criticalT(0.05, df) * Math.sqrt(variance);
  return {
    difference: mean,
    low: mean - margin,
    high: mean + margin,
    p: seeds === 1 ? 1 : variance === 0 ? Number(mean === 0) : twoSidedP(mean / Math.sqrt(variance), df),
    seeds,
    problems,
    ...(seeds > 1 && { bootstrap: bootstrapInterval(known, whole) }),
  };
}

/** The mean's variance from the two-way table of seeds and problems. */
export function crossedVariance(table: readonly (readonly number[])[]): CrossedVariance {
  const S = table.length, P = table[0]!.length, mean = average(table.map(average));
  const bySeed = table.map(average);
  const byProblem = table[0]!.map((_, p) => average(table.map((row) => row[p]!)));
  const squares = (values: readonly number[]) => values.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  const rest = table.reduce(
    (sum, row, s) => sum + row.reduce((own, d, p) => own + (d - bySeed[s]! - byProblem[p]! + mean) ** 2, 0),
    0,
  ) / ((S - 1) * (P - 1));
  const ofSeeds = Math.max(P * squares(bySeed) / (S - 1), rest);
  const ofProblems = Math.max(S * squares(byProblem) / (P - 1), rest);
  const total = ofSeeds + ofProblems - rest;
  const df = total ** 2 /
    (ofSeeds ** 2 / (S - 1) + ofProblems ** 2 / (P - 1) + rest ** 2 / ((S - 1) * (P - 1)));
  return { mean, variance: total / (S * P), df };
}

function overSeedsAlone(means: readonly number[]): CrossedVariance {
  const mean = average(means), n = means.length;
  const squares = means.reduce((sum, d) => sum + (d - mean) ** 2, 0);
  return { mean, variance: n === 1 ? NaN : squares / (n - 1) / n, df: n - 1 };
}

/** 2.5% and 97.5% of the means of 2,000 tables whose seeds, and problems where all have them, are drawn again. */
function bootstrapInterval(table: readonly (readonly number[])[], whole: boolean): readonly [number, number] {
  const random = new Random(0, { stream: "bootstrap" }), S = table.length, draws = 2000;
  const P = table[0]!.length, weights = new Float64Array(P);
  const means = Array.from({ length: draws }, () => {
    const drawn = Array.from({ length: S }, () => table[random.integer(S)]!);
    if (!whole) return average(drawn.map(average));
    weights.fill(0);
    for (let i = 0; i < P; i++) weights[random.integer(P)]!++;
    let sum = 0;
    for (const row of drawn) for (let p = 0; p < P; p++) sum += weights[p]! * row[p]!;
    return sum / (S * P);
  }).sort((a, b) => a - b);
  return [means[Math.floor(draws * 0.025)]!, means[Math.ceil(draws * 0.975) - 1]!];
}

function average(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
