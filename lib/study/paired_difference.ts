/** A difference of two methods over the same seeds. */
export interface PairedDifference {
  /** Mean of the differences. */
  readonly mean: number;
  /** Half of its 95% interval, t · deviation / √n; NaN with one seed. */
  readonly margin: number;
  /** 1 or −1 where 0 lies outside the interval, 0 where chance alone could give the difference. */
  readonly sign: -1 | 0 | 1;
}

/** Student's t for a two-sided 95% interval, by degrees of freedom from 1 on. */
const t95 = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

/**
 * Mean of a − b, seed by seed, with its 95% interval by Student's t. It knows of the spread over seeds only: other test
 * questions would give other numbers yet.
 */
export function pairedDifference(a: readonly number[], b: readonly number[]): PairedDifference {
  if (a.length !== b.length || a.length === 0) {
    throw new RangeError(`Lists must have the same length of at least 1: got ${a.length} and ${b.length}`);
  }
  const n = a.length, differences = a.map((x, i) => x - b[i]);
  const mean = differences.reduce((x, y) => x + y, 0) / n;
  const squares = differences.reduce((sum, d) => sum + (d - mean) ** 2, 0);
  const margin = n === 1 ? NaN : (t95[n - 2] ?? 2) * Math.sqrt(squares / (n - 1) / n);
  return { mean, margin, sign: Math.abs(mean) > margin ? mean > 0 ? 1 : -1 : 0 };
}
