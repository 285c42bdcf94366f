/** Tensors under the names of wrappers, of whole models and of adapters; adapters and bases that do not go together. */

import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { baseFingerprint, formerFingerprint } from "../../lib/checkpoint/base_fingerprint.ts";
import { openCheckpoint } from "../../lib/checkpoint/checkpoint.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import { mergeAdapter } from "../../lib/model/merge.ts";
import { train } from "../../lib/train/trainer.ts";
import { collect, freshPath, tokenIds, writeSmallModel } from "../_models.ts";
import { toyProblems } from "../_toys.ts";
import {
  changedModel,
  type Numbers,
  numbers,
  readTensorsByName,
  writePeft,
  writeTensorsByName,
} from "./_peft.ts";

const ids = tokenIds(12, 4), weights = "adapter_model.safetensors";

async function logitsOf(path: string, adapter?: string): Promise<Float32Array> {
  using model = await loadModel(path, { backend: "wasm", ...(adapter !== undefined && { adapter }) });
  return await model.logits(ids);
}

/** The same model with its tensors renamed. */
async function renamed(base: string, rename: (name: string) => string | string[]): Promise<string> {
  return await changedModel(base, (tensors) => {
    const all = [...tensors];
    tensors.clear();
    for (const [name, value] of all) for (const other of [rename(name)].flat()) tensors.set(other, value);
  });
}

test("a model under the names of torch.compile, FSDP, DataParallel or a model that also sees is read, saved plainly", async () => {
  const base = await writeSmallModel(), expected = await logitsOf(base);
  const renames: ((name: string) => string)[] = [
    (name) => `_orig_mod.${name}`,
    (name) => name.replace("model.layers", "model._orig_mod.layers"),
    (name) => `module.${name}`,
    (name) => `_fsdp_wrapped_module.${name.replace(/layers\.\d+/, "$&._checkpoint_wrapped_module")}`,
    (name) => name.replace(/^model\./, "model.language_model."),
    (name) => `language_model.${name}`,
  ];
  for (const rename of renames) {
    const path = await renamed(base, rename), again = freshPath();
    assert.deepEqual(await logitsOf(path), expected);
    using model = await loadModel(path, { backend: "wasm" });
    await model.save(again);
    const names = [...(await readTensorsByName(join(again, "model.safetensors"))).keys()];
    assert.deepEqual(names, [...(await readTensorsByName(join(base, "model.safetensors"))).keys()]);
  }
  const twice = await renamed(
    base,
    (name) => name === "model.norm.weight" ? [name, `_orig_mod.${name}`] : name,
  );
  await assert.rejects(
    loadModel(twice),
    /tensors "model\.norm\.weight" and "_orig_mod\.model\.norm\.weight" are both "model\.norm\.weight" \(torch\.compile/,
  );
  const wrapped = await renamed(
    base,
    (name) => `base_model.model.${name.replace(/_proj/, "_proj.base_layer")}`,
  );
  await assert.rejects(
    loadModel(wrapped),
    /q_proj\.base_layer\.weight" is of a model that PEFT still wraps; merge/,
  );
});

/** A base, and an adapter on q and on the embedding. */
async function adapted(): Promise<{ base: string; adapter: string; logits: Float32Array }> {
  const base = await writeSmallModel(), own = "base_model.model.model.";
  const tensors: Record<string, Numbers> = { [`${own}embed_tokens.weight`]: numbers(9, 290, 32) };
  for (const layer of [0, 1]) {
    tensors[`${own}layers.${layer}.self_attn.q_proj.lora_A.weight`] = numbers(1 + layer, 2, 32);
    tensors[`${own}layers.${layer}.self_attn.q_proj.lora_B.weight`] = numbers(3 + layer, 32, 2);
  }
  const adapter = await writePeft(
    base,
    { target_modules: ["q_proj"], modules_to_save: ["embed_tokens"] },
    tensors,
  );
  return { base, adapter, logits: await logitsOf(base, adapter) };
}

/** A copy of an adapter with other tensors. */
async function changed(adapter: string, change: (tensors: Map<string, Numbers>) => void): Promise<string> {
  const path = freshPath();
  cpSync(adapter, path, { recursive: true });
  const tensors = await readTensorsByName(join(adapter, weights));
  change(tensors);
  await writeTensorsByName(join(path, weights), tensors);
  return path;
}

test("an adapter's names with an adapter's own name, wrappers, no prefix or two are read; others are named", async () => {
  const { base, adapter, logits } = await adapted();
  const under = (rename: (name: string) => string) =>
    changed(adapter, (tensors) => {
      const all = [...tensors];
      tensors.clear();
      for (const [name, value] of all) tensors.set(rename(name), value);
    });
  const renames: ((name: string) => string)[] = [
    (name) =>
      name.replace(/\.weight$/, ".default.weight").replace(
        "embed_tokens.default",
        "embed_tokens.modules_to_save.default",
      ),
    (name) => name.replace("base_model.model.", "base_model.model._orig_mod."),
    (name) => `_orig_mod.${name}`,
    (name) => name.replace("base_model.model.", ""),
    (name) => `base_model.model.${name}`,
    (name) => name.replace("base_model.model.model.", "base_model.model.model.language_model."),
  ];
  for (const rename of renames) assert.deepEqual(await logitsOf(base, await under(rename)), logits);

  const refused = async (change: (tensors: Map<string, Numbers>) => void, message: RegExp) =>
    await assert.rejects(loadModel(base, { adapter: await changed(adapter, change) }), message);
  const q = "base_model.model.model.layers.0.self_attn.q_proj";
  await refused(
    (all) =>
      all.set(`${q}.lora_A.second.weight`, numbers(1, 2, 32)).set(
        `${q}.lora_B.first.weight`,
        numbers(1, 32, 2),
      ),
    /holds several adapters, second, first; save them one by one/,
  );
  await refused(
    (all) => all.set(`_orig_mod.${q}.lora_A.weight`, numbers(1, 2, 32)),
    /are both .*torch\.compile puts/,
  );
  await refused(
    (all) => all.set(`${q}.lora_magnitude_vector`, numbers(1, 32)),
    /q_proj\.lora_magnitude_vector" lies where adapter_config\.json wants none \(use_dora\)/,
  );
  await refused(
    (all) =>
      all.set("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta", numbers(1, 1, 32)),
    /trainable_tokens_delta" lies where adapter_config\.json wants none \(trainable_token_indices\)/,
  );
  await refused(
    (all) => all.set(`${q}.lora_B.bias`, numbers(1, 32)),
    /a bias of a factor \(lora_bias\): not supported/,
  );
  await refused(
    (all) => all.delete(`${q}.lora_B.weight`),
    /q_proj\.lora_B\.weight" is missing, expected \[32, 2\]/,
  );
  await refused(
    (all) => all.set("base_model.model.model.embed_tokens.weight", numbers(1, 292, 32)),
    /embed_tokens\.weight" has 292 rows, the base 290: tokens were added to the base before/,
  );
  await refused(
    (all) => all.delete("base_model.model.model.embed_tokens.weight"),
    /a tensor of "embed_tokens" is missing/,
  );
  await refused(
    (all) => all.set(q.replace("q_proj", "k_proj.lora_A.weight"), numbers(1, 2, 32)),
    /k_proj\.lora_A\.weight" lies where adapter_config\.json wants no update/,
  );
  await refused(
    (all) => all.set("base_model.model.lm_head.lora_A.weight", numbers(1, 2, 32)),
    /lm_head\.lora_A\.weight" lies where adapter_config\.json wants no update/,
  );
  await refused(
    (all) => all.set("base_model.model.model.norm.weight", numbers(1, 32)),
    /norm\.weight" is no LoRA .*modules_to_save does not name it/,
  );
  // What PEFT repeats of the base is no news, and refused where the base has other numbers.
  const stored = await readTensorsByName(join(base, "model.safetensors"));
  const copy = await changed(
    adapter,
    (all) =>
      all.set("base_model.model.lm_head.weight", stored.get("model.embed_tokens.weight")!).set(
        `${q}.base_layer.weight`,
        stored.get("model.layers.0.self_attn.q_proj.weight")!,
      ),
  );
  assert.deepEqual(await logitsOf(base, copy), logits);
  await refused(
    (all) => all.set("base_model.model.lm_head.weight", numbers(2, 290, 32)),
    /lm_head\.weight" is not what the base has/,
  );
});

test("what an adapter wants of whole modules and of ties is served, or refused by its field", async () => {
  const { base, adapter } = await adapted();
  const refused = async (fields: Record<string, unknown>, message: RegExp) => {
    const path = await changed(adapter, () => {}), config = join(path, "adapter_config.json");
    writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, "utf8")), ...fields }));
    await assert.rejects(loadModel(base, { adapter: path }), message);
  };
  await refused(
    { modules_to_save: ["q_proj"] },
    /modules_to_save "q_proj" is not supported: it has "model\.layers\.0/,
  );
  await refused({ modules_to_save: "norm" }, /field "modules_to_save" must be a list of names: got "norm"/);
  await refused(
    { ensure_weight_tying: true },
    /ensure_weight_tying true is not supported on a base whose head is its/,
  );
  await refused(
    { target_modules: "(" },
    /field "target_modules" must be a list of names or a regular expression: got "\("/,
  );
  await refused(
    { target_modules: ["q_proj", "v_proj"] },
    /v_proj\.lora_A\.weight" is missing, which target_modules asks/,
  );
  await refused(
    { layers_to_transform: "1" },
    /field "layers_to_transform" must be a layer's number or a list/,
  );
  await refused({ layers_to_transform: 0 }, /layers\.1\.self_attn\.q_proj\.lora_A\.weight" lies where/);
  await refused({ rank_pattern: { "(.*)*x": 2 } }, /field "rank_pattern" must be .*got \{"\(\.\*\)\*x":2\}/);
  await refused({ rank_pattern: { q_proj: 1.5 } }, /field "rank_pattern" must be .*got \{"q_proj":1\.5\}/);
  await refused({ alpha_pattern: ["q_proj"] }, /field "alpha_pattern" must be .*got \["q_proj"\]/);
});

test("a base's fingerprint covers every tensor and what config.json computes; it does not know of dtypes", async () => {
  const base = await writeSmallModel({ seed: 5, config: { tie_word_embeddings: false } });
  const of = async (path: string) => {
    await using checkpoint = await openCheckpoint(path);
    return await baseFingerprint(checkpoint);
  };
  const first = await of(base),
    names = [...(await readTensorsByName(join(base, "model.safetensors"))).keys()];
  assert.match(first, /^2:[0-9a-f]{32}$/);
  assert.equal(names.length, 2 + 2 * 9 + 1);
  for (const name of names) {
    const other = await changedModel(base, (tensors) => {
      const { shape, values } = tensors.get(name)!;
      tensors.set(name, {
        shape,
        values: values.map((value, i) => i === values.length - 1 ? value + 2 ** -20 : value),
      });
    });
    assert.notEqual(await of(other), first, name);
  }
  for (
    const fields of [{ rope_theta: 5e5 }, { rms_norm_eps: 1e-6 }, {
      num_attention_heads: 2,
      num_key_value_heads: 1,
    }]
  ) {
    assert.notEqual(await of(await changedModel(base, () => {}, fields)), first, JSON.stringify(fields));
  }
  for (
    const fields of [{ eos_token_id: [2, 3] }, { max_position_embeddings: 128 }, { torch_dtype: "bfloat16" }]
  ) {
    assert.equal(await of(await changedModel(base, () => {}, fields)), first, JSON.stringify(fields));
  }
  const narrow = freshPath(), wide = freshPath(), half = freshPath();
  {
    using model = await loadModel(base, { backend: "wasm" });
    await model.save(narrow, { dtype: "BF16" });
    await model.save(half, { dtype: "F16" });
  }
  {
    using model = await loadModel(narrow, { backend: "wasm" });
    await model.save(wide, { dtype: "F32" });
  }
  assert.equal(await of(wide), await of(narrow));
  assert.notEqual(await of(half), await of(narrow));
});

test("an adapter or a run that knows its base by less is accepted where that agrees, and said", async () => {
  const { base, adapter, logits } = await adapted(),
    notes: string[] = [],
    listener = { note: (line: string) => notes.push(line) };
  await using checkpoint = await openCheckpoint(base);
  const metadata = { format: "pt", base_fingerprint: await formerFingerprint(checkpoint) };
  const tensors = await readTensorsByName(join(adapter, weights));
  await writeTensorsByName(join(adapter, weights), tensors, metadata);
  using model = await loadModel(base, { backend: "wasm", adapter, listener });
  assert.deepEqual(await model.logits(ids), logits);
  assert.match(notes.join("\n"), /knows its base by the first layer and the last norm alone: these agree/);
  const other = await changedModel(base, (all) => all.set("model.norm.weight", numbers(1, 32)));
  await assert.rejects(loadModel(other, { adapter }), /the shapes agree but the weights differ/);

  // A run whose checkpoint was written then goes on.
  const out = freshPath(),
    options = { objective: "vft", steps: 3, batchSize: 2, saveEvery: 1, logEvery: 1, out };
  for await (const _ of train(model, toyProblems(4), options)) break;
  const folder = join(out, "checkpoints", "step-00000001", "state.json");
  assert.ok(!existsSync(folder), "the first step's checkpoint comes after its metrics");
  let steps = 0;
  for await (const _ of train(model, toyProblems(4), { ...options, overwrite: true })) {
    if (++steps === 2) break;
  }
  const state = JSON.parse(readFileSync(folder, "utf8"));
  assert.equal(state.settings.base, await baseFingerprint(checkpoint));
  state.settings.base = metadata.base_fingerprint;
  writeFileSync(folder, JSON.stringify(state));
  assert.equal((await collect(train(model, toyProblems(4), { ...options, resume: true }))).length, 2);
});

test("a number that F16 has no room for is refused with its tensor and value, and nothing is written", async () => {
  const base = await changedModel(await writeSmallModel(), (tensors) => {
    const { shape, values } = tensors.get("model.layers.1.mlp.up_proj.weight")!;
    tensors.set("model.layers.1.mlp.up_proj.weight", {
      shape,
      values: values.map((v, i) => i === 40 ? -70000 : v),
    });
  });
  const out = freshPath();
  using model = await loadModel(base, { backend: "wasm" });
  const message =
    /Cannot write .* in F16: tensor "model\.layers\.1\.mlp\.up_proj\.weight" holds -70000, which F16 has no room/;
  await assert.rejects(model.save(out, { dtype: "F16" }), message);
  assert.ok(!existsSync(out));
  await model.save(out, { dtype: "BF16" });
  const adapter = await writePeft(base, { target_modules: ["q_proj"], layers_to_transform: 0 }, {
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": numbers(1, 2, 32),
    "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": numbers(2, 32, 2),
  });
  const before = readFileSync(join(out, "model.safetensors"));
  await assert.rejects(
    mergeAdapter(out, { base, adapter, dtype: "F16", overwrite: true, backend: "wasm" }),
    message,
  );
  assert.deepEqual(readFileSync(join(out, "model.safetensors")), before);
  // 65519.99 still rounds to the largest half, 65520 to infinity.
  const at = async (value: number) =>
    await changedModel(base, (tensors) => {
      const { shape, values } = tensors.get("model.norm.weight")!;
      tensors.set("model.norm.weight", { shape, values: values.map((v, i) => i === 0 ? value : v) });
      tensors.set("model.layers.1.mlp.up_proj.weight", numbers(3, 48, 32));
    });
  using last = await loadModel(await at(65519.9), { backend: "wasm" });
  await last.save(freshPath(), { dtype: "F16" });
  using beyond = await loadModel(await at(65520), { backend: "wasm" });
  await assert.rejects(beyond.save(freshPath(), { dtype: "F16" }), /"model\.norm\.weight" holds 65520/);
});
