import { read } from "../../lib/backend/tensors.ts";
import { gelu, geluGradient } from "../../lib/kernels/gelu.ts";
import {
  assertClose,
  assertNoLeak,
  differences,
  empty,
  gaussian,
  onBothBackends,
  upload,
} from "../_backends.ts";

/** GPT-2's own formula, in float64. */
const reference = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

onBothBackends("gelu at known points", async () => {
  // 1 and −1 from the formula by hand: t = 1.5957691·1.044715, σ(t) = 0.8411920
  const x = upload(Float32Array.of(0, 1, -1), [1, 3]), y = gelu(x);
  assertClose(await read(y), [0, 0.841192, -0.158808], 1e-6);
  [x, y].forEach((t) => t.dispose());
});

onBothBackends("gelu and its gradient are 0 or x, 0 or 1 far out, without NaN", async () => {
  const values = Float32Array.of(-3e38, -1e9, -200, -10, 10, 200, 1e9, 3e38);
  const x = upload(values, [1, 8]), ones = upload(new Float32Array(8).fill(1), [1, 8]);
  const y = gelu(x), dx = geluGradient(x, ones);
  const found = await read(y);
  values.forEach((v, i) => assertClose([found[i] / Math.abs(v)], [v > 0 ? 1 : 0], 1e-6, `gelu(${v})/|${v}|`));
  assertClose(await read(dx), [0, 0, 0, 0, 1, 1, 1, 1], 1e-6, "dx");
  [x, ones, y, dx].forEach((t) => t.dispose());
});

for (const [rows, f] of [[1, 1], [3, 7], [33, 64], [2, 259]]) {
  onBothBackends(`gelu and its gradient agree with float64 at ${rows}×${f}`, async () => {
    await assertNoLeak(async () => {
      const xs = gaussian(rows * f, 1).map((v) => 3 * v), g = gaussian(rows * f, 2);
      const x = upload(xs, [rows, f]), dy = upload(g, [rows, f]);
      const y = gelu(x), again = empty([rows, f]), dx = geluGradient(x, dy, again);
      assertClose(await read(y), Float64Array.from(xs, reference), 1e-6, "y");
      assertClose(await read(again), await read(y), 1e-6, "y once more");
      const want = Float64Array.from(xs, (v, i) => g[i] * differences(([at]) => reference(at), [v])[0]);
      assertClose(await read(dx), want, 1e-6, "dx");
      [x, dy, y, again, dx].forEach((t) => t.dispose());
    });
  });
}
