import { read } from "../../lib/backend/tensors.ts";
import { headNorm, headNormGradient } from "../../lib/kernels/norm/head_norm.ts";
import { assertClose, assertNoLeak, differences, gaussian, onBothBackends, upload } from "../_backends.ts";

const epsilon = 1e-6;

interface Shape {
  readonly rows: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** The same maths in float64, over fused rows of queries, keys and values. */
function reference(
  x: ArrayLike<number>,
  weights: { readonly q: ArrayLike<number>; readonly k: ArrayLike<number> },
  { rows, heads, kvHeads, headDim: d }: Shape,
): Float64Array {
  const y = Float64Array.from(x), slots = heads + 2 * kvHeads;
  for (let item = 0; item < rows * slots; item++) {
    const head = item % slots, w = head < heads ? weights.q : weights.k;
    if (head >= heads + kvHeads) continue;
    let squares = 0;
    for (let i = 0; i < d; i++) squares += x[item * d + i] ** 2;
    for (let i = 0; i < d; i++) y[item * d + i] *= w[i] / Math.sqrt(squares / d + epsilon);
  }
  return y;
}

onBothBackends("head_norm of one query, key and value by hand", async () => {
  await assertNoLeak(async () => {
    // mean of squares: (9 + 16)/2 = 12.5 of the query, (1 + 1)/2 = 1 of the key; the value passes
    const x = upload(Float32Array.of(3, 4, 1, -1, 5, 6), [1, 6]);
    const q = upload(Float32Array.of(1, 10), [2]), k = upload(Float32Array.of(2, 3), [2]);
    const y = headNorm(x, { q, k, heads: { heads: 1, kvHeads: 1, headDim: 2 }, epsilon: 0 });
    assertClose(await read(y), [3 / Math.sqrt(12.5), 40 / Math.sqrt(12.5), 2, -3, 5, 6], 1e-6);
    [x, q, k, y].forEach((t) => t.dispose());
  });
});

const shapes: Shape[] = [
  { rows: 1, heads: 1, kvHeads: 1, headDim: 2 },
  { rows: 3, heads: 6, kvHeads: 2, headDim: 10 },
  { rows: 5, heads: 2, kvHeads: 1, headDim: 33 },
  { rows: 7, heads: 3, kvHeads: 3, headDim: 64 },
  { rows: 2, heads: 2, kvHeads: 1, headDim: 128 },
  // More heads than the workgroups of the gradient can take in one stride.
  { rows: 600, heads: 8, kvHeads: 1, headDim: 4 },
];
for (const shape of shapes) {
  const { rows, heads, kvHeads, headDim } = shape;
  onBothBackends(
    `head_norm and its gradient agree with float64 and finite differences: ${JSON.stringify(shape)}`,
    async () => {
      await assertNoLeak(async () => {
        const width = (heads + 2 * kvHeads) * headDim;
        const xs = gaussian(rows * width, 1), g = gaussian(rows * width, 2);
        const qs = gaussian(headDim, 3), ks = gaussian(headDim, 4);
        qs[0] = 0; // a weight of zero must not hide the gradient of that weight
        const startQ = gaussian(headDim, 5), startK = gaussian(headDim, 6);
        const x = upload(xs, [rows, width]), q = upload(qs, [headDim]), k = upload(ks, [headDim]);
        const dq = upload(startQ, [headDim]), dk = upload(startK, [headDim]);
        const dy = upload(g, [rows, width]), frozen = upload(g, [rows, width]);
        const options = { q, k, heads: shape, epsilon };
        const y = headNorm(x, options);
        assertClose(await read(y), reference(xs, { q: qs, k: ks }, shape), 1e-5, "y");
        assertClose(await read(x), xs, 0, "x afterwards");
        headNormGradient(x, dy, { ...options, dq, dk });
        headNormGradient(x, frozen, options);
        const loss = (x: ArrayLike<number>, weights: { q: ArrayLike<number>; k: ArrayLike<number> }) =>
          reference(x, weights, shape).reduce((a, v, i) => a + v * g[i], 0);
        const wantQ = differences((w) => loss(xs, { q: w, k: ks }), qs).map((v, i) => v + startQ[i]);
        const wantK = differences((w) => loss(xs, { q: qs, k: w }), ks).map((v, i) => v + startK[i]);
        assertClose(await read(dq), wantQ, 1e-4, "dq");
        assertClose(await read(dk), wantK, 1e-4, "dk");
        assertClose(await read(frozen), await read(dy), 0, "dx with frozen weights");
        if (rows * width < 2000) {
          assertClose(await read(dy), differences((v) => loss(v, { q: qs, k: ks }), xs), 1e-4, "dx");
        }
        [x, q, k, dq, dk, dy, frozen, y].forEach((t) => t.dispose());
      });
    },
  );
}
