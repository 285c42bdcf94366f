/**
 * Holm's correction (Scandinavian Journal of Statistics 6, 1979): the p of each of m tests such that all that are at most
 * 0.05 hold together with 95%,
 *
 *   p'_(i) = max over j ≤ i of min(1, (m − j + 1) · p_(j)),  p_(1) ≤ … ≤ p_(m)
 */
export function holm(ps: readonly number[]): number[] {
  const order = ps.map((_, i) => i).sort((a, b) => ps[a]! - ps[b]!);
  const adjusted = new Array<number>(ps.length);
  let most = 0;
  for (const [rank, i] of order.entries()) {
    most = Math.max(most, Math.min(1, (ps.length - rank) * ps[i]!));
    adjusted[i] = most;
  }
  return adjusted;
}
