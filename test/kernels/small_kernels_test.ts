import assert from "node:assert/strict";
import { read } from "../../lib/backend/tensors.ts";
import { adamw, sumOfSquares } from "../../lib/kernels/adamw.ts";
import { embedding, embeddingGradient } from "../../lib/kernels/vocabulary/embedding.ts";
import { writeCache } from "../../lib/kernels/attention/kv_cache.ts";
import { rope, ropeTable } from "../../lib/kernels/attention/rope.ts";
import { swiglu, swigluGradient } from "../../lib/kernels/swiglu.ts";
import {
  assertClose,
  assertNoLeak,
  differences,
  empty,
  gaussian,
  onBothBackends,
  testDevice,
  upload,
  zeros,
} from "../_backends.ts";

const silu = (g: number) => g / (1 + Math.exp(-g));

for (const [rows, f] of [[1, 1], [3, 7], [33, 64]]) {
  onBothBackends(
    `swiglu and its gradient agree with float64 and finite differences at ${rows}×${f}`,
    async () => {
      await assertNoLeak(async () => {
        const gu = gaussian(rows * 2 * f, 1).map((v) => 3 * v), g = gaussian(rows * f, 2);
        const forward = (x: ArrayLike<number>) =>
          Float64Array.from({ length: rows * f }, (_, i) => {
            const r = Math.floor(i / f), c = i % f;
            return silu(x[r * 2 * f + c]) * x[r * 2 * f + f + c];
          });
        const x = upload(gu, [rows, 2 * f]), dy = upload(g, [rows, f]);
        const y = swiglu(x), again = empty([rows, f]), dx = swigluGradient(x, dy, again);
        assertClose(await read(y), forward(gu), 1e-5, "y");
        assertClose(await read(again), forward(gu), 1e-5, "y once more");
        const alone = swigluGradient(x, dy);
        assertClose(await read(alone), await read(dx), 0, "dx alone");
        if (rows * f < 1000) {
          assertClose(
            await read(dx),
            differences((v) => forward(v).reduce((a, w, i) => a + w * g[i], 0), gu),
            1e-4,
            "dx",
          );
        }
        [x, dy, y, dx, again, alone].forEach((t) => t.dispose());
      });
    },
  );
}

onBothBackends("swiglu saturates without NaN at ±200", async () => {
  const x = upload(Float32Array.of(-200, 200, 1, 1), [1, 4]), y = swiglu(x);
  assertClose(await read(y), [0, 200], 1e-6);
  [x, y].forEach((t) => t.dispose());
});

onBothBackends("rope turns (1, 0) by the position's angle, leaves values alone, and turns back", async () => {
  await assertNoLeak(async () => {
    const table = ropeTable(testDevice(), [1, 0.1], 4);
    // one head of 4 dimensions to rotate, then 4 that are values; position 3
    const row = [1, 1, 0, 0, 5, 6, 7, 8];
    const x = upload(Float32Array.from(row), [1, 8]), positions = upload(Int32Array.of(3), [1]);
    rope(x, positions, { table, heads: 1 });
    assertClose(await read(x), [Math.cos(3), Math.cos(0.3), Math.sin(3), Math.sin(0.3), 5, 6, 7, 8], 1e-6);
    rope(x, positions, { table, heads: 1, inverse: true });
    assertClose(await read(x), row, 1e-6);
    [x, positions, table].forEach((t) => t.dispose());
  });
});

onBothBackends("rope keeps lengths on many rows and odd halves", async () => {
  const rows = 37, heads = 3, half = 3, stride = heads * 2 * half + 4;
  const values = gaussian(rows * stride, 3), table = ropeTable(testDevice(), [1, 0.5, 0.01], 64);
  const x = upload(values, [rows, stride]),
    positions = upload(Int32Array.from({ length: rows }, (_, i) => i), [rows]);
  rope(x, positions, { table, heads });
  const turned = await read(x);
  for (let r = 0; r < rows; r++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < half; i++) {
        const a = r * stride + h * 2 * half + i, b = a + half, angle = r * [1, 0.5, 0.01][i];
        const wanted = values[a] * Math.cos(angle) - values[b] * Math.sin(angle);
        assert.ok(Math.abs(turned[a] - wanted) < 1e-5, `${turned[a]} at row ${r}: expected ${wanted}`);
        assert.ok(Math.abs(Math.hypot(turned[a], turned[b]) - Math.hypot(values[a], values[b])) < 1e-5);
      }
    }
    for (let c = heads * 2 * half; c < stride; c++) {
      assert.equal(turned[r * stride + c], values[r * stride + c]);
    }
  }
  [x, positions, table].forEach((t) => t.dispose());
});

onBothBackends(
  "embedding gathers rows; its gradient adds the rows of repeated ids and ignores padding",
  async () => {
    await assertNoLeak(async () => {
      const d = 5, table = upload(gaussian(7 * d, 1), [7, d]), host = Int32Array.of(6, 0, 6, 6, 3);
      const ids = upload(Int32Array.of(...host, 0), [6]);
      const y = embedding(table, ids), t = await read(table);
      assertClose(await read(y), [...host, 0].flatMap((id) => [...t.slice(id * d, id * d + d)]), 0, "y");
      const dy = gaussian(6 * d, 2),
        gradient = upload(dy, [6, d]),
        dtable = upload(new Float32Array(7 * d).fill(1), [7, d]);
      embeddingGradient(host, gradient, dtable);
      const wanted = new Float64Array(7 * d).fill(1);
      host.forEach((id, i) => {
        for (let c = 0; c < d; c++) wanted[id * d + c] += dy[i * d + c];
      });
      assertClose(await read(dtable), wanted, 1e-6, "dtable");
      [table, ids, y, gradient, dtable].forEach((x) => x.dispose());
    });
  },
);

// One row, one column, one id for all, more columns than a workgroup has threads.
for (const [v, d, n] of [[1, 1, 1], [9, 1, 4], [1, 7, 3], [40, 65, 1], [33, 130, 70], [3, 300, 5]]) {
  onBothBackends(`embedding and its gradient agree with float64 at ${v}×${d}, ${n} ids`, async () => {
    await assertNoLeak(async () => {
      const values = gaussian(v * d, 1), host = Int32Array.from({ length: n }, (_, i) => i * 7 % v);
      const table = upload(values, [v, d]), ids = upload(host, [n]), g = gaussian((n + 2) * d, 2);
      const dy = upload(g, [n + 2, d]), start = gaussian(v * d, 3), dtable = upload(start, [v, d]);
      const y = embedding(table, ids);
      assertClose(await read(y), [...host].flatMap((id) => [...values.subarray(id * d, id * d + d)]), 0, "y");
      embeddingGradient(host, dy, dtable);
      // L = Σ g∘y is linear in the table: differences are exact.
      const loss = (t: ArrayLike<number>) =>
        host.reduce((sum, id, i) => {
          for (let c = 0; c < d; c++) sum += g[i * d + c] * t[id * d + c];
          return sum;
        }, 0);
      const wanted = v * d < 1000 ? differences(loss, values) : new Float64Array(v * d);
      if (v * d >= 1000) {
        host.forEach((id, i) => {
          for (let c = 0; c < d; c++) wanted[id * d + c] += g[i * d + c];
        });
      }
      assertClose(await read(dtable), wanted.map((w, i) => w + start[i]), 2e-6, "dtable");
      [table, ids, dy, dtable, y].forEach((t) => t.dispose());
    });
  });
}

for (const [rows, heads, half, values] of [[1, 1, 1, 0], [2, 1, 3, 6], [5, 3, 16, 7], [3, 2, 8, 16]]) {
  onBothBackends(
    `rope agrees with float64, its gradient with finite differences: ${rows} rows, ${heads} heads of ${
      2 * half
    }`,
    async () => {
      await assertNoLeak(async () => {
        const stride = heads * 2 * half + values,
          xs = gaussian(rows * stride, 1),
          g = gaussian(rows * stride, 2);
        const frequencies = Array.from({ length: half }, (_, i) => 0.7 ** i),
          table = ropeTable(testDevice(), frequencies, 64);
        const at = Int32Array.from({ length: rows }, (_, i) => 63 - 11 * i), positions = upload(at, [rows]);
        const forward = (x: ArrayLike<number>) => {
          const y = Float64Array.from(x);
          for (let pair = 0; pair < rows * heads * half; pair++) {
            const row = Math.floor(pair / (heads * half)), i = pair % half;
            const a = row * stride + Math.floor(pair % (heads * half) / half) * 2 * half + i, b = a + half;
            const angle = at[row] * frequencies[i], c = Math.cos(angle), s = Math.sin(angle);
            y[a] = x[a] * c - x[b] * s;
            y[b] = x[b] * c + x[a] * s;
          }
          return y;
        };
        const x = upload(xs, [rows, stride]), dy = upload(g, [rows, stride]);
        rope(x, positions, { table, heads });
        assertClose(await read(x), forward(xs), 2e-6, "y");
        rope(dy, positions, { table, heads, inverse: true });
        const want = differences((v) => forward(v).reduce((sum, y, i) => sum + y * g[i], 0), xs);
        assertClose(await read(dy), want, 2e-6, "dx");
        [x, dy, positions, table].forEach((t) => t.dispose());
      });
    },
  );
}

for (const [rows, queries, width, cacheRows] of [[1, 1, 1, 1], [3, 5, 7, 9], [70, 12, 33, 100]]) {
  onBothBackends(`writeCache of ${rows} rows of ${queries} + 2·${width} into ${cacheRows}`, async () => {
    await assertNoLeak(async () => {
      const stride = queries + 2 * width,
        xs = gaussian(rows * stride, 1),
        before = gaussian(cacheRows * 2 * width, 2);
      const hostRows = Int32Array.from({ length: rows }, (_, i) => i % 4 === 3 ? -1 : cacheRows - 1 - i);
      const fused = upload(xs, [rows, stride]), cache = upload(before, [cacheRows, 2 * width]);
      const list = upload(hostRows, [rows]), want = Float32Array.from(before);
      hostRows.forEach((to, i) => {
        if (to >= 0) want.set(xs.subarray(i * stride + queries, (i + 1) * stride), to * 2 * width);
      });
      writeCache(fused, cache, { rows: list, hostRows });
      assertClose(await read(cache), want, 0, "cache");
      [fused, cache, list].forEach((t) => t.dispose());
    });
  });
}

onBothBackends("writeCache puts keys and values where asked and skips −1", async () => {
  const fused = upload(Float32Array.from({ length: 12 }, (_, i) => i), [2, 6]), cache = zeros([3, 4]);
  const hostRows = Int32Array.of(2, -1), rows = upload(hostRows, [2]);
  writeCache(fused, cache, { rows, hostRows });
  assertClose(await read(cache), [0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 4, 5], 0);
  [fused, cache, rows].forEach((t) => t.dispose());
});

onBothBackends("adamw: first step by hand, clipped, and twenty steps against float64", async () => {
  await assertNoLeak(async () => {
    // g = (3, 4), ‖g‖ = 5, clip 1 → g = (0.6, 0.8); at t = 1, m̂ = g and √v̂ = |g|, so each p loses lr (and lr·wd·p)
    const p = upload(Float32Array.of(1, -1), [2]), m = zeros([2]), v = zeros([2]);
    const gradient = upload(Float32Array.of(3, 4), [2]), squares = sumOfSquares([gradient]);
    const settings = { learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 0, weightDecay: 0.5, clip: 1 };
    adamw({ parameter: p, gradient, m, v }, { ...settings, step: 1, squares });
    assertClose(await read(squares), [25], 1e-6, "squares");
    assertClose(await read(p), [1 * 0.95 - 0.1, -1 * 0.95 - 0.1], 1e-6, "p");
    assertClose(await read(m), [0.06, 0.08], 1e-6, "m");
    assertClose(await read(gradient), [0, 0], 0, "gradient is zeroed");
    [p, m, v, gradient, squares].forEach((t) => t.dispose());

    const size = 1003, start = gaussian(size, 1), want = Float64Array.from(start);
    const wm = new Float64Array(size), wv = new Float64Array(size);
    const q = upload(start, [size]), qm = zeros([size]), qv = zeros([size]);
    for (let step = 1; step <= 20; step++) {
      const g = gaussian(size, step + 1), tensor = upload(g, [size]), sum = sumOfSquares([tensor]);
      const s = {
        learningRate: 0.01,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        weightDecay: 0.1,
        clip: 2,
        step,
        squares: sum,
      };
      adamw({ parameter: q, gradient: tensor, m: qm, v: qv }, s);
      const norm = Math.sqrt(g.reduce((a, x) => a + x * x, 0)), scale = Math.min(1, 2 / norm);
      for (let i = 0; i < size; i++) {
        const gi = g[i] * scale;
        wm[i] = 0.9 * wm[i] + 0.1 * gi;
        wv[i] = 0.95 * wv[i] + 0.05 * gi * gi;
        const mh = wm[i] / (1 - 0.9 ** step), vh = wv[i] / (1 - 0.95 ** step);
        want[i] -= 0.01 * (mh / (Math.sqrt(vh) + 1e-8) + 0.1 * want[i]);
      }
      tensor.dispose();
      sum.dispose();
    }
    assertClose(await read(q), want, 1e-4, "p after 20 steps");
    [q, qm, qv].forEach((t) => t.dispose());
  });
});

onBothBackends("adamw leaves parameters alone when the gradient norm is not finite", async () => {
  const p = upload(Float32Array.of(1, 2), [2]), m = zeros([2]), v = zeros([2]);
  const gradient = upload(Float32Array.of(NaN, 1), [2]), squares = sumOfSquares([gradient]);
  const settings = {
    learningRate: 0.1,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0,
    clip: 1,
    step: 1,
    squares,
  };
  adamw({ parameter: p, gradient, m, v }, settings);
  assertClose(await read(p), [1, 2], 0);
  [p, m, v, gradient, squares].forEach((t) => t.dispose());
});

onBothBackends("sumOfSquares of many and long tensors", async () => {
  const values = [gaussian(70_001, 1), gaussian(3, 2), gaussian(1, 3)];
  const tensors = values.map((v) => upload(v, [v.length])), total = sumOfSquares(tensors);
  const want = values.flatMap((v) => [...v]).reduce((a, x) => a + x * x, 0);
  assert.ok(Math.abs((await read(total))[0] / want - 1) < 1e-5);
  [...tensors, total].forEach((t) => t.dispose());
});
