/**
 * The head's loss, forward and backward: linear-log-prob in chunks of the vocabulary, on WebGPU against stock
 * TF.js's softmaxCrossEntropy on full logits with its tape. The backend is the machine's own choice, or AFT_BENCH_BACKEND.
 *
 *   deno bench -A bench/loss_bench.ts
 */
import * as tf from "@tensorflow/tfjs";
import type { BackendChoice } from "../lib/backend/backend.ts";
import { Random } from "../lib/data/random.ts";
import {
  linearLogprob,
  linearLogprobGradient,
  makeLabels,
} from "../lib/kernels/vocabulary/linear_logprob.ts";
import { openBench, twin, upload, uploadBoth, zeros } from "./_device.ts";

const device = await openBench(Deno.env.get("AFT_BENCH_BACKEND") as BackendChoice | undefined);
const D = 128;

for (const [rows, vocabulary] of [[256, 512], [1024, 512], [1024, 4096], [256, 32_000]]) {
  const random = new Random(1),
    normal = (n: number) => Float32Array.from({ length: n }, () => random.normal() * 0.1);
  const hidden = uploadBoth(normal(rows * D), [rows, D]),
    weight = uploadBoth(normal(vocabulary * D), [vocabulary, D]);
  const ids = Int32Array.from({ length: rows }, () => random.integer(vocabulary));
  const labels = makeLabels(device, Array.from(ids, (id, row) => [row, id] as const));
  const weights = upload(new Float32Array(rows).fill(-1 / rows), [rows]), dweight = zeros([vocabulary, D]);
  const group = `${rows} rows, vocabulary ${vocabulary}, D ${D}`;

  Deno.bench({
    name: "linear-log-prob",
    group,
    async fn() {
      const forward = linearLogprob(hidden, weight, { labels });
      const dhidden = linearLogprobGradient(forward, weights, { hidden, weight, labels, dweight });
      await device.finish();
      forward.dispose();
      dhidden.dispose();
    },
  });

  const oneHot = tf.oneHot(tf.tensor1d(ids, "int32"), vocabulary);
  Deno.bench({
    name: "stock TF.js",
    group,
    baseline: true,
    ignore: device.name !== "webgpu",
    // Stock TF.js takes seconds here: few runs tell enough.
    ...(rows * vocabulary > 1e6 && { n: 3, warmup: 1 }),
    async fn() {
      const gradients = tf.grads((h: tf.Tensor, w: tf.Tensor) =>
        tf.losses.softmaxCrossEntropy(oneHot, tf.matMul(h as tf.Tensor2D, w as tf.Tensor2D, false, true))
      )([twin(hidden), twin(weight)]);
      await device.finish();
      gradients.forEach((t) => t.dispose());
    },
  });
}
