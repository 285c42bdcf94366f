import { read } from "../../lib/backend/tensors.ts";
import { layerNorm, layerNormGradient } from "../../lib/kernels/norm/layer_norm.ts";
import {
  assertClose,
  assertNoLeak,
  differences,
  empty,
  gaussian,
  onBothBackends,
  upload,
} from "../_backends.ts";

const EPSILON = 1e-5;

/** The same maths in float64. */
function reference(x: ArrayLike<number>, w: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
  const d = w.length, y = new Float64Array(x.length);
  for (let r = 0; r < x.length / d; r++) {
    let mean = 0, variance = 0;
    for (let i = 0; i < d; i++) mean += x[r * d + i] / d;
    for (let i = 0; i < d; i++) variance += (x[r * d + i] - mean) ** 2 / d;
    for (let i = 0; i < d; i++) {
      y[r * d + i] = (x[r * d + i] - mean) / Math.sqrt(variance + EPSILON) * w[i] + b[i];
    }
  }
  return y;
}

onBothBackends("layer_norm of (1, 3) + (1, 3) by hand", async () => {
  await assertNoLeak(async () => {
    // the sum (2, 6) has mean 4 and variance 4: z = (−1, 1)
    const x = upload(Float32Array.of(1, 3), [1, 2]), w = upload(Float32Array.of(2, 10), [2]);
    const bias = upload(Float32Array.of(0.5, 0), [2]);
    const out = layerNorm(x, w, { bias, epsilon: 0, residual: x });
    assertClose(await read(out.sum), [2, 6], 0, "sum");
    assertClose(await read(out.y), [-1.5, 10], 1e-6, "y");
    assertClose(await read(out.mean), [4], 1e-6, "mean");
    assertClose(await read(out.rstd), [0.5], 1e-6, "rstd");
    [x, w, bias, ...Object.values(out)].forEach((t) => t.dispose());
  });
});

onBothBackends("layer_norm keeps its digits where the mean is a thousand deviations away", async () => {
  // float32 holds these numbers exactly, and mean(x²) − mean(x)² would lose every digit
  const d = 64, xs = gaussian(3 * d, 1).map((v) => 1024 + Math.round(v * 64) / 64);
  const ones = new Float32Array(d).fill(1), none = new Float32Array(d);
  const x = upload(xs, [3, d]), w = upload(ones, [d]), bias = upload(none, [d]);
  const out = layerNorm(x, w, { bias, epsilon: EPSILON });
  assertClose(await read(out.y), reference(xs, ones, none), 2e-4);
  [w, bias, ...Object.values(out)].forEach((t) => t.dispose());
});

onBothBackends("layer_norm of equal elements is the bias, without NaN", async () => {
  const x = upload(new Float32Array(10).fill(7), [2, 5]), w = upload(gaussian(5), [5]);
  const b = gaussian(5, 2), bias = upload(b, [5]), out = layerNorm(x, w, { bias, epsilon: EPSILON });
  assertClose(await read(out.y), [...b, ...b], 1e-6);
  [w, bias, ...Object.values(out)].forEach((t) => t.dispose());
});

for (const [rows, d] of [[1, 1], [3, 1], [1, 9], [3, 7], [67, 48], [5, 130], [130, 64], [2, 257], [5, 520]]) {
  onBothBackends(
    `layer_norm and its gradient agree with float64 and finite differences at ${rows}×${d}`,
    async () => {
      await assertNoLeak(async () => {
        const xs = gaussian(rows * d, 1), rs = gaussian(rows * d, 2), g = gaussian(rows * d, 3);
        const gs = gaussian(rows * d, 4), ws = gaussian(d, 5), bs = gaussian(d, 6);
        const startW = gaussian(d, 7), startB = gaussian(d, 8);
        const summed = Float64Array.from(xs, (v, i) => v + rs[i]);
        const x = upload(xs, [rows, d]), residual = upload(rs, [rows, d]), dy = upload(g, [rows, d]);
        const dsum = upload(gs, [rows, d]), weight = upload(ws, [d]), bias = upload(bs, [d]);
        const dweight = upload(startW, [d]), dbias = upload(startB, [d]);
        const out = layerNorm(x, weight, { bias, epsilon: EPSILON, residual });
        assertClose(await read(out.sum), summed, 1e-6, "sum");
        assertClose(await read(out.y), reference(summed, ws, bs), 1e-5, "y");
        const dx = layerNormGradient(out, dy, { weight, dsum, dweight, dbias });
        const loss = (s: ArrayLike<number>, w: ArrayLike<number>, b: ArrayLike<number>) =>
          reference(s, w, b).reduce((a, v, i) => a + v * g[i], 0);
        const plus = (want: Float64Array, start: ArrayLike<number>) => want.map((v, i) => v + start[i]);
        assertClose(
          await read(dweight),
          plus(differences((w) => loss(summed, w, bs), ws), startW),
          1e-4,
          "dweight",
        );
        assertClose(
          await read(dbias),
          plus(differences((b) => loss(summed, ws, b), bs), startB),
          1e-4,
          "dbias",
        );
        if (rows * d < 1000) {
          assertClose(await read(dx), plus(differences((s) => loss(s, ws, bs), summed), gs), 1e-4, "dx");
        }
        // No residual, no dsum, everything frozen.
        const plain = layerNorm(x, weight, { bias, epsilon: EPSILON });
        const again = empty([rows, d]);
        const frozen = layerNormGradient(out, dy, { weight, again: { y: again, bias } });
        assertClose(await read(again), reference(summed, ws, bs), 1e-5, "y once more");
        assertClose(await read(plain.y), reference(xs, ws, bs), 1e-5, "y without residual");
        const both = await read(dx);
        assertClose(await read(frozen), both.map((v, i) => v - gs[i]), 1e-5, "dx without dsum");
        [again, residual, dy, dsum, weight, bias, dweight, dbias, dx, frozen].forEach((t) => t.dispose());
        [...Object.values(out), ...Object.values(plain)].forEach((t) => t.dispose());
      });
    },
  );
}
