import assert from "node:assert/strict";
import { read } from "../../lib/backend/tensors.ts";
import { sample, type Sampling } from "../../lib/kernels/vocabulary/sample.ts";
import { assertNoLeak, gaussian, onBothBackends, upload } from "../_backends.ts";

async function draw(row: ArrayLike<number>, count: number, options: Sampling): Promise<number[]> {
  const v = row.length,
    logits = upload(Float32Array.from({ length: count * v }, (_, i) => row[i % v]), [count, v]);
  const streams = upload(Int32Array.from({ length: count }, (_, i) => Math.imul(i + 1, 0x9e3779b1)), [count]);
  const counters = upload(Int32Array.from({ length: count }, (_, i) => i % 7), [count]);
  const ids = sample(logits, { ...options, streams, counters });
  const out = [...await read(ids)];
  [logits, streams, counters, ids].forEach((t) => t.dispose());
  return out;
}

const free = { temperature: 1, topK: 0, topP: 1 };

onBothBackends("greedy takes the first of the largest, wherever it stands", async () => {
  await assertNoLeak(async () => {
    for (const [at, v] of [[0, 1], [2, 3], [511, 512], [300, 1000]]) {
      const row = new Float32Array(v).fill(-1);
      row[at] = 2;
      if (at + 1 < v) row[at + 1] = 2;
      assert.deepEqual(await draw(row, 2, { ...free, temperature: 0 }), [at, at]);
    }
  });
});

onBothBackends("frequencies follow softmax(logits / temperature)", async () => {
  // ln of 1, 2, 3, 4: at temperature 1 the shares are tenths; at 1/2 they go as squares, thirtieths
  const row = Float32Array.of(0, Math.log(2), Math.log(3), Math.log(4)), n = 20_000;
  for (
    const [temperature, shares] of [[1, [0.1, 0.2, 0.3, 0.4]], [0.5, [
      1 / 30,
      4 / 30,
      9 / 30,
      16 / 30,
    ]]] as const
  ) {
    const seen = [0, 0, 0, 0];
    for (const id of await draw(row, n, { ...free, temperature })) seen[id]++;
    // 4 standard deviations of a share of 0.4 among 20,000: 0.014
    seen.forEach((s, i) =>
      assert.ok(Math.abs(s / n - shares[i]) < 0.014, `${i}: ${s / n}, expected ${shares[i]}`)
    );
  }
});

onBothBackends("top-k and top-p keep what they should and renormalise", async () => {
  const row = Float32Array.of(Math.log(5), Math.log(1), Math.log(3), Math.log(1)); // shares .5 .1 .3 .1
  const kept = async (options: Partial<Sampling>) => {
    const ids = await draw(row, 4000, { ...free, ...options });
    return { set: [...new Set(ids)].sort(), share: ids.filter((id) => id === 0).length / ids.length };
  };
  assert.deepEqual((await kept({ topK: 1 })).set, [0]);
  const two = await kept({ topK: 2 });
  assert.deepEqual(two.set, [0, 2]);
  assert.ok(Math.abs(two.share - 5 / 8) < 0.031, `${two.share}`);
  assert.deepEqual((await kept({ topP: 0.49 })).set, [0]);
  assert.deepEqual((await kept({ topP: 0.51 })).set, [0, 2]);
  assert.deepEqual((await kept({ topP: 0.81 })).set, [0, 1, 2, 3]); // equals stay together
  assert.deepEqual((await kept({ topK: 2, topP: 0.6 })).set, [0]); // after top-k, 0 alone holds 5/8
  assert.deepEqual((await kept({ topK: 99 })).set, [0, 1, 2, 3]);
});

onBothBackends("a draw depends on its stream and counter, not on its row", async () => {
  const v = 300, row = gaussian(v, 5), a = await draw(row, 64, free), b = await draw(row, 40, free);
  assert.deepEqual(b, a.slice(0, 40));
  assert.ok(new Set(a).size > 20);
});

const drawn = new Map<string, number[]>();
onBothBackends("both backends draw the same ids from the same logits", async (backend) => {
  drawn.set(backend, await draw(gaussian(777, 9), 500, { temperature: 0.8, topK: 50, topP: 0.9 }));
  const [one, other] = [...drawn.values()];
  if (!other) return;
  const differing = one.filter((id, i) => id !== other[i]).length; // sums in another order may move a boundary
  assert.ok(differing <= 2, `${differing} of 500 differ`);
});

onBothBackends("logits of −∞ are never drawn", async () => {
  const row = Float32Array.of(-Infinity, 0, -Infinity, -1);
  assert.deepEqual([...new Set(await draw(row, 500, free))].sort(), [1, 3]);
});

onBothBackends("a row with a logit that is NaN or infinite, or without any, is marked", async () => {
  const v = 300,
    rows: [fill: number, at: number, value: number, marked: boolean][] = [
      [0, 7, 3, false],
      [0, 299, NaN, true],
      [NaN, 5, 1, true],
      [1, 130, Infinity, true],
      [-Infinity, 0, -Infinity, true],
      [0, 3, -NaN, true],
    ];
  const values = new Float32Array(rows.length * v);
  rows.forEach(([fill, at, value], r) => {
    values.fill(fill, r * v, (r + 1) * v);
    values[r * v + at] = value;
  });
  for (const how of [[0, 0, 1], [1, 0, 1], [0.7, 5, 1], [1, 0, 0.9]] as const) {
    const [temperature, topK, topP] = how;
    await assertNoLeak(async () => {
      const logits = upload(values, [rows.length, v]),
        numbers = () => upload(new Int32Array(rows.length), [rows.length]);
      const streams = numbers(), counters = numbers();
      const ids = sample(logits, { temperature, topK, topP, streams, counters }), drawn = await read(ids);
      rows.forEach(([, , , marked], r) =>
        assert.equal(drawn[r] === -1, marked, `row ${r} of ${how}: ${drawn[r]}`)
      );
      [logits, streams, counters, ids].forEach((t) => t.dispose());
    });
  }
});

onBothBackends("ids from `drawable` on are never drawn, whatever their logits", async () => {
  await assertNoLeak(async () => {
    for (const [v, drawable] of [[8, 5], [1000, 513], [7, 7]] as const) {
      // The rows beyond hold the largest logits, and what is no number at all.
      const row = Float32Array.from({ length: v }, (_, i) => i < drawable ? i % 3 : i % 2 ? 50 : NaN);
      for (const [temperature, topK, topP] of [[0, 0, 1], [1, 0, 1], [1, 4, 1], [1, 0, 0.9]] as const) {
        const ids = await draw(row, 400, { temperature, topK, topP, drawable });
        // The same as from the first logits alone.
        assert.deepEqual(ids, await draw(row.subarray(0, drawable), 400, { temperature, topK, topP }));
        assert.ok(ids.every((id) => id >= 0 && id < drawable), `${v} ${drawable} ${Math.max(...ids)}`);
      }
    }
  });
});
