/** The threads of the CPU: the same bytes by any number of them, every unit once, and no process that does not end. */
import assert from "node:assert/strict";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { openCpu } from "../../lib/backend/cpu.ts";
import type { CpuDevice, Tensor } from "../../lib/backend/device.ts";
import { read, upload, zeros } from "../../lib/backend/tensors.ts";
import { useThreads } from "../../lib/backend/threads.ts";
import { Random } from "../../lib/data/random.ts";
import { adamw, sumOfSquares } from "../../lib/kernels/adamw.ts";
import { fusedViews, spanAttention, spanAttentionGradient } from "../../lib/kernels/attention/attention.ts";
import { rope } from "../../lib/kernels/attention/rope.ts";
import { decodingLayout, spanLayout } from "../../lib/kernels/attention/span_layout.ts";
import bias from "../../lib/kernels/built/bias.wasm.ts";
import { gelu, geluGradient } from "../../lib/kernels/gelu.ts";
import { headNorm, headNormGradient } from "../../lib/kernels/norm/head_norm.ts";
import { layerNorm, layerNormGradient } from "../../lib/kernels/norm/layer_norm.ts";
import { rmsNorm, rmsNormGradient } from "../../lib/kernels/norm/rms_norm.ts";
import { linear } from "../../lib/kernels/product/linear.ts";
import { matmul } from "../../lib/kernels/product/matmul.ts";
import { quantize } from "../../lib/kernels/product/quantize.ts";
import { quantizedLinear, quantizedLinearGradient } from "../../lib/kernels/product/quantized_linear.ts";
import { swiglu, swigluGradient } from "../../lib/kernels/swiglu.ts";
import { sample } from "../../lib/kernels/vocabulary/sample.ts";

/** A CPU without a BLAS, whose threads are all at work. */
async function openWith(threads: number): Promise<CpuDevice> {
  const before = process.env.AFT_BLAS;
  process.env.AFT_BLAS = "none";
  try {
    const device = await openCpu("a test", threads);
    const end = Date.now() + 30_000;
    while (device.threads.working < threads && Date.now() < end) await sleep(5);
    assert.equal(device.threads.working, threads);
    return device;
  } finally {
    if (before === undefined) delete process.env.AFT_BLAS;
    else process.env.AFT_BLAS = before;
  }
}

const devices = await Promise.all([1, 2, 5].map(openWith));

test("the threads are told in the line that says what computes", () => {
  assert.deepEqual(
    devices.map(({ reason }) => reason.slice(0, reason.indexOf(", own"))),
    ["wasm, 1 thread", "wasm, 2 threads", "wasm, 5 threads"],
  );
});

/** Random numbers, the same on every device. */
function random(device: CpuDevice, shape: readonly number[], seed: number): Tensor {
  const values = new Random(seed), size = shape.reduce((a, b) => a * b, 1);
  return upload(device, Float32Array.from({ length: size }, () => values.normal()), shape);
}

/** Asks for the same tensors on every device, and for the same bytes in them. */
function sameBytes(name: string, make: (device: CpuDevice) => Tensor[]): void {
  test(`${name} gives the same bytes on 1, 2 and 5 threads`, async () => {
    const results: Float32Array[][] = [];
    for (const device of devices) {
      const tensors = make(device), values: Float32Array[] = [];
      for (const tensor of tensors) {
        values.push(new Float32Array((await read(tensor)).buffer));
        tensor.dispose();
      }
      results.push(values);
    }
    const [alone, ...others] = results;
    assert.ok(alone!.every((values) => values.some((value) => value !== 0)));
    const bytes = (values: Float32Array) => new Uint8Array(values.buffer);
    for (const other of others) {
      other.forEach((values, i) =>
        assert.ok(bytes(values).every((byte, j) => byte === bytes(alone![i]!)[j]))
      );
    }
  });
}

const products: [number, number, number][] = [
  [700, 130, 96],
  [3, 3000, 130],
  [12, 900, 130],
  [13, 900, 130],
  [97, 260, 301],
  [100, 90, 600],
  [2000, 40, 70],
  [40, 2000, 70],
];
for (const [m, n, k] of products) {
  for (const [transposeA, transposeB] of [[false, true], [false, false], [true, false]]) {
    sameBytes(
      `a product of ${m}×${n}×${k}${transposeA ? ", A turned" : ""}${transposeB ? ", B turned" : ""}`,
      (d) => {
        const a = random(d, transposeA ? [k, m] : [m, k], 1), b = random(d, transposeB ? [n, k] : [k, n], 2);
        const into = random(d, [m, n], 3), c = matmul(a, b, { transposeA, transposeB });
        matmul(a, b, { transposeA, transposeB, into });
        return [a, b, c, into];
      },
    );
  }
}

sameBytes("linear with a bias", (d) => {
  const x = random(d, [800, 96], 1), w = random(d, [300, 96], 2), b = random(d, [300], 3);
  return [linear(x, w, b), x, w, b];
});

sameBytes("rmsNorm and its gradient", (d) => {
  const x = random(d, [1000, 130], 1), weight = random(d, [130], 2), residual = random(d, [1000, 130], 3);
  const dweight = random(d, [130], 4), dy = random(d, [1000, 130], 5);
  const { sum, y, rstd } = rmsNorm(x, weight, { epsilon: 1e-5, residual });
  const dx = rmsNormGradient({ sum, rstd }, dy, { weight, dweight, dsum: x });
  const frozen = rmsNormGradient({ sum, rstd }, dy, { weight });
  return [x, weight, residual, dweight, dy, sum, y, rstd, dx, frozen];
});

sameBytes("layerNorm and its gradient", (d) => {
  const x = random(d, [1000, 130], 1), weight = random(d, [130], 2), b = random(d, [130], 3);
  const dweight = random(d, [130], 4), dbias = random(d, [130], 5), dy = random(d, [1000, 130], 6);
  const { y, mean, rstd } = layerNorm(x, weight, { bias: b, epsilon: 1e-5 });
  const again = zeros(d, [1000, 130]);
  const dx = layerNormGradient({ sum: x, mean, rstd }, dy, {
    ...{ weight, dweight, dbias },
    again: { y: again, bias: b },
  });
  return [x, weight, b, dweight, dbias, dy, y, mean, rstd, again, dx];
});

sameBytes("headNorm and its gradient", (d) => {
  const heads = { heads: 4, kvHeads: 2, headDim: 18 },
    x = random(d, [900, 144], 1),
    dy = random(d, [900, 144], 2);
  const q = random(d, [18], 3), k = random(d, [18], 4), dq = random(d, [18], 5), dk = random(d, [18], 6);
  const y = headNorm(x, { q, k, heads, epsilon: 1e-6 });
  headNormGradient(x, dy, { q, k, heads, epsilon: 1e-6, dq, dk });
  return [x, dy, q, k, dq, dk, y];
});

sameBytes("swiglu, gelu and their gradients", (d) => {
  const gateUp = random(d, [700, 2 * 90], 1), dy = random(d, [700, 90], 2), y = swiglu(gateUp);
  const x = random(d, [501, 203], 3), dx = random(d, [501, 203], 4);
  return [gateUp, dy, y, swigluGradient(gateUp, dy), gelu(x), geluGradient(x, dx), x, dx];
});

sameBytes("rope", (d) => {
  const x = random(d, [900, 4 * 32], 1), table = random(d, [64, 32], 2);
  const positions = upload(d, Int32Array.from({ length: 900 }, (_, i) => i % 64), [900]);
  rope(x, positions, { table, heads: 3 });
  positions.dispose();
  return [x, table];
});

sameBytes("sampling", (d) => {
  const logits = random(d, [40, 3000], 1),
    word = (seed: number) => upload(d, Int32Array.from({ length: 40 }, (_, i) => i * seed + 1), [40]);
  const streams = word(7919), counters = word(3);
  const ids = sample(logits, { streams, counters, temperature: 0.8, topK: 50, topP: 0.9 });
  [streams, counters].forEach((tensor) => tensor.dispose());
  return [logits, ids];
});

const heads = { heads: 4, kvHeads: 2, headDim: 24 };
sameBytes("attention of questions with candidates, and its gradient", (d) => {
  const segments = [];
  for (let question = 0, at = 0; question < 3; question++) {
    const prompt = { start: at, end: at + 60, sharedStart: 0, sharedEnd: 0 };
    segments.push(prompt);
    at += 60;
    for (let candidate = 0; candidate < 4; candidate++, at += 70) {
      segments.push({ start: at, end: at + 70, sharedStart: prompt.start, sharedEnd: prompt.end });
    }
  }
  const rows = segments.at(-1)!.end, layout = spanLayout(segments, { rows, device: d });
  const qkv = random(d, [rows, 8 * 24], 1), dout = random(d, [rows, 4 * 24], 2);
  const attended = spanAttention(fusedViews(qkv, heads), layout, heads);
  const dqkv = spanAttentionGradient(qkv, attended, { dout, layout, heads });
  layout.dispose();
  return [qkv, dout, attended.out, attended.lse, dqkv];
});

sameBytes("attention of many sequences in decoding", (d) => {
  const rows = 60, keys = 400, q = random(d, [rows, 4 * 24], 1), cache = random(d, [keys, 2 * 2 * 24], 2);
  const spans = Array.from({ length: rows }, (_, i) => i).flatMap((i) => [0, 100, 100 + i, 340 + i]);
  const layout = decodingLayout(d, { spans: Int32Array.from(spans), keyRows: keys });
  const { out, lse } = spanAttention(
    {
      q: { tensor: q, stride: 96, offset: 0 },
      k: { tensor: cache, stride: 96, offset: 0 },
      v: { tensor: cache, stride: 96, offset: 48 },
    },
    layout,
    heads,
  );
  layout.dispose();
  return [q, cache, out, lse];
});

for (const dtype of ["int8", "int4", "f16"] as const) {
  sameBytes(`products with ${dtype} weights`, (d) => {
    const values = new Random(4), wide = Float32Array.from({ length: 1500 * 160 }, () => values.normal());
    const weight = quantize(d, wide, { shape: [1500, 160], dtype });
    const made: Tensor[] = [];
    for (const rows of [1, 6, 20, 50]) {
      const x = random(d, [rows, 160], rows), dy = random(d, [rows, 1500], rows);
      const rounded = quantizedLinear(x, weight, { rounded: true });
      made.push(x, dy, quantizedLinear(x, weight), rounded, quantizedLinearGradient(weight, dy));
    }
    weight.words.dispose();
    weight.scales?.dispose();
    return made;
  });
}

sameBytes("AdamW and the norm of all gradients", (d) => {
  const [parameter, gradient, m] = [1, 2, 3].map((seed) => random(d, [70_001], seed)), v = zeros(d, [70_001]);
  const squares = sumOfSquares([gradient!, parameter!, m!]), norm = upload(d, new Float32Array(1), [1]);
  d.copy(squares.slot, norm.slot, { bytes: 4 });
  adamw({ parameter: parameter!, gradient: gradient!, m: m!, v }, {
    ...{
      step: 3,
      learningRate: 1e-3,
      beta1: 0.9,
      beta2: 0.99,
      epsilon: 1e-8,
      weightDecay: 0.1,
      squares,
      clip: 1,
    },
  });
  gradient!.dispose(); // zero now
  return [parameter!, m!, v, squares, norm];
});

test("every unit of a job is done once, its calls in their order, job after job, also when the heap has grown", () => {
  for (const device of devices) {
    const { threads, memory } = device, random = new Random(9), add = threads.kernel(bias, "addColumnSums");
    const fill = threads.kernel(bias, "fillRows"), most = 200, ones = device.allocate(16 * 4);
    const targets = device.allocate(most * 64), scratch = 64;
    new Float32Array(memory.buffer, ones, 16).fill(1);
    const held: number[] = [];
    for (let job = 0; job < 1500; job++) {
      const units = 1 + Math.floor(random.next() * most);
      new Float32Array(memory.buffer, targets, most * 16).fill(job);
      threads.run(scratch, (given) => {
        for (let unit = 0; unit < units; unit++) {
          const target = targets + 64 * unit;
          given.unit();
          given.call(fill, ones, target, 1, 16); // 1, whatever was there
          given.call(add, ones, target, 1, 16); // 2
          given.call(add, target, target, 1, 16); // 4
        }
      });
      const floats = new Float32Array(memory.buffer, targets, most * 16);
      assert.ok(
        floats.every((value, i) => value === (i < units * 16 ? 4 : job)),
        `job ${job} of ${units} units`,
      );
      if (job % 100 === 50) held.push(device.allocate(3 * 2 ** 20));
    }
    [ones, targets, ...held].forEach((at) => device.free(at));
  }
});

test("a kernel that fails on another thread fails the job, and the next one is done", () => {
  for (const device of devices) {
    const { threads, memory } = device, fill = threads.kernel(bias, "fillRows"), at = device.allocate(64);
    const beyond = memory.buffer.byteLength + 2 ** 20;
    assert.throws(() =>
      threads.run(0, (job) => {
        for (let unit = 0; unit < 40; unit++) {
          job.unit();
          job.call(fill, at, beyond, 1, 16);
        }
      })
    );
    new Float32Array(memory.buffer, at, 16).fill(7);
    threads.run(0, (job) => {
      job.unit();
      job.call(fill, at, at, 1, 16);
    });
    assert.equal(new Float32Array(memory.buffer, at, 1)[0], 7);
    device.free(at);
  }
});

test("a number of threads that is none is refused", () => {
  for (const count of [0, -1, 1.5, NaN, 257]) {
    assert.throws(
      () => useThreads(count),
      new RegExp(`^UsageError: The number of threads must be a whole number from 1 to 256: got ${count}$`),
    );
  }
});
