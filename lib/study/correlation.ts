/**
 * Correlation of two lists of numbers, pair by pair.
 */

import type { Estimate } from "../report/study.ts";
import { pairedDifference } from "./paired_difference.ts";

/**
 * Pearson's r: Σ(x − x̄)(y − ȳ) / √(Σ(x − x̄)² Σ(y − ȳ)²). Undefined for fewer than three pairs, and where one list has
 * a single value only.
 */
export function pearson(xs: readonly number[], ys: readonly number[]): number | undefined {
  if (xs.length !== ys.length) {
    throw new RangeError(`Lists must have the same length: got ${xs.length} and ${ys.length}`);
  }
  if (xs.length < 3) return undefined;
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const [x0, y0] = [mean(xs), mean(ys)];
  let across = 0, x2 = 0, y2 = 0;
  for (let i = 0; i < xs.length; i++) {
    across += (xs[i] - x0) * (ys[i] - y0);
    x2 += (xs[i] - x0) ** 2;
    y2 += (ys[i] - y0) ** 2;
  }
  return x2 > 0 && y2 > 0 ? across / Math.sqrt(x2 * y2) : undefined;
}

/** Spearman's ρ: Pearson's r of the ranks, where equal numbers share the mean of their ranks. */
export function spearman(xs: readonly number[], ys: readonly number[]): number | undefined {
  return pearson(meanRanks(xs), meanRanks(ys));
}

function meanRanks(values: readonly number[]): number[] {
  return values.map((value) => {
    const below = values.filter((other) => other < value).length;
    const equal = values.filter((other) => other === value).length;
    return below + (equal + 1) / 2;
  });
}

/** Beyond it z would be infinite. */
const ALMOST = 1 - 1e-12;

/**
 * The correlation of several seeds, each with an r of its own: points of one training are no independent draws, seeds are.
 * Mean and interval are those of Fisher's z = artanh r by Student's t over the seeds, turned back; undefined without any.
 */
export function correlationOverSeeds(rs: readonly (number | undefined)[]): Estimate | undefined {
  const known = rs.filter((r) => r !== undefined);
  if (known.length === 0) return undefined;
  const { difference, low, high, p, seeds, problems } = pairedDifference(
    known.map((r) => [Math.atanh(Math.max(-ALMOST, Math.min(ALMOST, r)))]),
  );
  return {
    difference: Math.tanh(difference),
    low: Math.tanh(low),
    high: Math.tanh(high),
    p,
    seeds,
    problems,
  };
}
