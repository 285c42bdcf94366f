/** Moments outside the heap of the CPU: the same numbers as inside, and models that fit because of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openDevice } from "../../lib/backend/backend.ts";
import type { CpuDevice } from "../../lib/backend/device.ts";
import { assign, read, upload, zeros, zerosOutside } from "../../lib/backend/tensors.ts";
import { parseConfig } from "../../lib/checkpoint/config.ts";
import { Random } from "../../lib/data/random.ts";
import { adamw, sumOfSquares } from "../../lib/kernels/adamw.ts";
import { HEAP_BYTES } from "../../lib/backend/cpu.ts";
import { checkFits, memoryPlan, momentsOutside } from "../../lib/model/memory.ts";

const size = 300_001;

test("AdamW with moments outside the heap updates to the same bytes", async () => {
  const device = await openDevice("wasm") as CpuDevice, before = device.use();
  const results: Float32Array[][] = [];
  for (const make of [zeros, zerosOutside]) {
    const random = new Random(3), values = () => Float32Array.from({ length: size }, () => random.normal());
    const parameter = upload(device, values(), [size]), m = make(device, [size]), v = make(device, [size]);
    for (let step = 1; step <= 3; step++) {
      const gradient = upload(device, values(), [size]), squares = sumOfSquares([gradient]);
      adamw({ parameter, gradient, m, v }, {
        ...{
          step,
          learningRate: 1e-2,
          beta1: 0.9,
          beta2: 0.99,
          epsilon: 1e-8,
          weightDecay: 0.1,
          squares,
          clip: 1,
        },
      });
      assert.ok((await read(gradient)).every((value) => value === 0));
      gradient.dispose();
      squares.dispose();
    }
    const found: Float32Array[] = [];
    for (const tensor of [parameter, m, v]) {
      found.push(await read(tensor) as Float32Array);
      tensor.dispose();
    }
    results.push(found);
  }
  assert.deepEqual(results[1], results[0]);
  assert.equal(device.use().tensors, before.tensors);
  assert.equal(device.use().used, before.used);
});

test("what lies outside the heap is read, written and copied, and refused by kernels", async () => {
  const device = await openDevice("wasm") as CpuDevice;
  using moment = zerosOutside(device, [4]);
  assign(moment, upload(device, Float32Array.of(1, 2, 3, 4), [4])); // as a checkpoint is taken up
  assert.deepEqual([...await read(moment)], [1, 2, 3, 4]);
  assert.throws(
    () => sumOfSquares([moment]),
    /^Error: Cannot compute with a tensor of shape \[4\]: it is outside the heap$/,
  );
});

test("a model of 360 million parameters can be fine-tuned whole on the CPU, one of 700 million cannot", () => {
  const shape = (layers: number) =>
    parseConfig({
      model_type: "llama",
      hidden_size: 960,
      intermediate_size: 2560,
      num_hidden_layers: layers,
      num_attention_heads: 15,
      num_key_value_heads: 5,
      vocab_size: 49_152,
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      tie_word_embeddings: true,
      eos_token_id: 2,
    }, "a test's config");
  const limits = { backend: "wasm", total: HEAP_BYTES } as const;
  const options = { task: "train", microBatchTokens: 512, recompute: true } as const;
  const plan = memoryPlan(shape(32), options);
  assert.equal(plan.trainable, 361_821_120); // SmolLM2-360M's own number
  assert.ok(momentsOutside(plan.trainable));
  checkFits(shape(32), options, limits);
  assert.throws(
    () => checkFits(shape(64), options, limits),
    /^UsageError: Cannot train this model on wasm: it needs about/,
  );
});
