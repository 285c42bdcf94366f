import { test } from "node:test";
import assert from "node:assert/strict";
import { read } from "../../lib/backend/tensors.ts";
import { addLinearGradients, linear, linearGradient } from "../../lib/kernels/product/linear.ts";
import { cpuOf } from "../../lib/kernels/_assembly.ts";
import { ownSgemmOn, sgemmOn } from "../../lib/kernels/product/_sgemm.ts";
import { matmul } from "../../lib/kernels/product/matmul.ts";
import { assertClose, assertNoLeak, gaussian, onBothBackends, upload, useDevice } from "../_backends.ts";

/** op(a)·op(b) in float64. */
function product(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { m, n, k, transposeA = false, transposeB = false }: {
    m: number;
    n: number;
    k: number;
    transposeA?: boolean;
    transposeB?: boolean;
  },
): Float64Array {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let p = 0; p < k; p++) {
      const left = transposeA ? a[p * m + i] : a[i * k + p];
      for (let j = 0; j < n; j++) c[i * n + j] += left * (transposeB ? b[j * k + p] : b[p * n + j]);
    }
  }
  return c;
}

onBothBackends("matmul of 2×2 matrices by hand", async () => {
  const a = upload(Float32Array.of(1, 2, 3, 4), [2, 2]), b = upload(Float32Array.of(5, 6, 7, 8), [2, 2]);
  const c = matmul(a, b), d = matmul(a, b, { transposeB: true });
  assertClose(await read(c), [19, 22, 43, 50], 1e-6); // 1·5 + 2·7 = 19
  assertClose(await read(d), [17, 23, 39, 53], 1e-6); // 1·5 + 2·6 = 17
  assert.equal(matmul(a, b, { into: c }), c);
  assertClose(await read(c), [38, 44, 86, 100], 1e-6);
  [a, b, c, d].forEach((t) => t.dispose());
});

type Layout = readonly [transposeA: boolean, transposeB: boolean];
const ALL: readonly Layout[] = [[false, false], [false, true], [true, false], [true, true]];
const TURNED_B: readonly Layout[] = [[false, true]];
/** Every layout where a side is odd, below and above one tile, and where vec4 fit; then each further tile of WGSL. */
const CASES: readonly [m: number, n: number, k: number, layouts: readonly Layout[]][] = [
  [5, 3, 2, ALL],
  [65, 66, 67, ALL],
  [100, 128, 64, ALL],
  [1, 1, 1, TURNED_B],
  [1, 130, 70, TURNED_B],
  [12, 132, 20, TURNED_B],
  [90, 68, 36, TURNED_B],
  [130, 4, 33, TURNED_B],
  [6, 1024, 256, TURNED_B],
  [19, 1030, 256, TURNED_B],
];
for (const [m, n, k, layouts] of CASES) {
  for (const [transposeA, transposeB] of layouts) {
    const what = `${transposeA ? "aᵀ" : "a"}·${transposeB ? "bᵀ" : "b"}`;
    onBothBackends(`matmul ${what} agrees with float64, set and added, at ${m}×${n}×${k}`, async () => {
      await assertNoLeak(async () => {
        const as = gaussian(m * k, 1), bs = gaussian(k * n, 2), cs = gaussian(m * n, 3);
        const a = upload(as, transposeA ? [k, m] : [m, k]), b = upload(bs, transposeB ? [n, k] : [k, n]);
        const into = upload(cs, [m, n]);
        const want = product(as, bs, { m, n, k, transposeA, transposeB });
        const c = matmul(a, b, { transposeA, transposeB });
        assert.deepEqual(c.shape, [m, n]);
        assertClose(await read(c), want, 2e-6, what);
        matmul(a, b, { transposeA, transposeB, into });
        assertClose(await read(into), want.map((v, i) => v + cs[i]), 2e-6, `c + ${what}`);
        [a, b, into, c].forEach((t) => t.dispose());
      });
    });
  }
}

/** 3 × 16 is a tile; 240 rows and 256 of k are a block; up to 12 rows of A·Bᵀ go by dot products. */
const SGEMM_SHAPES = [
  [1, 1, 1],
  [2, 3, 5],
  [3, 16, 4],
  [4, 17, 3],
  [12, 6, 7],
  [13, 33, 257],
  [25, 16, 10],
  [243, 19, 5],
  [3, 5, 600],
];
for (const [name, productOn] of [["sgemmSimd", ownSgemmOn], ["sgemm", sgemmOn]] as const) {
  for (const [m, n, k] of SGEMM_SHAPES) {
    test(`${name} of matrices inside larger ones agrees with float64 at ${m}×${n}×${k}`, async () => {
      const device = await useDevice("wasm");
      assert.ok(device.name === "wasm");
      const product = productOn(device);
      await assertNoLeak(async () => {
        for (const transposeA of [false, true]) {
          for (const transposeB of [false, true]) {
            for (const [alpha, beta] of [[1, 0], [1, 1], [-0.5, 2]]) {
              const lda = (transposeA ? m : k) + 3, ldb = (transposeB ? k : n) + 1, ldc = n + 2;
              const as = gaussian((transposeA ? k : m) * lda, 1),
                bs = gaussian((transposeB ? n : k) * ldb, 2);
              const cs = gaussian(m * ldc, 3);
              if (beta === 0) cs.forEach((_, i) => i % ldc < n && (cs[i] = NaN)); // must not be read
              const want = Float64Array.from(cs);
              for (let i = 0; i < m; i++) {
                for (let j = 0; j < n; j++) {
                  let sum = 0;
                  for (let p = 0; p < k; p++) {
                    sum += (transposeA ? as[p * lda + i] : as[i * lda + p]) *
                      (transposeB ? bs[j * ldb + p] : bs[p * ldb + j]);
                  }
                  want[i * ldc + j] = alpha * sum + (beta === 0 ? 0 : beta * cs[i * ldc + j]);
                }
              }
              const [a, b, c] = [as, bs, cs].map((v) => upload(v, [v.length]));
              const [at, bt, ct] = [a, b, c].map(cpuOf(a).pointer);
              product(transposeA, transposeB, m, n, k, alpha, at, lda, bt, ldb, beta, ct, ldc);
              assertClose(await read(c), want, 2e-6, `${transposeA} ${transposeB} ${alpha} ${beta}`);
              [a, b, c].forEach((t) => t.dispose());
            }
          }
        }
      });
    });
  }
}

onBothBackends("matmul over no inner elements is zero, or leaves what it is added to", async () => {
  const a = upload(new Float32Array(0), [3, 0]), b = upload(new Float32Array(0), [0, 2]);
  const into = upload(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]);
  const c = matmul(a, b);
  assertClose(await read(c), [0, 0, 0, 0, 0, 0], 0);
  assertClose(await read(matmul(a, b, { into })), [1, 2, 3, 4, 5, 6], 0);
  [a, b, c, into].forEach((t) => t.dispose());
});

test("matmul refuses shapes that do not fit", async () => {
  await useDevice("wasm");
  const a = upload(gaussian(6), [2, 3]), b = upload(gaussian(8), [4, 2]);
  assert.throws(() => matmul(a, b), /^Error: Cannot multiply \[2,3\] by \[4,2\]$/);
  assert.throws(
    () => matmul(b, a, { into: a }),
    /^Error: Cannot multiply \[4,2\] by \[2,3\] into \[2,3\]$/,
  );
  [a, b].forEach((t) => t.dispose());
});

for (const [rows, inputs, outputs] of [[1, 1, 1], [3, 7, 5], [67, 48, 36]]) {
  onBothBackends(
    `linear and its gradient agree with float64 at ${rows}×${inputs} → ${outputs}`,
    async () => {
      await assertNoLeak(async () => {
        const xs = gaussian(rows * inputs, 1), ws = gaussian(outputs * inputs, 2), bs = gaussian(outputs, 3);
        const gs = gaussian(rows * outputs, 4),
          dws = gaussian(outputs * inputs, 5),
          dbs = gaussian(outputs, 6);
        const x = upload(xs, [rows, inputs]),
          weight = upload(ws, [outputs, inputs]),
          bias = upload(bs, [outputs]);
        const dy = upload(gs, [rows, outputs]), dweight = upload(dws, [outputs, inputs]);
        const dbias = upload(dbs, [outputs]);
        const want = product(xs, ws, { m: rows, n: outputs, k: inputs, transposeB: true });
        const plain = linear(x, weight), y = linear(x, weight, bias);
        assertClose(await read(plain), want, 2e-6, "x·Wᵀ");
        assertClose(await read(y), want.map((v, i) => v + bs[i % outputs]), 2e-6, "x·Wᵀ + bias");
        // L = Σ g∘y is bilinear in x and W: its derivatives are products, dx = g·W and dW = gᵀ·x.
        const dx = linearGradient(weight, dy);
        addLinearGradients(x, dy, { dweight, dbias });
        addLinearGradients(x, dy, {}); // all frozen
        assertClose(await read(dx), product(gs, ws, { m: rows, n: inputs, k: outputs }), 2e-6, "dx");
        const wantW = product(gs, xs, { m: outputs, n: inputs, k: rows, transposeA: true });
        assertClose(await read(dweight), wantW.map((v, i) => v + dws[i]), 2e-6, "dweight");
        const wantB = Float64Array.from(dbs);
        gs.forEach((g, i) => wantB[i % outputs] += g);
        assertClose(await read(dbias), wantB, 2e-6, "dbias");
        [x, weight, bias, dy, dweight, dbias, plain, y, dx].forEach((t) => t.dispose());
      });
    },
  );
}
