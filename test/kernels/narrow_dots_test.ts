/** Products of rounded rows with 8- and 4-bit weights: by hand, within the stated error, in both builds. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { openDevice } from "../../lib/backend/backend.ts";
import { openCpu } from "../../lib/backend/cpu.ts";
import type { CpuDevice } from "../../lib/backend/device.ts";
import { profile } from "../../lib/backend/profile.ts";
import { read, upload } from "../../lib/backend/tensors.ts";
import fused from "../../lib/kernels/built/narrow_dots_fused.wasm.ts";
import plain from "../../lib/kernels/built/narrow_dots.wasm.ts";
import { quantize, quantizeValues } from "../../lib/kernels/product/quantize.ts";
import { linear } from "../../lib/kernels/product/linear.ts";
import { quantizedLinear } from "../../lib/kernels/product/quantized_linear.ts";
import { generate } from "../../lib/model/generate.ts";
import { narrowHead } from "../../lib/model/narrow_head.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import { assertClose, gaussian } from "../_backends.ts";
import { tokenIds, writeSmallModel } from "../_models.ts";
import { toyProblems } from "../_toys.ts";

const device = await openCpu("a test", 1);

async function product(
  x: Float32Array,
  w: Float32Array,
  { n, k, dtype, bias }: { n: number; k: number; dtype: "int8" | "int4"; bias?: Float32Array },
): Promise<Float32Array> {
  using rows = upload(device, x, [x.length / k, k]);
  using matrix = quantize(device, w, { shape: [n, k], dtype });
  using shift = bias && upload(device, bias, [n]);
  using y = quantizedLinear(rows, matrix, { bias: shift, rounded: true });
  return await read(y) as Float32Array;
}

test("by hand: steps of 1", async () => {
  // int8: 127·8127 + (−76)·(−3) + 32·3 = 1,032,453, with steps of 1 and weights of q/127.
  const bytes = await product(Float32Array.of(8127, -3.4, 2.6), Float32Array.of(1, -0.6, 0.25), {
    ...{ n: 1, k: 3, dtype: "int8" },
  });
  assert.deepEqual([...bytes], [Math.fround(1032453 * Math.fround(1 / 127))]);
  // int4: 7·127 + (−7)·(−3) + 3·3 = 919; the next block, of one number: 5 in steps of 5/127, times −14.
  const x = new Float32Array(33), w = new Float32Array(33);
  x.set([127, -3.4, 2.6]);
  w.set([7, -7, 3.4]);
  x[32] = 5;
  w[32] = -14;
  assert.deepEqual([...await product(x, w, { n: 1, k: 33, dtype: "int4" })], [919 - 70]);
  assert.deepEqual([...await product(x, w, { n: 1, k: 33, dtype: "int4", bias: Float32Array.of(1.5) })], [
    919 - 70 + 1.5,
  ]);
});

/** The product with what is kept, x as it is, and what rounding x may change at most. */
function exact(
  x: Float32Array,
  w: Float32Array,
  { n, k, dtype }: { n: number; k: number; dtype: "int8" | "int4" },
) {
  const m = x.length / k, y = new Float64Array(m * n), bound = new Float64Array(m * n);
  const { words, scales } = quantizeValues(w, [n, k], dtype), padded = Math.ceil(k / 32) * 32;
  const weight = (j: number, c: number) => {
    const at = j * padded + c;
    return dtype === "int8"
      ? new Int8Array(words.buffer)[at]! * scales[j]!
      : ((words[at >> 3]! >>> (4 * (at & 7)) & 15) - 8) * scales[at >> 5]!;
  };
  const [block, steps] = dtype === "int8" ? [k, 16254] : [32, 254];
  for (let j = 0; j < n; j++) {
    const kept = Float64Array.from({ length: k }, (_, c) => weight(j, c));
    for (let i = 0; i < m; i++) {
      for (let from = 0; from < k; from += block) {
        let most = 0, weights = 0;
        for (let c = from; c < Math.min(k, from + block); c++) {
          const value = x[i * k + c]!;
          y[i * n + j]! += value * kept[c]!;
          most = Math.max(most, Math.abs(value));
          weights += Math.abs(kept[c]!);
        }
        bound[i * n + j]! += most / steps * weights;
      }
    }
  }
  return { y, bound };
}

test("errors are within what is stated, and those of rounding", async () => {
  for (const dtype of ["int8", "int4"] as const) {
    for (
      const [m, n, k] of [[1, 1, 1], [1, 7, 32], [2, 8, 31], [5, 33, 100], [24, 6, 257], [
        3,
        40,
        576,
      ]] as const
    ) {
      const x = gaussian(m * k, 3), w = gaussian(n * k, 2);
      x[0] = 30; // what real models have in a few places
      const got = await product(x, w, { n, k, dtype }), { y, bound } = exact(x, w, { n, k, dtype });
      let error = 0, size = 0;
      got.forEach((value, i) => {
        const off = Math.abs(value - y[i]!);
        assert.ok(
          off <= bound[i]! * 1.00001 + 1e-6,
          `${dtype} ${m}×${n}×${k} [${i}]: off by ${off}, ${bound[i]}`,
        );
        error += off ** 2;
        size += y[i]! ** 2;
      });
      const relative = Math.sqrt(error / size);
      if (k !== 576) continue; // in a row of few blocks the one large number is most of it
      const [least, most] = dtype === "int8" ? [1e-5, 1e-3] : [1e-3, 1e-2];
      assert.ok(relative > least && relative < most, `${dtype} ${m}×${n}×${k}: ${relative}`);
    }
  }
});

test("a row's result does not depend on the rows beside it", async () => {
  const n = 37, k = 200, x = gaussian(7 * k, 5), w = gaussian(n * k, 6);
  for (const dtype of ["int8", "int4"] as const) {
    const all = await product(x, w, { n, k, dtype });
    for (let i = 0; i < 7; i++) {
      const alone = await product(x.slice(i * k, (i + 1) * k), w, { n, k, dtype });
      assert.deepEqual(alone, all.slice(i * n, (i + 1) * n), `${dtype}, row ${i}`);
    }
  }
});

test("rows of zeros, of the smallest numbers, of what is no number", async () => {
  const k = 40, w = gaussian(2 * k, 6);
  for (const dtype of ["int8", "int4"] as const) {
    const of = (value: number, rest = 0) =>
      product(Float32Array.from({ length: k }, (_, c) => c === 3 ? value : rest), w, { n: 2, k, dtype });
    assert.deepEqual([...await of(0)].map(Math.abs), [0, 0]);
    assert.deepEqual([...await of(1e-40, 1e-42)].map(Math.abs), [0, 0]);
    for (const value of [NaN, Infinity, -Infinity]) {
      assert.ok((await of(value, 1)).every((y) => !Number.isFinite(y)), `${dtype} of ${value}`);
    }
  }
});

/** Both products of a built module, called as they are. */
function byModule(
  text: string,
  device: CpuDevice,
  x: Float32Array,
  w: Float32Array,
  [n, k]: [number, number],
) {
  const kernels = device.threads.module(text), m = x.length / k, stride = Math.ceil(k / 32) * 32;
  const put = (values: Float32Array | Int32Array) => {
    const at = device.allocate(values.byteLength);
    new Uint8Array(device.memory.buffer, at, values.byteLength).set(
      new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    );
    return at;
  };
  const from = put(x), y = device.allocate(4 * m * n), steps = device.allocate(m * (16 + 2 * stride));
  const result = (dtype: "int8" | "int4") => {
    const { words, scales } = quantizeValues(w, [n, k], dtype), at = [put(words), put(scales)] as const;
    kernels[dtype === "int8" ? "fineSteps" : "coarseSteps"]!(from, steps, m, k, stride);
    kernels[dtype === "int8" ? "dotBytes" : "dotNibbles"]!(...at, steps, y, m, n, stride, n, 0);
    at.forEach((place) => device.free(place));
    return new Float32Array(device.memory.buffer, y, m * n).slice();
  };
  const both = { int8: result("int8"), int4: result("int4") };
  [from, y, steps].forEach((place) => device.free(place));
  return both;
}

test("both builds: the same whole numbers, also of sums beyond 32 bits", (t) => {
  try {
    device.threads.module(fused);
  } catch {
    return t.skip("this engine does not know the instruction");
  }
  for (const [m, n, k] of [[1, 3, 64], [4, 5, 1000], [3, 2, 20_000]] as const) {
    const ends = k === 20_000; // 20,000 · 127 · 8,127 = 2.06e10
    const x = ends ? new Float32Array(m * k).fill(2) : gaussian(m * k, 3);
    const w = ends ? new Float32Array(n * k).fill(-1) : gaussian(n * k, 2);
    const a = byModule(plain, device, x, w, [n, k]), b = byModule(fused, device, x, w, [n, k]);
    assert.deepEqual(a.int8, b.int8, `${m}×${n}×${k}`);
    assertClose(a.int4, b.int4, 1e-5, `${m}×${n}×${k}`);
    if (ends) { for (const y of [...a.int8, ...b.int4]) assert.ok(Math.abs(y + 40_000) < 0.5, `${y}`); }
  }
});

test("only the steps of decoding round: training, scoring and prompts are exact", async () => {
  const directory = await writeSmallModel();
  for (const dtype of ["int8", "int4"] as const) {
    using model = await loadModel(directory, { backend: "wasm", baseDtype: dtype });
    const count = () => (profile.launches.get("dots_int8") ?? 0) + (profile.launches.get("dots_int4") ?? 0);
    const before = count();
    await model.logprobs(tokenIds(9, 5));
    await model.logits(tokenIds(9, 5));
    assert.equal(count(), before);
    const groups = await Array.fromAsync(
      generate(model, toyProblems(1), { samples: 1, maxTokens: 3, temperature: 0, keepDuplicates: true }),
    );
    const { tokens } = groups[0]!.candidates[0]!;
    assert.equal(
      count() - before,
      (4 * 2 + 1) * tokens!,
      "4 projections in each of 2 layers and a head, a token",
    );
  }
});

test("the head in 8 bits is near the one in float32, and there beside int8 and int4 on the CPU alone", async () => {
  const directory = await writeSmallModel(), { tensors } = (await openDevice("wasm")).use();
  for (const dtype of ["f32", "f16", "int8", "int4"] as const) {
    using model = await loadModel(directory, { backend: "wasm", baseDtype: dtype });
    const { decoder } = model, head = narrowHead(decoder, 1);
    assert.equal(head?.dtype, dtype.startsWith("int") ? "int8" : undefined);
    if (!head) continue;
    assert.equal(narrowHead(decoder, 1), head); // made once
    const { tensor } = decoder.head, [rows, columns] = tensor.shape as [number, number];
    const values = gaussian(columns, 3), x = upload(model.device, values, [1, columns]);
    const y = quantizedLinear(x, head, { rounded: true }), wide = linear(x, tensor);
    const [near, exact, weights] = await Promise.all([y, wide, tensor].map((t) => read(t)));
    const largest = Math.max(...values.map(Math.abs));
    for (let r = 0; r < rows; r++) {
      const row = (weights as Float32Array).subarray(r * columns, (r + 1) * columns);
      // Half a step of each weight, and what rounding x may lose.
      const step = Math.max(...row.map(Math.abs)) / 254;
      const bound = values.reduce((sum, value) => sum + Math.abs(value) * step, 0) +
        largest / 16254 * row.reduce((sum, w) => sum + Math.abs(w) + step, 0);
      assert.ok(Math.abs(near![r]! - exact![r]!) <= bound + 1e-6, `row ${r}`);
    }
    decoder.head.saved = { name: "head", tensor: x, adapter: { enabled: true } as never }; // an adapter's own
    assert.equal(narrowHead(decoder, 1), undefined);
    delete decoder.head.saved;
    [x, y, wide].forEach((t) => t.dispose());
  }
  assert.equal((await openDevice("wasm")).use().tensors, tensors); // freed with its model
});
