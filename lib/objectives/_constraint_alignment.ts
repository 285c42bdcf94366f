/**
 * The constraint-alignment loss over pairs, which `aft` and `aft-rank` share.
 */
import { boundaries, forEachPair } from "./_pairs.ts";
import type { Constraint, ObjectiveResult } from "./objective.ts";

/**
 * L = log(1 + Σ_{i≻j} [exp(s_j − s_i) + exp(T_ij − s_j)]), the second term only with `bc`, T_ij = 2 B_j − s_i a
 * constant. With `dc` the s_j is a constant. The sum is taken relative to its largest exponent.
 */
export function constraintAlignment(
  scores: Float64Array,
  merits: Float64Array,
  options: { readonly constraint: Constraint; readonly beta: number },
): ObjectiveResult {
  const { constraint, beta } = options;
  const bounded = constraint === "bc";
  const limits = bounded ? boundaries(scores, merits, beta) : scores;
  let largest = 0; // the exponent of the 1
  forEachPair(merits, (i, j) => {
    largest = Math.max(largest, scores[j] - scores[i]);
    if (bounded) largest = Math.max(largest, 2 * limits[j] - scores[i] - scores[j]);
  });
  let sum = 0;
  const gradient = new Float64Array(scores.length);
  forEachPair(merits, (i, j) => {
    const push = Math.exp(scores[j] - scores[i] - largest);
    const pull = bounded ? Math.exp(2 * limits[j] - scores[i] - scores[j] - largest) : 0;
    sum += push + pull;
    gradient[i] -= push;
    if (constraint !== "dc") gradient[j] += push - pull;
  });
  const total = Math.exp(-largest) + sum;
  for (let i = 0; i < gradient.length; i++) gradient[i] /= total;
  // log1p keeps the digits of a loss near 0.
  return { value: largest === 0 ? Math.log1p(sum) : largest + Math.log(total), gradient };
}
