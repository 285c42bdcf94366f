/**
 * Exponentials and logarithms that neither overflow nor lose their small digits.
 */

/** log(1 + e^x): x itself for large x, e^x for very negative x. */
export function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** σ(x) = 1 / (1 + e^−x), exact in both tails. */
export function sigmoid(x: number): number {
  const e = Math.exp(-Math.abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/** log(1 − e^x) for x < 0: near 0 through expm1, where 1 − e^x would cancel, elsewhere through log1p. */
export function log1mexp(x: number): number {
  return x > -Math.LN2 ? Math.log(-Math.expm1(x)) : Math.log1p(-Math.exp(x));
}

/**
 * −log σ(x) of a preference that is the other way round with probability ε, and its derivative.
 *
 *   −(1 − ε) log σ(x) − ε log σ(−x)
 */
export function smoothedLoss(x: number, epsilon: number): { value: number; slope: number } {
  if (epsilon === 0) return { value: softplus(-x), slope: -sigmoid(-x) };
  return {
    value: (1 - epsilon) * softplus(-x) + epsilon * softplus(x),
    slope: epsilon * sigmoid(x) - (1 - epsilon) * sigmoid(-x),
  };
}
