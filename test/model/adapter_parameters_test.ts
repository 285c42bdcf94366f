/** Gradients of all that an adapter can bring: factors of several ranks and scales, embeddings, heads, norms. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { read } from "../../lib/backend/tensors.ts";
import { adapterParameters } from "../../lib/checkpoint/adapted.ts";
import type { Lora } from "../../lib/checkpoint/lora.ts";
import { attachAdapter, detachAdapter, trainable } from "../../lib/model/adapter.ts";
import { deviceBatch } from "../../lib/model/batch.ts";
import { backward, forward, makeGradients } from "../../lib/model/decoder.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import type { Model } from "../../lib/model/model.ts";
import { assertNoLeak, gaussian, onBothBackends, upload } from "../_backends.ts";
import { parametersOf, setParameter, smallModel, tokenIds, writeSmallModel } from "../_models.ts";

const ids = tokenIds(10, 6);

/** Mean of −log P of the ids. */
async function lossOf(model: Model): Promise<number> {
  const logprobs = await model.logprobs(ids);
  return -logprobs.reduce((sum, value) => sum + value, 0) / logprobs.length;
}

async function gradientsOf(model: Model): Promise<Map<string, Float32Array>> {
  const { decoder } = model, count = ids.length - 1, found = new Map<string, Float32Array>();
  using batch = deviceBatch(decoder, [{ prompt: [ids[0]!], responses: [ids.slice(1)] }]);
  using weights = upload(new Float32Array(count).fill(-1 / count), [count]);
  const gradients = makeGradients(decoder, trainable(decoder));
  backward(decoder, forward(decoder, batch, { keep: "inputs" }), { batch, weights, gradients });
  for (const [name, tensor] of gradients) {
    found.set(name, Float32Array.from(await read(tensor)));
    tensor.dispose();
  }
  return found;
}

const cases: Readonly<Record<string, Lora>> = {
  "an updated embedding and ranks by pattern": {
    ...{
      r: 2,
      alpha: 6,
      embedding: true,
      rankPattern: { k_proj: 1, embed_tokens: 3 },
      alphaPattern: { k_proj: 1 },
    },
  },
  "a trained embedding, head and norms": {
    r: 2,
    alpha: 4,
    targets: ["o"],
    modulesToSave: ["embed_tokens", "lm_head", "norm"],
  },
  "a trained embedding beside a tied head": { r: 2, alpha: 4, layers: [1], modulesToSave: ["embed_tokens"] },
};

for (const [name, lora] of Object.entries(cases)) {
  onBothBackends(`${name}: gradients are finite differences`, async (backend) => {
    const model = await smallModel(backend, { scale: 6 });
    await assertNoLeak(async () => {
      const base = await parametersOf(model);
      attachAdapter(model.decoder, lora, { seed: 4 });
      for (const [i, [name, shape]] of adapterParameters(model.config, lora).entries()) {
        const now = await model.parameterValues(name), size = shape.reduce((a, b) => a * b, 1);
        const noise = gaussian(size, 60 + i);
        setParameter(model, name, now.map((value, at) => value + 0.1 * noise[at]!));
      }
      const gradients = await gradientsOf(model);
      assert.deepEqual(
        [...gradients.keys()].sort(),
        adapterParameters(model.config, lora).map(([name]) => name).sort(),
      );
      for (const [name, gradient] of gradients) {
        if (backend === "webgpu" && !/embedding|head|^norm|0\.qkv/.test(name)) continue;
        const values = await model.parameterValues(name), step = 0.01;
        const at = gradient.reduce((best, v, i) => Math.abs(v) > Math.abs(gradient[best]!) ? i : best, 0);
        const lossAt = async (delta: number) => {
          setParameter(model, name, values.map((value, i) => i === at ? value + delta : value));
          return await lossOf(model);
        };
        const slope = (await lossAt(step) - await lossAt(-step)) / (2 * step);
        await lossAt(0);
        const found = gradient[at]!;
        assert.ok(Math.abs(found) > 1e-4, `${name} has no gradient`);
        assert.ok(
          Math.abs(slope - found) < 0.01 * Math.abs(found) + 1e-5,
          `${name}: ${found}, differences ${slope}`,
        );
      }
      detachAdapter(model.decoder);
      assert.deepEqual(await parametersOf(model), base);
    });
    model.dispose();
  });
}

test("a new adapter is its base at first, whatever it brings; what a model lacks is refused", async () => {
  const path = await writeSmallModel();
  using base = await loadModel(path, { backend: "wasm" });
  for (const lora of Object.values(cases)) {
    using model = await loadModel(path, { backend: "wasm", lora });
    assert.deepEqual(await model.logits(ids), await base.logits(ids));
  }
  const refused = (lora: Partial<Lora>, message: RegExp) =>
    assert.rejects(loadModel(path, { backend: "wasm", lora: { r: 2, alpha: 4, ...lora } }), message);
  await refused(
    { modulesToSave: ["wte"] },
    /Cannot train "wte" as a whole: a llama model has embed_tokens, .*lm_head/,
  );
  await refused(
    { modulesToSave: ["mlp"] },
    /Cannot train "mlp" as a whole .*"model\.layers\.0\.mlp\.gate_proj"/,
  );
  await refused({ modulesToSave: ["embed_tokens"], embedding: true }, /Cannot train the embedding twice/);
  await refused({ layers: [2] }, /Cannot adapt layer 2: the model's layers are 0 to 1/);
  await refused({ layers: [] }, /layers must be numbers of layers from 0 on: got \[\]/);
  await refused({ modules: ["model.layers.0.mlp"] }, /Cannot adapt "model\.layers\.0\.mlp"/);
  await refused(
    { rankPattern: { "(": 2 } },
    /rankPattern must be ranks by regular expression: got \{"\(":2\}/,
  );
  await refused({ rankPattern: { q_proj: 0 } }, /rankPattern must be ranks .*got \{"q_proj":0\}/);
  await refused({ alphaPattern: { q_proj: -1 } }, /alphaPattern must be alphas .*got \{"q_proj":-1\}/);
});
