import { read } from "../../lib/backend/tensors.ts";
import { rmsNorm, rmsNormGradient } from "../../lib/kernels/norm/rms_norm.ts";
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
function reference(x: ArrayLike<number>, w: ArrayLike<number>, d: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let r = 0; r < x.length / d; r++) {
    let squares = 0;
    for (let i = 0; i < d; i++) squares += x[r * d + i] ** 2;
    const rstd = 1 / Math.sqrt(squares / d + EPSILON);
    for (let i = 0; i < d; i++) y[r * d + i] = x[r * d + i] * rstd * w[i];
  }
  return y;
}

onBothBackends("rms_norm of (3, 4) by hand", async () => {
  // mean of squares (9 + 16) / 2 = 12.5, so y = x / √12.5 · w
  const x = upload(Float32Array.of(3, 4), [1, 2]), w = upload(Float32Array.of(1, 10), [2]);
  const { y, rstd } = rmsNorm(x, w, { epsilon: 0 });
  assertClose(await read(y), [3 / Math.sqrt(12.5), 40 / Math.sqrt(12.5)], 1e-6);
  [x, w, y, rstd].forEach((t) => t.dispose());
});

for (
  const [rows, d] of [[1, 1], [3, 1], [1, 9], [3, 7], [67, 48], [5, 130], [130, 64], [2, 257], [5, 520], [
    6,
    8196,
  ]]
) {
  onBothBackends(
    `rms_norm and its gradient agree with float64 and finite differences at ${rows}×${d}`,
    async () => {
      await assertNoLeak(async () => {
        const xs = gaussian(rows * d, 1),
          rs = gaussian(rows * d, 2),
          ws = gaussian(d, 3),
          g = gaussian(rows * d, 4);
        const gs = gaussian(rows * d, 5), start = gaussian(d, 6);
        const summed = Float64Array.from(xs, (v, i) => v + rs[i]);
        const x = upload(xs, [rows, d]), residual = upload(rs, [rows, d]), weight = upload(ws, [d]);
        const dy = upload(g, [rows, d]), dsum = upload(gs, [rows, d]), dweight = upload(start, [d]);
        const out = rmsNorm(x, weight, { epsilon: EPSILON, residual });
        assertClose(await read(out.sum), summed, 1e-6, "sum");
        assertClose(await read(out.y), reference(summed, ws, d), 1e-5, "y");
        const dx = rmsNormGradient(out, dy, { weight, dsum, dweight });
        const loss = (s: ArrayLike<number>, w: ArrayLike<number>) =>
          reference(s, w, d).reduce((a, v, i) => a + v * g[i], 0);
        const again = empty([rows, d]);
        const twice = rmsNormGradient(out, dy, { weight, y: again });
        assertClose(await read(again), reference(summed, ws, d), 1e-5, "y once more");
        assertClose(await read(twice), (await read(dx)).map((v, i) => v - gs[i]), 1e-5, "dx without dsum");
        // y is linear in w, so one unit of w_i gives its derivative; differences of 8,196 weights take too long.
        const unscaled = reference(summed, new Float64Array(d).fill(1), d).map((v, i) => v * g[i]);
        const wantW = d > 1000
          ? Float64Array.from(start, (v, i) => {
            for (let j = i; j < unscaled.length; j += d) v += unscaled[j];
            return v;
          })
          : differences((w) => loss(summed, w), ws).map((v, i) => v + start[i]);
        assertClose(await read(dweight), wantW, 1e-4, "dweight");
        if (rows * d < 1000) {
          const want = differences((s) => loss(s, ws), summed).map((v, i) => v + gs[i]);
          assertClose(await read(dx), want, 1e-4, "dx");
        }
        const plain = rmsNorm(x, weight, { epsilon: EPSILON }), none = rmsNormGradient(plain, dy, { weight });
        assertClose(await read(plain.y), reference(xs, ws, d), 1e-5, "y without residual");
        [
          again,
          twice,
          x,
          residual,
          weight,
          dy,
          dsum,
          dweight,
          out.sum,
          out.y,
          out.rstd,
          dx,
          plain.y,
          plain.rstd,
          none,
        ]
          .forEach((t) => t.dispose());
      });
    },
  );
}
