/** What is said before a run about its memory, against what the run then takes. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { attachAdapter, detachAdapter } from "../../lib/model/adapter.ts";
import { parseConfig } from "../../lib/checkpoint/config.ts";
import { backward, forward, type PassKeep } from "../../lib/model/decoder.ts";
import { deviceBatch } from "../../lib/model/batch.ts";
import { DecodingSession } from "../../lib/model/decoding.ts";
import type { Lora } from "../../lib/checkpoint/lora.ts";
import { bytesText, checkFits, fitted, layersThatFit, memoryPlan } from "../../lib/model/memory.ts";
import { inFlags } from "../../tasks/cli/words.ts";
import { HEAP_BYTES } from "../../lib/backend/cpu.ts";
import { openDevice } from "../../lib/backend/backend.ts";
import type { CpuDevice, Device } from "../../lib/backend/device.ts";
import { fillZero, read } from "../../lib/backend/tensors.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import type { Model } from "../../lib/model/model.ts";
import { Optimizer } from "../../lib/train/optimizer.ts";
import { onBothBackends, testDevice, upload } from "../_backends.ts";
import { freshPath, tokenIds, writeSmallModel } from "../_models.ts";

const tiny = parseConfig({
  model_type: "llama",
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 20,
  max_position_embeddings: 16,
  tie_word_embeddings: true,
}, "config.json");

test("by hand: full training of two layers of width 8", () => {
  // embedding 20·8; a layer: norms 2·8, qkv 16·8, output 8·8, gate and up 24·8, down 8·12; last norm 8.
  const layer = 16 + 128 + 64 + 192 + 96, parameters = 160 + 2 * layer + 8;
  const { bytes, ...plan } = memoryPlan(tiny, { task: "train", microBatchTokens: 10 });
  assert.equal(plan.parameters, parameters);
  assert.equal(plan.trainable, parameters);
  assert.equal(bytes.weights, 4 * parameters);
  assert.equal(bytes.gradients, 4 * parameters);
  assert.equal(bytes.optimizer, 8 * parameters);
  // D = 8, Q = 16, A = 8, H = 4, P = 24, F = 12.
  const kept = 2 * (2 * 8 + 16 + 8 + 4 + 24), besides = 5 * 8 + 2 * 12 + 24;
  assert.equal(bytes.activations, 4 * 10 * (kept + besides));
  assert.equal(bytes.logits, 4 * 10 * 20);
  assert.equal(bytes.caches, 0);
  assert.equal(bytes.total, 16 * parameters + bytes.activations + bytes.logits);
});

test("by hand: an adapter on a narrow base, and caches", () => {
  const lora: Lora = { r: 2, alpha: 4, targets: ["q", "v"] }, trainable = 2 * (4 * 8 + (8 + 4) * 2);
  const plan = memoryPlan(tiny, { task: "train", lora, baseDtype: "int8" });
  assert.equal(plan.trainable, trainable);
  assert.equal(plan.bytes.optimizer, 8 * trainable);
  // Rows of 8 and of 12 columns are filled up to 32, with a scale each.
  const matrices = 2 * (16 + 8 + 24 + 8) * (32 + 4), rest = 4 * (160 + 2 * 16 + 8);
  assert.equal(plan.bytes.weights, matrices + rest + 4 * trainable);
  const { bytes } = memoryPlan(tiny, {
    task: "generate",
    slots: 4,
    samples: 2,
    promptTokens: 5,
    maxTokens: 3,
  });
  assert.equal(bytes.caches, 2 * 8 * 2 * 2 * 2 * (5 + 2 * 3));
  assert.equal(bytes.logits, 4 * 4 * 20);
  assert.equal(bytes.gradients + bytes.optimizer, 0);
});

test("what cannot fit is refused, with the option that would do", () => {
  const limits = { backend: "wasm", total: HEAP_BYTES } as const;
  const wide = (layers: number) =>
    parseConfig({
      model_type: "llama",
      hidden_size: 1024,
      intermediate_size: 4096,
      num_hidden_layers: layers,
      num_attention_heads: 16,
      vocab_size: 1000,
      max_position_embeddings: 2048,
    }, "config.json");
  checkFits(wide(2), { task: "train" }, limits);
  const refusal = (layers: number, options: Parameters<typeof checkFits>[1]) => {
    try {
      checkFits(wide(layers), options, limits);
    } catch (error) {
      return inFlags((error as Error).message);
    }
    return "";
  };
  checkFits(wide(12), { task: "train" }, limits); // 4.5 GiB if all layers were kept: some are computed again
  assert.match(
    refusal(12, { task: "train", microBatchTokens: 16384 }),
    /^Cannot train this model on wasm: it needs about 4\.4 GiB, the wasm heap holds 4\.0 GiB; --micro-batch 1024 would fit$/,
  );
  assert.match(refusal(30, { task: "train" }), /; --lora r=16.*would fit$/);
  assert.match(refusal(120, { task: "train" }), /; --lora r=16 .*--base-dtype int8 would fit$/);
  assert.match(
    refusal(80, { task: "generate" }),
    /^Cannot generate .*; --slots 8 --base-dtype int8 would fit$/,
  );
  assert.match(refusal(800, { task: "train" }), /; a GPU would \(--backend webgpu\)$/);
  assert.throws(
    () => checkFits(wide(1), { task: "score" }, { backend: "webgpu", buffer: 2 ** 24 + 64 }),
    /layers\.0\.gate_up takes 32\.0 MiB, one buffer of this GPU holds 16\.0 MiB; option `baseDtype: f16` would fit/,
  );
  // Its gate_up weight, 32 MiB, takes two bindings; rows of activations take one.
  checkFits(wide(1), { task: "train", microBatchTokens: 64 }, { backend: "webgpu", binding: 2 ** 24 });
  assert.throws(
    () =>
      checkFits(wide(1), { task: "train", microBatchTokens: 4096 }, { backend: "webgpu", binding: 2 ** 25 }),
    /one layer's activations takes 128 MiB, one binding of this GPU holds 32\.0 MiB; option `microBatchTokens: 1024` would/,
  );
});

test("--dry-run says it from config.json alone; --lora and --base-dtype are checked before any load", () => {
  const directory = freshPath();
  mkdirSync(directory);
  writeFileSync(join(directory, "config.json"), JSON.stringify(tiny.raw));
  const run = (task: string, ...args: string[]) => {
    const path = fileURLToPath(new URL(`../../tasks/${task.replaceAll("-", "_")}.ts`, import.meta.url));
    const leading = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
    return spawnSync(
      process.execPath,
      [...leading, path, "--model", directory, "--backend", "wasm", ...args],
      {
        encoding: "utf8",
      },
    );
  };
  const train = ["--out", freshPath(), "--lora", "r=2,targets=q,v"];
  const { status, stdout, stderr } = run(
    "vft",
    ...train,
    "--base-dtype",
    "int8",
    "--micro-batch",
    "10",
    "--dry-run",
  );
  assert.equal(status, 0, stderr);
  const { memory } = JSON.parse(stdout);
  const lora: Lora = { r: 2, alpha: 4, targets: ["q", "v"] };
  const { bytes, ...plan } = memoryPlan(tiny, {
    task: "train",
    lora,
    baseDtype: "int8",
    microBatchTokens: 10,
  });
  assert.deepEqual(memory.bytes, bytes);
  assert.equal(memory.trainable, plan.trainable);
  assert.deepEqual(memory.limits, { backend: "wasm", total: 2 ** 32 - 65_536 });
  assert.equal(JSON.parse(run("generate", "--slots", "6", "--dry-run").stdout).memory.trainable, 0);
  const refused = run("vft", "--out", freshPath(), "--base-dtype", "int8");
  assert.deepEqual([refused.status, refused.stderr], [
    2,
    "vft: Cannot train weights kept in int8: they are frozen; train an adapter by --lora\n",
  ]);
});

test("docs/memory.md is what its task writes", () => {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const leading = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...leading, join(root, "tools/memory_table.ts")],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stderr);
  // The formatter breaks lines and pads tables anew.
  const words = (text: string) =>
    text.replace(/-+:/g, "-:").replace(/-{3,}/g, "-").split(/\s+/).join(" ").trim();
  assert.equal(words(readFileSync(join(root, "docs/memory.md"), "utf8")), words(stdout));
  const rows = stdout.match(/^\| \S+ \|/gm)!.map((row) => row.slice(2, -2));
  const models = "SmolLM2-135M SmolLM2-360M Qwen2.5-0.5B Qwen2.5-1.5B TinyLlama-1.1B LLaMA-7B LLaMA-13B"
    .split(" ");
  assert.deepEqual(rows.filter((name) => /\d/.test(name)), [...models, ...models, ...models]);
});

test("bytes as people read them", () => {
  assert.deepEqual([0, 1023, 1536, 150 * 2 ** 20, 2 ** 31].map(bytesText), [
    "0 B",
    "1023 B",
    "1.5 KiB",
    "150 MiB",
    "2.0 GiB",
  ]);
});

/** Runs and returns the most bytes that tensors took together. */
async function peakOf(run: () => Promise<void> | void): Promise<number> {
  const device = testDevice() as { take: Device["take"] }, original = device.take;
  let peak = 0;
  device.take = (bytes, values) => {
    const made = original(bytes, values);
    peak = Math.max(peak, testDevice().use().used);
    return made;
  };
  try {
    await run();
  } finally {
    device.take = original;
  }
  return peak;
}

const shape = {
  hidden_size: 64,
  intermediate_size: 176,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};
const rows = 512;

onBothBackends("loading takes the parameters' bytes and at most one tensor more", async (backend) => {
  const directory = await writeSmallModel({ context: 64, config: shape });
  (await loadModel(directory, { backend })).dispose(); // what a backend makes once is made
  for (const baseDtype of ["f32", "int8"] as const) {
    const before = testDevice().use().used;
    let model: Model | undefined;
    const peak = await peakOf(async () => void (model = await loadModel(directory, { backend, baseDtype })));
    const { decoder: { parameters, quantized, plan }, config } = model!;
    const kept = [...parameters.values()].reduce((sum, t) => sum + 4 * t.size, 0);
    assert.equal(quantized?.size ?? 0, baseDtype === "f32" ? 0 : 4 * config.layers);
    const largest = Math.max(...plan.map((p) => 4 * p.shape.reduce((a, b) => a * b, 1)));
    const said = memoryPlan(config, { task: "score", baseDtype }).bytes.weights;
    assert.ok(
      peak - before >= kept && peak - before <= said + largest,
      `${peak - before}, ${said} + ${largest}`,
    );
    model!.dispose();
    assert.equal(testDevice().use().used, before);
  }
});

test("layers are computed again by the memory that is left", () => {
  // A row's bytes in `tiny`: 8 numbers for the input of each of 2 layers; besides, for each whose products are kept,
  // 8 (after attention) + 16 (queries, keys, values) + 8 (attended) + 4 (heads) + 24 (gate and up) = 60; for a gradient
  // 5·8 + 2·12 + 24 = 88, and 20 logits. So 10 rows take 4·10·(16 + 88 + 20) = 4,960 bytes and 2,400 for each layer kept.
  const plan = (keptLayers?: number) => memoryPlan(tiny, { task: "train", microBatchTokens: 10, keptLayers });
  const { intermediateSize: f, heads, kvHeads, headDim, hiddenSize: d } = tiny;
  assert.deepEqual([d, f, heads, kvHeads, headDim], [8, 12, 4, 2, 2]);
  assert.equal(plan().keptLayers, 2);
  assert.equal(plan(2).bytes.activations - plan(1).bytes.activations, 2400);
  assert.equal(plan(1).bytes.activations, plan(0).bytes.activations); // one that is computed again needs as much
  const left = (bytes: number) => layersThatFit(tiny, 10, bytes);
  assert.deepEqual([0, 4960, 1.2 * 7359, 1.2 * 7361, 1.2 * 9759, 1.2 * 9761, 1e9].map(left), [
    0,
    0,
    0,
    1,
    1,
    2,
    2,
  ]);
  const total = plan().bytes.total, limits = { backend: "wasm", total: total - 1 } as const;
  const options = { task: "train", microBatchTokens: 10 } as const;
  assert.equal(fitted(tiny, options, limits).keptLayers, 1);
  assert.equal(fitted(tiny, options, { ...limits, total }).keptLayers, 2);
  assert.equal(fitted(tiny, options, { ...limits, total: 10 }).keptLayers, 0); // and is refused as such
  assert.deepEqual(fitted(tiny, options, { backend: "webgpu" }), options);
  assert.equal(memoryPlan(tiny, { ...options, recompute: true }).keptLayers, 0);
});

onBothBackends("whatever a pass keeps, the bytes of its gradients are the same", async (backend) => {
  const model = await loadModel(await writeSmallModel({ context: 1024, config: shape }), { backend });
  const optimizer = new Optimizer(model.decoder, {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0,
    clip: 1,
  });
  const device = model.device, found: Float32Array[][] = [];
  const { layers } = model.config, peaks: number[] = [];
  const step = async (keep: PassKeep) => {
    for (const gradient of optimizer.gradients.values()) fillZero(gradient);
    const batch = deviceBatch(model.decoder, [{ prompt: tokenIds(30, 1), responses: [tokenIds(41, 2)] }]);
    const pass = forward(model.decoder, batch, { keep });
    peaks.push(device.use().used);
    const count = batch.host.labels.length, ones = upload(new Float32Array(count).fill(1), [count]);
    backward(model.decoder, pass, { batch, weights: ones, gradients: optimizer.gradients });
    found.push(
      await Promise.all([...optimizer.gradients.values()].map(async (g) => await read(g) as Float32Array)),
    );
    [ones, batch].forEach((one) => one.dispose());
  };
  await step("products");
  await step("inputs");
  await step("what fits"); // all of it
  assert.ok(peaks[1]! < peaks[0]!);
  assert.equal(peaks[2], peaks[0]);
  if (device.name === "wasm") {
    // Now the heap has room for the products of one layer, and a half.
    const one =
      memoryPlan(model.config, { task: "train", microBatchTokens: 72, keptLayers: 2 }).bytes.activations -
      memoryPlan(model.config, { task: "train", microBatchTokens: 72, keptLayers: 1 }).bytes.activations;
    let room = 0;
    while (layersThatFit(model.config, 72, room) < 1) room += one / 8;
    const { left } = device;
    try {
      Object.assign(device, { left: () => room + one / 2 });
      await step("what fits");
    } finally {
      Object.assign(device, { left });
    }
    assert.ok(layers > 1 && peaks[3]! > peaks[1]! && peaks[3]! < peaks[0]!, String(peaks));
  }
  for (const values of found.slice(1)) assert.deepEqual(values, found[0]);
  optimizer.dispose();
  model.dispose();
});

test("what the heap of the CPU has left is what can be taken of it", async () => {
  const device = await openDevice("wasm") as CpuDevice, before = device.left();
  assert.ok(before > 2 ** 24 && before <= HEAP_BYTES);
  const taken = device.take(2 ** 24);
  assert.ok(Math.abs(before - device.left() - 2 ** 24) < 2 ** 22, String(before - device.left()));
  device.release(taken);
});

onBothBackends("a training step takes what was said, within a fifth", async (backend) => {
  const model = await loadModel(await writeSmallModel({ context: 1024, config: shape }), { backend });
  const weights = [...model.decoder.parameters.values()].reduce((sum, t) => sum + 4 * t.size, 0);
  const others = testDevice().use().used - weights;
  const cases: { lora?: Lora; recompute: boolean }[] = [
    { recompute: false },
    { recompute: true },
    { recompute: false, lora: { r: 8, alpha: 16 } },
  ];
  for (const { lora, recompute } of cases) {
    if (lora) attachAdapter(model.decoder, lora);
    const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clip: 1 };
    const optimizer = new Optimizer(model.decoder, options);
    const measured = await peakOf(() => {
      const responses = [tokenIds(rows / 2 + 1, 2), tokenIds(rows / 4 + 1, 3)];
      const batch = deviceBatch(model.decoder, [{ prompt: tokenIds(rows / 4, 1), responses }]);
      const pass = forward(model.decoder, batch, { keep: recompute ? "inputs" : "products" });
      const count = batch.host.labels.length, ones = upload(new Float32Array(count).fill(1), [count]);
      backward(model.decoder, pass, { batch, weights: ones, gradients: optimizer.gradients });
      optimizer.update(1e-3).dispose();
      ones.dispose();
      batch.dispose();
    });
    optimizer.dispose();
    if (lora) detachAdapter(model.decoder);
    const { bytes } = memoryPlan(model.config, { task: "train", microBatchTokens: rows, recompute, lora });
    const ratio = bytes.total / (measured - others);
    assert.ok(
      ratio > 0.8 && ratio < 1.2,
      `${JSON.stringify({ lora, recompute })}: ${ratio} of what is measured`,
    );
  }
  model.dispose();
});

onBothBackends("decoding takes what was said, within a fifth", async (backend) => {
  const model = await loadModel(await writeSmallModel({ context: 1024, config: shape }), { backend });
  const weights = [...model.decoder.parameters.values()].reduce((sum, t) => sum + 4 * t.size, 0);
  const others = testDevice().use().used - weights;
  const sizes = { slots: 24, samples: 6, promptTokens: 100, maxTokens: 60 };
  const measured = await peakOf(async () => {
    const session = new DecodingSession(model.decoder, {
      ...sizes,
      longestPrompt: 100,
      block: 1,
      temperature: 1,
      topK: 0,
      topP: 1,
      endTokens: [],
    });
    for (let i = 0; i < 4; i++) {
      session.tryAdmit({ prompt: tokenIds(100, i), streams: [1, 2, 3, 4, 5, 6] }, () => {});
    }
    await session.advance();
    session.dispose();
  });
  const ratio = memoryPlan(model.config, { task: "generate", ...sizes }).bytes.total / (measured - others);
  assert.ok(ratio > 0.8 && ratio < 1.2, `${ratio} of what is measured`);
  assert.ok(testDevice().use().held > 0);
  model.dispose();
});
