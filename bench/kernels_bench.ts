/**
 * Each fused kernel, on WebGPU against the same maths in stock TF.js operations, forward and (where the tape has it)
 * backward.
 * The backend is the machine's own choice, or AFT_BENCH_BACKEND.
 *
 *   deno bench -A bench/kernels_bench.ts
 */
import * as tf from "@tensorflow/tfjs";
import type { BackendChoice } from "../lib/backend/backend.ts";
import type { Tensor } from "../lib/backend/device.ts";
import { packFlat } from "../lib/model/packing.ts";
import { Random } from "../lib/data/random.ts";
import { adamw, sumOfSquares } from "../lib/kernels/adamw.ts";
import { fusedViews, spanAttention, spanAttentionGradient } from "../lib/kernels/attention/attention.ts";
import { embedding, embeddingGradient } from "../lib/kernels/vocabulary/embedding.ts";
import { matmul } from "../lib/kernels/product/matmul.ts";
import { rmsNorm, rmsNormGradient } from "../lib/kernels/norm/rms_norm.ts";
import { rope, ropeTable } from "../lib/kernels/attention/rope.ts";
import { spanLayout } from "../lib/kernels/attention/span_layout.ts";
import { swiglu, swigluGradient } from "../lib/kernels/swiglu.ts";
import { alignmentGroups } from "./_decoder.ts";
import { openBench, twin, upload, uploadBoth, zeros } from "./_device.ts";

const device = await openBench(Deno.env.get("AFT_BENCH_BACKEND") as BackendChoice | undefined);

const random = new Random(1), D = 128, F = 3 * D, V = 1024, H = 4, d = D / H;
const normal = (...shape: number[]) =>
  uploadBoth(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal()), shape);

/** A group of two: `ours` and `stock` return what is to be freed. */
function pair(group: string, ours: () => Tensor[], stock: () => tf.Tensor | tf.Tensor[]): void {
  const timed = (run: () => { dispose(): void } | { dispose(): void }[]) => async () => {
    const made = run();
    await device.finish();
    [made].flat().forEach((t) => t.dispose());
  };
  Deno.bench({ name: "fused", group, fn: timed(ours) });
  if (device.name === "webgpu") {
    Deno.bench({ name: "stock TF.js", group, baseline: true, fn: timed(() => tf.tidy(stock)) });
  }
}

// 2 questions × 6 candidates, prompt 100, response 120: 1,628 rows here, 12 × 219 padded there.
const host = packFlat(
  alignmentGroups({ questions: 2, candidates: 6, prompt: 100, response: 120 }, V).map((g) => g.tokens),
);
const N = host.ids.length, B = 12, T = 219;
const heads = { heads: H, kvHeads: H, headDim: d };

{
  const x = normal(N, D), w = normal(D), dy = normal(N, D), forward = rmsNorm(x, w, { epsilon: 1e-5 });
  const dweight = zeros([D]);
  const norm = (x: tf.Tensor, w: tf.Tensor) =>
    tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-5))), w);
  pair("RMSNorm", () => {
    const { y, rstd } = rmsNorm(x, w, { epsilon: 1e-5 });
    return [y, rstd];
  }, () => norm(twin(x), twin(w)));
  pair(
    "RMSNorm and its gradient",
    () => {
      const { y, rstd } = rmsNorm(x, w, { epsilon: 1e-5 });
      return [y, rstd, rmsNormGradient(forward, dy, { weight: w, dweight })];
    },
    () => tf.grads((x: tf.Tensor, w: tf.Tensor) => norm(x, w))([twin(x), twin(w)], twin(dy)),
  );
}
{
  const gateUp = normal(N, 2 * F), dy = normal(N, F);
  const stock = (x: tf.Tensor) => {
    const [gate, up] = tf.split(x, 2, -1);
    return tf.mul(tf.mul(gate, tf.sigmoid(gate)), up);
  };
  pair("SwiGLU", () => [swiglu(gateUp)], () => stock(twin(gateUp)));
  pair(
    "SwiGLU and its gradient",
    () => [swiglu(gateUp), swigluGradient(gateUp, dy)],
    () => tf.grad(stock)(twin(gateUp), twin(dy)),
  );
}
{
  const qkv = normal(N, 3 * D), positions = upload(host.positions, [N]);
  const table = ropeTable(device, Array.from({ length: d / 2 }, (_, i) => 1 / 10000 ** (2 * i / d)), 256);
  const [x, cos, sin] = [normal(B, 2 * H, T, d), normal(T, d), normal(T, d)].map(twin);
  pair("RoPE of queries and keys", () => {
    rope(qkv, positions, { table, heads: 2 * H });
    return [];
  }, () => {
    const [a, b] = tf.split(x, 2, -1);
    return tf.add(tf.mul(x, cos), tf.mul(tf.concat([tf.neg(b), a], -1), sin));
  });
}
{
  const qkv = normal(N, 3 * D), dout = normal(N, D), layout = spanLayout(host.segments, { rows: N, device });
  const [q, k, v, dy] = Array.from({ length: 4 }, () => twin(normal(B, H, T, d)));
  const mask = tf.tensor(
    Float32Array.from({ length: T * T }, (_, i) => i % T > Math.floor(i / T) ? -1e9 : 0),
    [T, T],
  );
  const stock = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) =>
    tf.matMul(tf.softmax(tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(d)), mask)), v);
  pair("Attention", () => {
    const { out, lse } = spanAttention(fusedViews(qkv, heads), layout, heads);
    return [out, lse];
  }, () => stock(q, k, v));
  pair(
    "Attention and its gradient",
    () => {
      const attended = spanAttention(fusedViews(qkv, heads), layout, heads);
      return [
        attended.out,
        attended.lse,
        spanAttentionGradient(qkv, attended, { dout, layout, heads }),
      ];
    },
    () => tf.grads((q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) => stock(q, k, v))([q, k, v], dy),
  );
}
// Every kind of product of training and decoding, m×n×k: what `plainTile` of lib/kernels/product/tiles.ts was chosen by.
for (
  const [what, m, n, k, turned] of [
    ["decoding one sequence", 1, 3 * D, D, "b"],
    ["decoding 12 sequences", 12, 3 * D, D, "b"],
    ["decoding 96 sequences", 96, 3 * D, D, "b"],
    ["logits of one sequence", 1, V, D, "b"],
    ["logits of 96 sequences", 96, V, D, "b"],
    ["a layer's forward", N, 3 * D, D, "b"],
    ["a layer's forward, down", N, D, F, "b"],
    ["a chunk of logits", 1440, V, D, "b"],
    ["dx of a layer", N, D, 3 * D, "none"],
    ["dh of a chunk", 1440, D, V, "none"],
    ["dW of a layer", 3 * D, D, N, "a"],
    ["dW of a chunk", V, D, 1440, "a"],
    ["sides of no multiple of 4", N - 1, 97, 131, "b"],
    ["an adapter's x·Aᵀ", N, 16, D, "b"],
  ] as const
) {
  const transposeA = turned === "a", transposeB = turned === "b";
  const a = transposeA ? normal(k, m) : normal(m, k), b = transposeB ? normal(n, k) : normal(k, n);
  pair(
    `Product of ${what}, ${m}×${n}×${k}`,
    () => [matmul(a, b, { transposeA, transposeB })],
    () => tf.matMul(twin(a) as tf.Tensor2D, twin(b) as tf.Tensor2D, transposeA, transposeB),
  );
}
{
  const table = normal(V, D), dy = normal(N, D), dtable = zeros([V, D]), ids = upload(host.ids, [N]);
  const list = tf.tensor1d(host.ids, "int32");
  const look = (table: tf.Tensor) => tf.gather(table, list);
  pair("Embedding and its gradient", () => {
    embeddingGradient(host.ids, dy, dtable);
    return [embedding(table, ids)];
  }, () => tf.grad(look)(twin(table), twin(dy)));
}
{
  const p = normal(V, D), g = normal(V, D), m = zeros([V, D]), v = zeros([V, D]);
  const variable = tf.variable(twin(p)), optimizer = tf.train.adam(1e-3);
  pair("AdamW with clipping", () => {
    const squares = sumOfSquares([g]);
    adamw({ parameter: p, gradient: g, m, v }, {
      step: 1,
      learningRate: 1e-3,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0,
      squares,
      clip: 1,
    });
    return [squares];
  }, () => {
    const scale = tf.minimum(1, tf.div(1, tf.sqrt(tf.sum(tf.square(twin(g))))));
    optimizer.applyGradients([{ name: variable.name, tensor: tf.mul(twin(g), scale) }]);
    return [];
  });
}
