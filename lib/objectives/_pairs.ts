/**
 * Pairs of candidates, one better than the other, and what a constraint makes of the worse one.
 */
import type { Constraint, ObjectiveResult } from "./objective.ts";

/** Calls `visit(better, worse)` for every pair with different merits; a tie makes no pair. */
export function forEachPair(merits: Float64Array, visit: (better: number, worse: number) => void): void {
  for (let better = 0; better < merits.length; better++) {
    for (let worse = 0; worse < merits.length; worse++) {
      if (merits[better] > merits[worse]) visit(better, worse);
    }
  }
}

/**
 * The boundary of each candidate n, in nats per token: B_n = min {s_p : p better than n} − β. +∞ where nothing is
 * better than n, −∞ for an infinite β.
 */
export function boundaries(scores: Float64Array, merits: Float64Array, beta: number): Float64Array {
  const result = new Float64Array(scores.length).fill(Infinity);
  forEachPair(merits, (better, worse) => {
    result[worse] = Math.min(result[worse], scores[better] - beta);
  });
  return result;
}

/** The scores that candidates have where they are the worse one of a pair, with their derivatives. */
export interface WorseScores {
  /** What stands in the formula in place of s_n. */
  readonly scores: Float64Array;
  /** Its derivative with respect to s_n: 1 or 0. */
  readonly slopes: Float64Array;
}

/**
 * A constraint on an objective other than AFT: `dc` makes s_n a constant, `bc` puts max(s_n, B_n) in its place
 * with B_n a constant, so a candidate at or under its boundary is pushed no further. The project's own reading:
 * how the paper adds a constraint to a baseline is not known.
 */
export function constrainWorse(
  scores: Float64Array,
  merits: Float64Array,
  options: { readonly constraint: Constraint; readonly boundary: number },
): WorseScores {
  const worse = { scores: Float64Array.from(scores), slopes: new Float64Array(scores.length).fill(1) };
  if (options.constraint === "dc") worse.slopes.fill(0);
  if (options.constraint === "bc") {
    const limits = boundaries(scores, merits, options.boundary);
    for (let n = 0; n < scores.length; n++) {
      if (limits[n] === Infinity || scores[n] > limits[n]) continue;
      worse.scores[n] = limits[n];
      worse.slopes[n] = 0;
    }
  }
  return worse;
}

/**
 * A constraint on a loss over a whole group, which has no pairs: it acts on every candidate that has a better one, wherever
 * its score stands. Those of the best tier are as they are, so a group of ties is unconstrained.
 */
export function constrainBelowBest(
  scores: Float64Array,
  merits: Float64Array,
  options: { readonly constraint: Constraint; readonly boundary: number },
): WorseScores {
  const worse = constrainWorse(scores, merits, options);
  const best = merits.reduce((most, merit) => Math.max(most, merit), -Infinity);
  merits.forEach((merit, i) => {
    if (merit === best) worse.slopes[i] = 1;
  });
  return worse;
}

/** What one pair adds: its loss, and the loss's derivative with respect to the score of either side. */
export interface PairLoss {
  /** The loss of the pair. */
  readonly value: number;
  /** Its derivative with respect to the better one's score. */
  readonly better: number;
  /** Its derivative with respect to the worse one's score, before the constraint's slope. */
  readonly worse: number;
}

/** The mean of a loss over all pairs of a group; 0 where there is no pair. */
export function meanOverPairs(
  merits: Float64Array,
  worseScores: WorseScores,
  loss: (better: number, worse: number) => PairLoss,
): ObjectiveResult {
  const gradient = new Float64Array(merits.length);
  let value = 0;
  let pairs = 0;
  forEachPair(merits, (better, worse) => {
    const pair = loss(better, worse);
    pairs++;
    value += pair.value;
    gradient[better] += pair.better;
    gradient[worse] += pair.worse * worseScores.slopes[worse];
  });
  if (pairs === 0) return { value: 0, gradient };
  return { value: value / pairs, gradient: gradient.map((sum) => sum / pairs) };
}
