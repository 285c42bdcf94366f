import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { assign, read, upload } from "../../lib/backend/tensors.ts";
import { parseLora } from "../../lib/checkpoint/lora.ts";
import { score } from "../../lib/evaluate/score.ts";
import { modelDigest, promptDigest } from "../../lib/model/digests.ts";
import { encodePrompt } from "../../lib/model/encode.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import type { Model } from "../../lib/model/model.ts";
import { train } from "../../lib/train/trainer.ts";
import { assertNoLeak, onBothBackends } from "../_backends.ts";
import { collect, freshPath, writeSmallModel } from "../_models.ts";
import { toyGroups } from "../_toys.ts";

test("a prompt's digest is of its ids as little-endian int32", () => {
  const bytes = Uint8Array.of(1, 0, 0, 0, 0x2c, 1, 0, 0, 0xff, 0xff, 0xff, 0xff); // 1, 300, −1
  const want = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  assert.equal(promptDigest([1, 300, -1]), want);
  assert.notEqual(promptDigest([1, 300]), want);
  assert.equal(promptDigest([]), "e3b0c44298fc1c14"); // SHA-256 of nothing
});

async function digestOf(path: string, options: Parameters<typeof loadModel>[1]): Promise<string> {
  using model = await loadModel(path, options);
  return await modelDigest(model);
}

async function changed(model: Model, name: string): Promise<string> {
  const tensor = model.tensor(name), before = await read(tensor) as Float32Array;
  const after = Float32Array.from(before, (x, i) => i === 0 ? x + 1 : x);
  assign(tensor, upload(tensor.device, after, tensor.shape));
  const digest = await modelDigest(model);
  assign(tensor, upload(tensor.device, before, tensor.shape));
  return digest;
}

onBothBackends("a model's digest tells every tensor, and nothing else", async (backend) => {
  const path = await writeSmallModel();
  await assertNoLeak(async () => {
    using model = await loadModel(path, { backend });
    const digest = await modelDigest(model);
    assert.match(digest, /^[0-9a-f]{16}$/);
    assert.equal(await modelDigest(model), digest);
    assert.equal(await digestOf(path, { backend: "wasm" }), digest);
    const names = model.decoder.plan.map(({ name }) => name), digests = new Set([digest]);
    for (const name of names) digests.add(await changed(model, name));
    assert.equal(digests.size, names.length + 1);
    assert.equal(await modelDigest(model), digest);
    assert.notEqual(await digestOf(await writeSmallModel({ seed: 2 }), { backend }), digest);
    assert.notEqual(await digestOf(path, { backend, baseDtype: "int8" }), digest);
  });
});

test("a new adapter is its base, a trained one is not, and switched off it is the base again", async () => {
  const path = await writeSmallModel(), lora = parseLora("r=4"), out = freshPath();
  const base = await digestOf(path, { backend: "wasm" });
  {
    using model = await loadModel(path, { backend: "wasm", lora });
    assert.equal(await modelDigest(model), base);
    await collect(train(model, toyGroups(4), { objective: "vft", steps: 1, learningRate: 1e-2 }));
    const trained = await modelDigest(model);
    assert.notEqual(trained, base);
    model.adapterEnabled = false;
    assert.equal(await modelDigest(model), base);
    model.adapterEnabled = true;
    await model.save(out);
    assert.equal(await digestOf(path, { backend: "wasm", adapter: out }), trained);
  }
});

test("score keeps the digests of the model and of each prompt, and drops log-probs of an earlier one", async () => {
  using model = await loadModel(await writeSmallModel(), { backend: "wasm" });
  const [group] = toyGroups(1), template = "Q: {question} A:";
  const old = {
    ...group!,
    reference_logprob: -1,
    candidates: [...group!.candidates, { text: "9".repeat(80), logprob: -5, score: -1 }],
  };
  for (const prompt of [{}, { template }]) {
    const [scored] = await collect(score(model, [old], { prompt }));
    assert.equal(scored!.model_digest, await modelDigest(model));
    assert.equal(scored!.prompt_digest, promptDigest(encodePrompt(model, old, prompt)));
    // The last exceeds the context: it must not keep a log-prob of another model.
    assert.deepEqual(scored!.candidates.map(({ logprob }) => logprob === undefined), [
      false,
      false,
      false,
      true,
    ]);
    assert.notEqual(scored!.reference_logprob, -1);
  }
  const [labelled] = await collect(score(undefined, [old]));
  assert.ok(!("model_digest" in labelled!) && !("prompt_digest" in labelled!));
});
