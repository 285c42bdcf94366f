/**
 * What a trainer logs of a group beside its loss: pure functions, of no objective in particular.
 *
 * The feedback is the first of labels, ranks and rewards that the group has. Of labels, positives are the correct
 * candidates and negatives the wrong ones; of ranks and rewards, positives are the best tier and negatives all the
 * rest. A pair is two candidates of which one is better; a tie makes none. A statistic without anything to average
 * over is undefined, never NaN.
 */
import { feedbackOf, readMerits, readScores } from "./_group.ts";
import { boundaries, forEachPair } from "./_pairs.ts";
import type { ScoredGroup } from "./objective.ts";

/** A pair counts as active when its share of the alignment loss's gradient is above this. */
const activeWeight = 1e-3;

/** Mean scores of the sides of a group, in nats per token. */
export interface MeanScores {
  /** Mean score of the correct candidates, or of the best tier. */
  readonly positives?: number | undefined;
  /** Mean score of the wrong candidates, or of all below the best tier. */
  readonly negatives?: number | undefined;
  /** Score of the reference. */
  readonly reference?: number | undefined;
}

/** Every statistic of one group. */
export interface GroupStatistics extends MeanScores {
  /** Mean score of the positives − mean score of the negatives, in nats per token. */
  readonly margin?: number | undefined;
  /** See {@linkcode assessmentAccuracy}. */
  readonly assessmentAccuracy?: number | undefined;
  /** See {@linkcode activePairs}. */
  readonly activePairs?: number | undefined;
  /** See {@linkcode negativesAtBoundary}. */
  readonly negativesAtBoundary?: number | undefined;
}

function meritsOf(group: ScoredGroup): Float64Array {
  const accepted = feedbackOf(group);
  if (accepted.length === 0) return new Float64Array(0); // no feedback, so no side and no pair
  return readMerits(group, { objective: "statistics", accepted });
}

function mean(values: Float64Array): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Mean score of the positives, of the negatives, and the reference's score. */
export function meanScores(group: ScoredGroup): MeanScores {
  const scores = readScores(group);
  const merits = meritsOf(group);
  // Labels are absolute (a group can be all wrong); ranks and rewards only compare.
  const top = group.correct !== undefined ? 1 : Math.max(...merits);
  const sided = scores.subarray(0, merits.length);
  return {
    positives: mean(sided.filter((_, i) => merits[i] === top)),
    negatives: mean(sided.filter((_, i) => merits[i] < top)),
    reference: group.reference === undefined ? undefined : scores[group.reference],
  };
}

/** Mean score of the positives − mean score of the negatives, in nats per token; undefined without either. */
export function margin(group: ScoredGroup): number | undefined {
  const { positives, negatives } = meanScores(group);
  return positives === undefined || negatives === undefined ? undefined : positives - negatives;
}

/**
 * Share of the pairs whose better candidate has the higher score, a tie of scores counting half; undefined
 * without a pair. The accuracy of a set is the mean over its questions that have one.
 */
export function assessmentAccuracy(group: ScoredGroup): number | undefined {
  const scores = readScores(group);
  let pairs = 0;
  let right = 0;
  forEachPair(meritsOf(group), (better, worse) => {
    pairs++;
    right += scores[better] > scores[worse] ? 1 : scores[better] === scores[worse] ? 0.5 : 0;
  });
  return pairs === 0 ? undefined : right / pairs;
}

/**
 * Share of the pairs i ≻ j that still act, whatever the objective in use: those with
 * exp(s_j − s_i) / (1 + Σ_{i≻j} exp(s_j − s_i)) > 1e-3, the weight of the pair in the gradient of L_A. Undefined
 * without a pair.
 */
export function activePairs(group: ScoredGroup): number | undefined {
  const scores = readScores(group);
  const merits = meritsOf(group);
  let largest = 0;
  forEachPair(merits, (i, j) => largest = Math.max(largest, scores[j] - scores[i]));
  const weights: number[] = [];
  forEachPair(merits, (i, j) => weights.push(Math.exp(scores[j] - scores[i] - largest)));
  if (weights.length === 0) return undefined;
  const total = weights.reduce((sum, weight) => sum + weight, Math.exp(-largest));
  return weights.filter((weight) => weight / total > activeWeight).length / weights.length;
}

/**
 * Share of the candidates that have a better one and lie at or under their boundary
 * B = min (scores of the better ones) − `boundary`, in nats per token. Undefined when nothing has a better one.
 */
export function negativesAtBoundary(
  group: ScoredGroup,
  options: { readonly boundary?: number /* default 0.2 */ } = {},
): number | undefined {
  const scores = readScores(group);
  const merits = meritsOf(group);
  const limits = boundaries(scores.subarray(0, merits.length), merits, options.boundary ?? 0.2);
  const negatives = limits.reduce((count, limit) => count + Number(limit < Infinity), 0);
  const under = limits.reduce((n, limit, i) => n + Number(limit < Infinity && scores[i] <= limit), 0);
  return negatives === 0 ? undefined : under / negatives;
}

/** All of the above. */
export function groupStatistics(
  group: ScoredGroup,
  options: { readonly boundary?: number /* default 0.2 */ } = {},
): GroupStatistics {
  return {
    ...meanScores(group),
    margin: margin(group),
    assessmentAccuracy: assessmentAccuracy(group),
    activePairs: activePairs(group),
    negativesAtBoundary: negativesAtBoundary(group, options),
  };
}
