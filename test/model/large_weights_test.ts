/** Weights larger than one binding of the GPU go by parts, and give what they give whole. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { read } from "../../lib/backend/tensors.ts";
import type { WebgpuDevice } from "../../lib/backend/device.ts";
import { findAdapter } from "../../lib/backend/webgpu.ts";
import { adamw, sumOfSquares } from "../../lib/kernels/adamw.ts";
import { embedding, embeddingGradient } from "../../lib/kernels/vocabulary/embedding.ts";
import { addLinearGradients, linear, linearGradient } from "../../lib/kernels/product/linear.ts";
import {
  linearLogprob,
  linearLogprobGradient,
  makeLabels,
} from "../../lib/kernels/vocabulary/linear_logprob.ts";
import { matmul } from "../../lib/kernels/product/matmul.ts";
import { quantize } from "../../lib/kernels/product/quantize.ts";
import { quantizedLinear, quantizedLinearGradient } from "../../lib/kernels/product/quantized_linear.ts";
import { DecodingSession } from "../../lib/model/decoding.ts";
import { Optimizer } from "../../lib/train/optimizer.ts";
import { backward, forward, orderedLogprobs } from "../../lib/model/decoder.ts";
import { deviceBatch } from "../../lib/model/batch.ts";
import { assertClose, assertNoLeak, gaussian, testDevice, upload, useDevice, zeros } from "../_backends.ts";
import { smallModel } from "../_models.ts";

const { adapter } = await findAdapter();
const skip = adapter ? false : "no WebGPU adapter on this machine";

/** Runs with a device that pretends to bind no more than `bytes`: the dispatcher then refuses any larger binding. */
async function withBinding<T>(bytes: number, run: () => Promise<T> | T): Promise<T> {
  const active = testDevice();
  assert.ok(active.name === "webgpu");
  const device = active as { limits: WebgpuDevice["limits"] }, { limits } = device;
  const { maxComputeWorkgroupsPerDimension } = limits;
  device.limits = {
    maxStorageBufferBindingSize: bytes,
    maxComputeWorkgroupsPerDimension,
  } as unknown as WebgpuDevice["limits"];
  try {
    return await run();
  } finally {
    device.limits = limits;
  }
}

/** What `run` makes in 32 KiB bindings equals what it makes without a limit; returns nothing else. */
async function sameInParts(run: () => Promise<Record<string, ArrayLike<number>>>): Promise<void> {
  await useDevice("webgpu");
  await assertNoLeak(async () => {
    const whole = await run(), parts = await withBinding(2 ** 15, run);
    for (const [name, values] of Object.entries(whole)) assertClose(parts[name], values, 2e-6, name);
  });
}

// 300 × 40 numbers are 47 KiB: 192 rows, then 108; turned, 40 rows of 300 go by 16.
for (const [rows, out, inputs] of [[5, 300, 40], [3, 150, 63], [70, 100, 48]]) {
  test(
    `linear layers of ${inputs} → ${out}, ${rows} rows, by parts`,
    { skip },
    () =>
      sameInParts(async () => {
        const x = upload(gaussian(rows * inputs, 1), [rows, inputs]);
        const weight = upload(gaussian(out * inputs, 2), [out, inputs]),
          bias = upload(gaussian(out, 3), [out]);
        const turned = upload(gaussian(out * inputs, 2), [inputs, out]);
        const dy = upload(gaussian(rows * out, 4), [rows, out]);
        const dweight = upload(gaussian(out * inputs, 5), [out, inputs]);
        const made = [
          linear(x, weight),
          linear(x, weight, bias),
          linearGradient(weight, dy),
          matmul(x, turned),
          matmul(turned, x, { transposeA: true, transposeB: true }),
        ];
        addLinearGradients(x, dy, { dweight });
        const values = await Promise.all([...made, dweight].map((t) => read(t)));
        [x, weight, bias, turned, dy, dweight, ...made].forEach((t) => t.dispose());
        return Object.fromEntries(values.map((v, i) => [`result ${i}`, v]));
      }),
  );
}

for (const dtype of ["f16", "int8", "int4"] as const) {
  test(`a narrow ${dtype} matrix by parts`, { skip }, () =>
    sameInParts(async () => {
      const [out, inputs] = [1400, 96], found: Record<string, ArrayLike<number>> = {};
      for (const rows of [1, 3]) {
        const x = upload(gaussian(rows * inputs, 1), [rows, inputs]), bias = upload(gaussian(out, 3), [out]);
        const dy = upload(gaussian(rows * out, 4), [rows, out]);
        const matrix = quantize(testDevice(), gaussian(out * inputs, 2), {
          shape: [out, inputs],
          dtype: dtype,
        });
        const y = quantizedLinear(x, matrix, { bias }), dx = quantizedLinearGradient(matrix, dy);
        found[`y of ${rows}`] = await read(y);
        found[`dx of ${rows}`] = await read(dx);
        [x, bias, dy, y, dx].forEach((t) => t.dispose());
        matrix.dispose();
      }
      return found;
    }));
}

test(
  "an embedding, its gradient, the gradient's norm and AdamW by parts",
  { skip },
  () =>
    sameInParts(async () => {
      const [v, d] = [300, 48], ids = Int32Array.of(299, 0, 127, 128, 129, 299, 170, 169, 5);
      const table = upload(gaussian(v * d, 1), [v, d]), list = upload(ids, [ids.length]);
      const dy = upload(gaussian(ids.length * d, 2), [ids.length, d]),
        dtable = upload(gaussian(v * d, 3), [v, d]);
      const m = zeros([v, d]), moment = zeros([v, d]), y = embedding(table, list);
      const found: Record<string, ArrayLike<number>> = { y: await read(y) };
      embeddingGradient(ids, dy, dtable);
      found.dtable = await read(dtable);
      const squares = sumOfSquares([dtable, y]);
      found.squares = await read(squares);
      adamw({ parameter: table, gradient: dtable, m, v: moment }, {
        ...{ step: 1, learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        ...{ weightDecay: 0.1, squares, clip: 1 },
      });
      found.table = await read(table);
      found.zeroed = await read(dtable);
      [table, list, dy, dtable, m, moment, y, squares].forEach((t) => t.dispose());
      return found;
    }),
);

test("a whole model scores, trains and generates by parts", { skip }, async () => {
  await useDevice("webgpu");
  const run = async () => {
    const model = await smallModel("webgpu", { config: { vocab_size: 512 } }), { decoder } = model;
    const optimizer = new Optimizer(decoder, {
      ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clip: 1 },
    });
    const batch = deviceBatch(decoder, [{ prompt: [1, 7, 200], responses: [[5, 289, 2], [64, 63, 128, 2]] }]);
    const pass = forward(decoder, batch, { keep: "products" });
    const found: Record<string, ArrayLike<number>> = { logprobs: await orderedLogprobs(pass, batch) };
    const weights = upload(new Float32Array(batch.host.labels.length).fill(-1), [batch.host.labels.length]);
    backward(decoder, pass, { batch, weights, gradients: optimizer.gradients });
    found.gradient = await read(optimizer.gradients.get("embedding")!);
    optimizer.update(1e-3).dispose();
    found.embedding = await read(decoder.parameters.get("embedding")!);
    found.logits = await model.logits([1, 5, 9]);
    const session = new DecodingSession(decoder, {
      ...{ maxTokens: 6, endTokens: [2], temperature: 0, topK: 0, topP: 1, slots: 2 },
      ...{ longestPrompt: 3, samples: 1 },
    });
    let sampled: readonly number[] = [];
    session.tryAdmit({ prompt: [1, 7, 200], streams: [1] }, ([{ ids }]) => void (sampled = ids));
    while (session.live > 0) await session.advance();
    found.sampled = sampled;
    session.dispose();
    [weights, batch, optimizer, model].forEach((owner) => owner.dispose());
    return found;
  };
  // The embedding of 512 × 32 numbers, 64 KiB, takes four parts; gate and up, 12 KiB, one.
  await assertNoLeak(async () => {
    const whole = await run(), parts = await withBinding(2 ** 14, run);
    for (const [name, values] of Object.entries(whole)) assertClose(parts[name], values, 2e-5, name);
  });
});

test("an embedding of 152,000 × 256 is looked up, scored and trained", { skip }, async () => {
  const active = await useDevice("webgpu"), [v, d] = [152_000, 256];
  if (active.name === "webgpu" && active.limits.maxBufferSize < v * d * 4) return; // no such tensor here
  await assertNoLeak(async () => {
    const last = v - 1, table = zeros([v, d]), dtable = zeros([v, d]);
    const ids = Int32Array.of(last, 1, 131_072), list = upload(ids, [3]);
    const ones = upload(new Float32Array(3 * d).fill(1), [3, d]);
    embeddingGradient(ids, ones, table);
    const y = embedding(table, list);
    assertClose(await read(y), new Float32Array(3 * d).fill(1), 0, "rows looked up");
    // Logits: d for the three ids, 0 for the others; h = 1/64 gives 4, and log Σ exp = log(3e⁴ + v − 3).
    const h = upload(new Float32Array(d).fill(1 / 64), [1, d]),
      labels = makeLabels(testDevice(), [[0, last], [0, 0]]);
    const scored = linearLogprob(h, table, { labels }), lse = Math.log(3 * Math.exp(4) + v - 3);
    assertClose(await read(scored.logprobs), [4 - lse, -lse], 1e-5, "logprobs");
    const weights = upload(Float32Array.of(1, 0), [2]);
    const dh = linearLogprobGradient(scored, weights, { hidden: h, weight: table, labels, dweight: dtable });
    assertClose(await read(dh), new Float32Array(d).fill(1 - 3 * Math.exp(4 - lse)), 1e-4, "dh");
    const logits = linear(h, table);
    const drawn = await read(logits);
    assertClose([drawn[0], drawn[1], drawn[131_071], drawn[131_072], drawn[last]], [0, 4, 0, 4, 4], 1e-5);
    const squares = sumOfSquares([dtable]);
    // dW = (1[v = id] − softmax)·h
    const p = Math.exp(4 - lse), rest = Math.exp(-lse);
    const norm2 = ((1 - p) ** 2 + 2 * p ** 2 + (v - 3) * rest ** 2) * d / 64 ** 2;
    assertClose(await read(squares), [norm2], 1e-4, "squared norm");
    const moments = { m: zeros([v, d]), v: zeros([v, d]) };
    adamw({ parameter: table, gradient: dtable, ...moments }, {
      ...{ step: 1, learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      ...{ weightDecay: 0, squares, clip: 1 },
    });
    // At the first step every number moves by lr against its gradient's sign: 1 − 0.1 in the label's row.
    const moved = embedding(table, list);
    assertClose((await read(moved)).filter((_, i) => i % d === 0), [0.9, 1.1, 1.1], 1e-3, "after AdamW");
    [
      moved,
      ...Object.values(moments),
      table,
      dtable,
      list,
      ones,
      y,
      h,
      labels,
      scored,
      weights,
      dh,
      logits,
      squares,
    ].forEach((t) => t.dispose());
  });
});
