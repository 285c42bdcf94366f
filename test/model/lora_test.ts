/** Adapters of low rank: what they compute, their gradients, and that the base stays as it is. */

import assert from "node:assert/strict";
import type { Tensor } from "../../lib/backend/device.ts";
import { test } from "node:test";
import { Buffer } from "node:buffer";
import { read } from "../../lib/backend/tensors.ts";
import { score } from "../../lib/evaluate/score.ts";
import { attachAdapter, detachAdapter, trainable } from "../../lib/model/adapter.ts";
import { parseConfig } from "../../lib/checkpoint/config.ts";
import { backward, forward, makeGradients, orderedLogprobs } from "../../lib/model/decoder.ts";
import { deviceBatch } from "../../lib/model/batch.ts";
import type { Keep } from "../../lib/model/layer.ts";
import { adaptedProjections, adapterShapes } from "../../lib/checkpoint/adapted.ts";
import { formatLora, type Lora, parseLora } from "../../lib/checkpoint/lora.ts";
import type { Model } from "../../lib/model/model.ts";
import { Optimizer } from "../../lib/train/optimizer.ts";
import { assertClose, assertNoLeak, gaussian, onBothBackends, upload } from "../_backends.ts";
import { parametersOf, setParameter, smallModel, tokenIds } from "../_models.ts";
import { withSharedModel } from "../_shared_models.ts";

test("--lora is read key by key, and refused with a suggestion", () => {
  assert.deepEqual(parseLora("r=8,alpha=24,targets=q,v,down,dropout=0.1"), {
    r: 8,
    alpha: 24,
    dropout: 0.1,
    targets: ["q", "v", "down"],
  });
  assert.deepEqual(parseLora("r=4"), { r: 4, alpha: 8, dropout: 0 });
  const all = "r=4,alpha=8,targets=q,v,rslora=true,layers=0,3,save=embed_tokens,lm_head";
  assert.deepEqual(parseLora(all), {
    ...{ r: 4, alpha: 8, dropout: 0, targets: ["q", "v"], rankStabilized: true, layers: [0, 3] },
    modulesToSave: ["embed_tokens", "lm_head"],
  });
  assert.equal(formatLora(parseLora(all)), all);
  const refused = (text: string, message: RegExp) => assert.throws(() => parseLora(text), message);
  refused("rank=4", /unknown key "rank", expected r, alpha, targets, dropout/);
  refused("apha=4", /unknown key "apha".*did you mean alpha\?/);
  refused("r=4,targets=q,dwn", /unknown target "dwn".*did you mean down\?/);
  refused("r=0", /r must be a whole number of at least 1: got "0"/);
  refused("r=", /r must be/);
  refused("r", /key "r" needs a value/);
  refused("r=4,r=5", /key "r" is given twice/);
  refused("layers=1,x", /layers must be numbers of layers from 0 on: got \[1,null\]/);
  refused("rslora=yes", /rslora must be true or false: got "yes"/);
  refused("save=", /modulesToSave must be paths of modules: got \[""\]/);
  refused("dropout=1", /dropout must be a number from 0 to below 1: got "1"/);
  refused("alpha=-1", /alpha must be a number above 0/);
});

const llama = {
  model_type: "llama",
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 20,
  max_position_embeddings: 16,
};

test("the parts of an adapter lie where the fused parameter has their rows", () => {
  const config = parseConfig(llama, "config.json");
  assert.deepEqual(adaptedProjections(config, { r: 2, alpha: 4, targets: ["v", "q", "up"] }), [
    {
      name: "layers.0.qkv",
      inputs: 8,
      r: 2,
      parts: [
        { module: "model.layers.0.self_attn.q_proj", column: 0, rows: 8, row: 0, r: 2, scale: 2 },
        { module: "model.layers.0.self_attn.v_proj", column: 12, rows: 4, row: 8, r: 2, scale: 2 },
      ],
    },
    {
      name: "layers.0.gate_up",
      inputs: 8,
      r: 2,
      parts: [{ module: "model.layers.0.mlp.up_proj", column: 12, rows: 12, row: 0, r: 2, scale: 2 }],
    },
  ]);
  const all = adaptedProjections(config, { r: 2, alpha: 4 });
  assert.deepEqual(all.flatMap((p) => adapterShapes(p)), [
    ["layers.0.qkv.lora_a", [6, 8]],
    ["layers.0.qkv.lora_b", [16, 2]],
    ["layers.0.output.lora_a", [2, 8]],
    ["layers.0.output.lora_b", [8, 2]],
    ["layers.0.gate_up.lora_a", [4, 8]],
    ["layers.0.gate_up.lora_b", [24, 2]],
    ["layers.0.down.lora_a", [2, 12]],
    ["layers.0.down.lora_b", [8, 2]],
  ]);
});

test("a target that the model lacks is refused by name", () => {
  const gpt2 = { model_type: "gpt2", n_embd: 8, n_layer: 1, n_head: 2, n_positions: 16, vocab_size: 20 };
  const config = parseConfig(gpt2, "config.json"),
    of = (targets: Lora["targets"]) => () => adaptedProjections(config, { r: 2, alpha: 4, targets });
  assert.throws(
    of(["gate"]),
    /Cannot adapt "gate": a gpt2 model has no such projection.*q, k, v, o, up, down/,
  );
  assert.throws(of(["q", "v"]), /Cannot adapt q and v alone: a gpt2 model keeps q, k, v in one matrix/);
  assert.deepEqual(of(["q", "k", "v"])().map((p) => p.parts), [
    [{ module: "transformer.h.0.attn.c_attn", column: 0, rows: 24, row: 0, r: 2, scale: 2 }],
  ]);
});

const lora: Lora = { r: 3, alpha: 6 };

/** Puts an adapter with numbers that matter on a model. */
function adapt(model: Model, options: Lora = lora): void {
  const values = new Map<string, Float32Array>();
  adaptedProjections(model.config, options).flatMap((p) => adapterShapes(p)).forEach((
    [name, shape],
    i,
  ) => values.set(name, gaussian(shape[0] * shape[1], 50 + i).map((v) => 0.2 * v)));
  attachAdapter(model.decoder, options, { values });
}

const group = { id: "a", question: "2+3?", answer: "5", candidates: [{ text: "5" }, { text: "6 pens" }] };

/** W + (alpha/r)·B·A of every adapted parameter, one number at a time. */
async function denseWeights(model: Model): Promise<Map<string, Float32Array>> {
  const { lora, projections } = model.decoder.adapter!, dense = new Map<string, Float32Array>();
  for (const { name, inputs, parts } of projections.values()) {
    const w = await model.parameterValues(name);
    const a = await model.parameterValues(`${name}.lora_a`),
      b = await model.parameterValues(`${name}.lora_b`);
    parts.forEach(({ column, row, rows }, p) => {
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < inputs; j++) {
          let sum = 0;
          for (let k = 0; k < lora.r; k++) {
            sum += b[(row + i) * lora.r + k] * a[(p * lora.r + k) * inputs + j];
          }
          w[(column + i) * inputs + j] += lora.alpha / lora.r * sum;
        }
      }
    });
    dense.set(name, w);
  }
  return dense;
}

onBothBackends(
  "a rank-r update is the dense one written out; a new or switched-off one is none",
  async (backend) => {
    const model = await smallModel(backend), ids = tokenIds(20, 3);
    await assertNoLeak(async () => {
      const base = await model.logits(ids), baseLogprobs = await model.logprobs(ids);
      const reference = await Array.fromAsync(score(model, [group]));
      attachAdapter(model.decoder, lora, { seed: 5 });
      const fresh = await model.parameterValues("layers.1.down.lora_a"), bound = 1 / Math.sqrt(48);
      assert.ok(fresh.every((v) => Math.abs(v) <= bound) && fresh.some((v) => Math.abs(v) > 0.8 * bound));
      assert.deepEqual(await model.logits(ids), base);
      detachAdapter(model.decoder);

      adapt(model);
      const adapted = await model.logits(ids), dense = await denseWeights(model);
      model.adapterEnabled = false;
      assert.deepEqual(await model.logits(ids), base);
      assert.deepEqual(await model.logprobs(ids), baseLogprobs);
      // What DPO refers to: `score` of the base, and of the adapted model with its adapter off.
      assert.deepEqual(await Array.fromAsync(score(model, [group])), reference);
      model.adapterEnabled = true;
      const [{ candidates: [{ logprob }] }] = await Array.fromAsync(score(model, [group]));
      assert.ok(Math.abs(logprob! - reference[0].candidates[0].logprob!) > 0.01);
      detachAdapter(model.decoder);
      const before = new Map<string, Float32Array>();
      for (const [name, values] of dense) {
        before.set(name, await model.parameterValues(name));
        setParameter(model, name, values);
      }
      const written = await model.logits(ids);
      assertClose(adapted, written, 1e-5, "logits");
      assert.ok(adapted.some((v, i) => Math.abs(v - base[i]) > 0.1), "the adapter changes nothing");
      for (const [name, values] of before) setParameter(model, name, values);
    });
    model.dispose();
  },
);

/** Log-probs of a fixed batch, and gradients of their weighted sum. */
async function pass(
  model: Model,
  keep: Keep = "products",
  trains?: (name: string) => boolean,
): Promise<{ loss: number; gradients: Map<string, Float32Array> }> {
  const { decoder } = model, most = model.config.vocabularySize;
  const [prompt, ...responses] = [tokenIds(6, 1), tokenIds(5, 2), tokenIds(9, 3)]
    .map((ids) => ids.map((id) => id % most));
  const batch = deviceBatch(decoder, [{ prompt, responses }]), run = forward(decoder, batch, { keep });
  const logprobs = await orderedLogprobs(run, batch), weightOf = (i: number) => 0.3 - 0.1 * (i % 5);
  const loss = logprobs.reduce((sum, value, i) => sum + weightOf(i) * value, 0);
  const values = new Map<string, Float32Array>();
  if (keep !== "nothing") {
    const host = new Float32Array(logprobs.length), gradients = makeGradients(decoder, trains);
    batch.labels.order.forEach((at, i) => host[at] = weightOf(i));
    const weights = upload(host, [host.length]);
    backward(decoder, run, { batch, weights, gradients });
    for (const [name, tensor] of gradients) values.set(name, Float32Array.from(await read(tensor)));
    [weights, ...gradients.values()].forEach((t: Tensor) => t.dispose());
  } else run.dispose();
  batch.dispose();
  return { loss, gradients: values };
}

onBothBackends(
  "gradients of the factors are the dense gradient projected, and finite differences",
  async (backend) => {
    const model = await smallModel(backend, { scale: 6 });
    await assertNoLeak(async () => {
      for (const options of [lora, { ...lora, targets: ["v", "down"] } satisfies Lora]) {
        adapt(model, options);
        const { gradients } = await pass(model), { r, alpha } = options;
        for (const { name, inputs, parts } of model.decoder.adapter!.projections.values()) {
          const dw = gradients.get(name)!, a = await model.parameterValues(`${name}.lora_a`);
          const b = await model.parameterValues(`${name}.lora_b`);
          const da = new Float64Array(a.length), db = new Float64Array(b.length);
          parts.forEach(({ column, row, rows }, p) => {
            for (let i = 0; i < rows; i++) {
              for (let j = 0; j < inputs; j++) {
                const g = alpha / r * dw[(column + i) * inputs + j];
                for (let k = 0; k < r; k++) {
                  da[(p * r + k) * inputs + j] += g * b[(row + i) * r + k];
                  db[(row + i) * r + k] += g * a[(p * r + k) * inputs + j];
                }
              }
            }
          });
          assertRelative(gradients.get(`${name}.lora_a`)!, da, 1e-4, `${name}.lora_a`);
          assertRelative(gradients.get(`${name}.lora_b`)!, db, 1e-4, `${name}.lora_b`);
        }
        detachAdapter(model.decoder);
      }
      adapt(model, { ...lora, dropout: 0.4 });
      const adapter = model.decoder.adapter!;
      for (const key of [undefined, 77]) {
        adapter.dropoutKey = key;
        const { gradients } = await pass(model);
        for (const name of ["layers.0.qkv.lora_a", "layers.1.gate_up.lora_b", "layers.0.down.lora_a"]) {
          const g = gradients.get(name)!, values = await model.parameterValues(name);
          const at = g.reduce((best, v, i) => Math.abs(v) > Math.abs(g[best]) ? i : best, 0), step = 0.01;
          const lossAt = async (delta: number) => {
            setParameter(model, name, values.map((v, i) => i === at ? v + delta : v));
            return (await pass(model, "nothing")).loss;
          };
          const slope = (await lossAt(step) - await lossAt(-step)) / (2 * step);
          await lossAt(0);
          assert.ok(
            Math.abs(slope - g[at]) < 0.01 * Math.abs(g[at]),
            `${name}: ${g[at]}, differences ${slope}`,
          );
        }
      }
      detachAdapter(model.decoder);
    });
    model.dispose();
  },
);

/** The factors' gradients are the same with all else trained and with all else frozen, or but the first normalisation. */
async function assertSameWhenFrozen(model: Model): Promise<void> {
  for (const given of [lora, { ...lora, targets: ["down"] }, { ...lora, dropout: 0.4 }] satisfies Lora[]) {
    adapt(model, given);
    model.decoder.adapter!.dropoutKey = 77;
    const { gradients } = await pass(model), own = trainable(model.decoder);
    for (const trains of [own, (name: string) => own(name) || name.startsWith("layers.0.norm1")]) {
      for (const keep of ["products", "inputs"] as const) {
        const alone = await pass(model, keep, trains);
        assert.ok(alone.gradients.size > 0);
        for (const [name, values] of alone.gradients) {
          assertRelative(values, Float64Array.from(gradients.get(name)!), 1e-5, name);
        }
      }
    }
    detachAdapter(model.decoder);
  }
}

onBothBackends("gradients of the factors do not depend on what else is trained", async (backend) => {
  const model = await smallModel(backend, { scale: 6 });
  await assertNoLeak(() => assertSameWhenFrozen(model));
  model.dispose();
});

function assertRelative(actual: ArrayLike<number>, expected: Float64Array, tolerance: number, what: string) {
  const scale = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  assert.ok(scale > 0, `${what} has no gradient at all`);
  assertClose(Float64Array.from(actual, (v) => v / scale), expected.map((v) => v / scale), tolerance, what);
}

onBothBackends(
  "dropout: one mask for forward, repetition and backward; none outside training",
  async (backend) => {
    const model = await smallModel(backend, { scale: 6 });
    await assertNoLeak(async () => {
      adapt(model, { ...lora, dropout: 0.4 });
      const adapter = model.decoder.adapter!, still = await pass(model, "nothing");
      adapter.dropoutKey = 77;
      const products = await pass(model), inputs = await pass(model, "inputs");
      assert.deepEqual(inputs, products);
      assert.notEqual(products.loss, still.loss);
      adapter.dropoutKey = 78;
      assert.notEqual((await pass(model, "nothing")).loss, products.loss);
      adapter.dropoutKey = undefined;
      assert.equal((await pass(model, "nothing")).loss, still.loss);
      detachAdapter(model.decoder);
    });
    model.dispose();
  },
);

onBothBackends("training changes the factors alone; no frozen tensor's byte changes", async (backend) => {
  const model = await smallModel(backend);
  await assertNoLeak(async () => {
    attachAdapter(model.decoder, lora, { seed: 1 });
    const before = await parametersOf(model);
    const optimizer = new Optimizer(model.decoder, {
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0.1,
      clip: 1,
    });
    const names = [...optimizer.gradients.keys()];
    assert.deepEqual(names, [...before.keys()].filter((name) => name.includes(".lora_")));
    assert.equal(names.length, 16);
    for (let step = 0; step < 2; step++) {
      const batch = deviceBatch(model.decoder, [{ prompt: tokenIds(4, 1), responses: [tokenIds(8, 2)] }]);
      const run = forward(model.decoder, batch, { keep: "products" }), weights = upload(gaussian(8), [8]);
      backward(model.decoder, run, { batch, weights, gradients: optimizer.gradients });
      optimizer.update(0.01).dispose();
      weights.dispose();
      batch.dispose();
    }
    for (const [name, values] of await parametersOf(model)) {
      const same = Buffer.from(values.buffer).equals(Buffer.from(before.get(name)!.buffer));
      assert.equal(same, !name.includes(".lora_"), name);
    }
    optimizer.dispose();
    detachAdapter(model.decoder);
  });
  model.dispose();
});

for (const path of ["golden/models/gpt2", "golden/models/qwen3", "golden/models/qwen2"]) {
  withSharedModel(`${path}: merged and unmerged logits agree`, path, async (model) => {
    const ids = [5, 1, 77, 130, 2, 64, 9];
    adapt(model);
    const adapted = await model.logits(ids);
    await model.merge();
    assert.equal(model.decoder.adapter, undefined);
    assertClose(await model.logits(ids), adapted, 1e-4, "logits");
  });
}

withSharedModel(
  "gradients of GPT-2's factors do not depend on what else is trained",
  "golden/models/gpt2", // biases, layer normalisation, learned positions
  assertSameWhenFrozen,
);
