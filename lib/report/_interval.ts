/**
 * Wilson's 95% interval of a share p of n questions, z = 1.96:
 *
 *   (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)
 *
 * For a mean of values between 0 and 1 other than 0 and 1 it is at least wide enough, since their variance is at most
 * p(1 − p). Wilson, J. Am. Stat. Assoc. 22 (1927).
 */
export function wilson(share: number, n: number): [number, number] {
  const z = 1.96, scale = 1 + z * z / n;
  const centre = (share + z * z / (2 * n)) / scale;
  const half = z / scale * Math.sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}
