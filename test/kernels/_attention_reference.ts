import type { Segment } from "../../lib/kernels/attention/span_layout.ts";

/** Sizes of a reference problem. */
export interface Sizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** For each row the keys it attends to, straight from the meaning of segments and window. */
export function keysOf(segments: readonly Segment[], rows: number, window = 0): number[][] {
  const keys: number[][] = Array.from({ length: rows }, () => []);
  for (const { start, end, sharedStart, sharedEnd } of segments) {
    for (let i = start; i < end; i++) {
      const sequence: number[] = [];
      for (let j = sharedStart; j < sharedEnd; j++) sequence.push(j);
      for (let j = start; j <= i; j++) sequence.push(j);
      keys[i] = window > 0 ? sequence.slice(-window) : sequence;
    }
  }
  return keys;
}

/** Attention of a fused tensor in float64: out, log-sum-exps, and the gradient when `dout` is given. */
export function referenceAttention(
  qkv: ArrayLike<number>,
  keys: readonly (readonly number[])[],
  { heads, kvHeads, headDim: d, scale = 1 / Math.sqrt(d), dout }: Sizes & {
    readonly scale?: number;
    readonly dout?: ArrayLike<number>;
  },
): { out: Float64Array; lse: Float64Array; dqkv: Float64Array } {
  const width = (heads + 2 * kvHeads) * d, rows = keys.length;
  const out = new Float64Array(rows * heads * d), lse = new Float64Array(rows * heads).fill(-1e30);
  const dqkv = new Float64Array(rows * width);
  for (let i = 0; i < rows; i++) {
    if (keys[i].length === 0) continue;
    for (let h = 0; h < heads; h++) {
      const g = Math.floor(h / (heads / kvHeads)), q = i * width + h * d, o = (i * heads + h) * d;
      const k = (j: number) => j * width + (heads + g) * d, v = (j: number) => k(j) + kvHeads * d;
      const dot = (a: ArrayLike<number>, at: number, b: ArrayLike<number>, bt: number) => {
        let sum = 0;
        for (let c = 0; c < d; c++) sum += a[at + c] * b[bt + c];
        return sum;
      };
      const s = keys[i].map((j) => scale * dot(qkv, q, qkv, k(j)));
      const most = s.reduce((a, b) => Math.max(a, b), -Infinity);
      const total = most + Math.log(s.reduce((a, b) => a + Math.exp(b - most), 0));
      lse[i * heads + h] = total;
      const p = s.map((x) => Math.exp(x - total));
      keys[i].forEach((j, n) => {
        for (let c = 0; c < d; c++) out[o + c] += p[n] * qkv[v(j) + c];
      });
      if (!dout) continue;
      const down = dot(dout, o, out, o);
      keys[i].forEach((j, n) => {
        const ds = p[n] * (dot(dout, o, qkv, v(j)) - down) * scale;
        for (let c = 0; c < d; c++) {
          dqkv[q + c] += ds * qkv[k(j) + c];
          dqkv[k(j) + c] += ds * qkv[q + c];
          dqkv[v(j) + c] += p[n] * dout[o + c];
        }
      });
    }
  }
  return { out, lse, dqkv };
}
