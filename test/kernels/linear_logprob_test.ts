import { test } from "node:test";
import assert from "node:assert/strict";
import { read } from "../../lib/backend/tensors.ts";
import {
  linearLogprob,
  linearLogprobGradient,
  makeLabels,
} from "../../lib/kernels/vocabulary/linear_logprob.ts";
import {
  assertClose,
  assertNoLeak,
  differences,
  gaussian,
  onBothBackends,
  testDevice,
  upload,
  useDevice,
} from "../_backends.ts";

type Pairs = ReadonlyArray<readonly [row: number, id: number]>;

/** log-probs of the pairs, in float64. */
function reference(h: ArrayLike<number>, w: ArrayLike<number>, d: number, pairs: Pairs): Float64Array {
  const lse = new Map<number, number>();
  const logit = (row: number, v: number) => {
    let dot = 0;
    for (let i = 0; i < d; i++) dot += h[row * d + i] * w[v * d + i];
    return dot;
  };
  return Float64Array.from(pairs, ([row, id]) => {
    if (!lse.has(row)) {
      const logits = Array.from({ length: w.length / d }, (_, v) => logit(row, v));
      const most = Math.max(...logits);
      lse.set(row, most + Math.log(logits.reduce((sum, l) => sum + Math.exp(l - most), 0)));
    }
    return logit(row, id) - lse.get(row)!;
  });
}

/** Pair i of the input is element order[i]. */
function inInputOrder(values: ArrayLike<number>, order: Int32Array): Float64Array {
  return Float64Array.from(order, (at) => values[at]);
}

onBothBackends("linear_logprob of two labels by hand", async () => {
  // h = 1, W = (log 1, log 3): probabilities 1/4 and 3/4.
  const hidden = upload(Float32Array.of(1), [1, 1]), weight = upload(Float32Array.of(0, Math.log(3)), [2, 1]);
  const labels = makeLabels(testDevice(), [[0, 1], [0, 0]]);
  const out = linearLogprob(hidden, weight, { labels });
  assertClose(inInputOrder(await read(out.logprobs), labels.order), [Math.log(3 / 4), Math.log(1 / 4)], 1e-6);
  assertClose(await read(out.lse), [Math.log(4)], 1e-6);
  // L = 2·logprob(1): dlogits = 2·(−1/4, 1/4); dh = dlogits·W = log(3)/2; dW = dlogitsᵀ·h
  const dweight = upload(Float32Array.of(10, 20), [2, 1]), g = upload(Float32Array.of(2, 0), [2]);
  const dh = linearLogprobGradient(out, g, { hidden, weight, labels, dweight });
  assertClose(await read(dh), [Math.log(3) / 2], 1e-6);
  assertClose(await read(dweight), [9.5, 20.5], 1e-6);
  [hidden, weight, dweight, g, dh].forEach((t) => t.dispose());
  out.dispose();
  labels.dispose();
});

test("makeLabels groups by row, keeps the order of a row's labels and says where each pair went", async () => {
  await useDevice("wasm");
  const labels = makeLabels(testDevice(), [[7, 5], [2, 9], [7, 1], [0, 4], [7, 5]]);
  assert.deepEqual([...await read(labels.rows)], [0, 2, 7]);
  assert.deepEqual([...await read(labels.pairStarts)], [0, 1, 2, 5]);
  assert.deepEqual([...await read(labels.ids)], [4, 9, 5, 1, 5]);
  assert.deepEqual([...labels.order], [2, 1, 3, 0, 4]);
  assert.deepEqual([labels.rowCount, labels.pairCount], [3, 5]);
  labels.dispose();
});

onBothBackends("linear_logprob refuses labels out of range before it launches", async () => {
  await assertNoLeak(() => {
    assert.throws(
      () => makeLabels(testDevice(), [[0, 1], [0, -1]]),
      /^InputError: Cannot score label -1 of row 0, pair 1/,
    );
    assert.throws(
      () => makeLabels(testDevice(), [[0.5, 1]]),
      /^InputError: Cannot score label 1 of row 0.5, pair 0/,
    );
    const hidden = upload(gaussian(6), [3, 2]), weight = upload(gaussian(8), [4, 2]);
    const badId = makeLabels(testDevice(), [[0, 4]]), badRow = makeLabels(testDevice(), [[3, 0]]);
    assert.throws(
      () => linearLogprob(hidden, weight, { labels: badId }),
      /^InputError: Cannot score label 4: the head has 4 labels$/,
    );
    assert.throws(
      () => linearLogprob(hidden, weight, { labels: badRow }),
      /^InputError: Cannot score a label of row 3: there are 3 rows$/,
    );
    [hidden, weight, badId, badRow].forEach((t) => t.dispose());
  });
});

onBothBackends("linear_logprob of no labels gives nothing and a zero gradient", async () => {
  await assertNoLeak(async () => {
    const hidden = upload(gaussian(6), [3, 2]),
      weight = upload(gaussian(8), [4, 2]),
      labels = makeLabels(testDevice(), []);
    const out = linearLogprob(hidden, weight, { labels });
    assert.equal(out.logprobs.size, 0);
    const g = upload(new Float32Array(0), [0]);
    const dh = linearLogprobGradient(out, g, { hidden, weight, labels });
    assert.deepEqual([...await read(dh)], [0, 0, 0, 0, 0, 0]);
    [hidden, weight, labels, out, g, dh].forEach((t) => t.dispose());
  });
});

/** `chunkFloats`: logits a chunk, 64 labels wide, so that there are several. */
const CASES: {
  name: string;
  n: number;
  d: number;
  v: number;
  pairs: Pairs;
  chunkFloats?: number;
  scale?: number;
}[] = [
  { name: "one row, one label", n: 1, d: 1, v: 1, pairs: [[0, 0]] },
  {
    name: "every row, all in one chunk",
    n: 5,
    d: 4,
    v: 9,
    pairs: [0, 1, 2, 3, 4].map((r) => [r, (r * 5) % 9]),
  },
  {
    name: "some rows, several labels a row, one twice, out of order",
    n: 7,
    d: 6,
    v: 70,
    pairs: [[5, 69], [1, 0], [5, 3], [5, 69], [2, 64]],
  },
  {
    name: "four chunks of labels, the last of 8",
    n: 6,
    d: 3,
    v: 200,
    chunkFloats: 3 * 64,
    pairs: [[0, 63], [0, 64], [3, 199], [3, 0], [4, 128]],
  },
  {
    name: "blocks of rows and of labels",
    n: 140,
    d: 2,
    v: 131,
    chunkFloats: 64 * 64,
    pairs: Array.from({ length: 133 }, (_, i) => [i + 7, (i * 37) % 131] as const),
  },
  {
    name: "logits of hundreds",
    n: 3,
    d: 5,
    v: 130,
    chunkFloats: 2 * 64,
    scale: 12,
    pairs: [[0, 5], [1, 129], [1, 64]],
  },
];
for (const { name, n, d, v, pairs, chunkFloats, scale = 1 } of CASES) {
  onBothBackends(
    `linear_logprob agrees with float64, its gradient with finite differences: ${name}`,
    async () => {
      await assertNoLeak(async () => {
        const hs = gaussian(n * d, 1).map((x) => x * scale), ws = gaussian(v * d, 2).map((x) => x * scale);
        const gs = gaussian(pairs.length, 3), start = gaussian(v * d, 4);
        const hidden = upload(hs, [n, d]),
          weight = upload(ws, [v, d]),
          labels = makeLabels(testDevice(), pairs);
        const want = reference(hs, ws, d, pairs);
        const options = chunkFloats ? { chunkBytes: chunkFloats * 4 } : {};
        const out = linearLogprob(hidden, weight, { labels, ...options });
        assert.equal(out.kept !== undefined, chunkFloats === undefined);
        assertClose(inInputOrder(await read(out.logprobs), labels.order), want, 2e-6, "logprobs");
        const sorted = new Float32Array(pairs.length);
        gs.forEach((g, i) => sorted[labels.order[i]] = g);
        const dlogprobs = upload(sorted, [pairs.length]), dweight = upload(start, [v, d]);
        const dh = linearLogprobGradient(out, dlogprobs, { hidden, weight, labels, dweight });
        assert.equal(out.kept, undefined);
        const loss = (h: ArrayLike<number>, w: ArrayLike<number>) =>
          reference(h, w, d, pairs).reduce((sum, l, i) => sum + gs[i] * l, 0);
        const wantH = differences((h) => loss(h, ws), hs);
        assertClose(await read(dh), wantH, 2e-5, "dhidden");
        const wantW = differences((w) => loss(hs, w), ws).map((g, i) => g + start[i]);
        assertClose(await read(dweight), wantW, 2e-5, "dweight");
        // A second time, and with a frozen head: what was kept is computed again.
        const again = linearLogprobGradient(out, dlogprobs, { hidden, weight, labels });
        assertClose(await read(again), wantH, 2e-5, "dhidden again");
        [hidden, weight, labels, out, dlogprobs, dweight, dh, again].forEach((t) => t.dispose());
      });
    },
  );
}

onBothBackends("linear_logprob holds one chunk of logits at most", async () => {
  const n = 96, d = 16, v = 9000; // 3.3 MiB of logits in chunks of 256 KiB
  const hidden = upload(gaussian(n * d, 1), [n, d]), weight = upload(gaussian(v * d, 2), [v, d]);
  const labels = makeLabels(testDevice(), Array.from({ length: n }, (_, i) => [i, (i * 97) % v] as const));
  const run = async () => {
    const out = linearLogprob(hidden, weight, { labels, chunkBytes: 2 ** 18 });
    const logprobs = await read(out.logprobs);
    out.dispose();
    return logprobs;
  };
  const before = testDevice().use().held;
  const logprobs = await run();
  const spent = testDevice().use().held - before;
  assert.ok(spent < 2 ** 20, `${spent} bytes were allocated for a chunk of 262144`);
  const want = reference(await read(hidden), await read(weight), d, [[0, 0], [95, (95 * 97) % v]]);
  assertClose([logprobs[0], logprobs[95]], want, 2e-6);
  [hidden, weight, labels].forEach((t) => t.dispose());
});
