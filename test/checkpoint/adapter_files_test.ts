/** Adapters on disk: PEFT's layout, loading back, another base, merging, training and resuming. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { adaptedProjections, adapterShapes } from "../../lib/checkpoint/adapted.ts";
import type { Lora } from "../../lib/checkpoint/lora.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import type { Model } from "../../lib/model/model.ts";
import { openSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { train } from "../../lib/train/trainer.ts";
import { assertClose, gaussian, onBothBackends, useDevice } from "../_backends.ts";
import { collect, freshPath, parametersOf, setParameter, tokenIds, writeSmallModel } from "../_models.ts";
import { withSharedModel } from "../_shared_models.ts";
import { toyProblems } from "../_toys.ts";

const lora: Lora = { r: 2, alpha: 6, dropout: 0.25, targets: ["q", "v", "o", "gate", "down"] };

/** A base and an adapter directory for it whose numbers matter. */
async function writeAdapted(backend: "wasm" | "webgpu" = "wasm"): Promise<
  { base: string; adapter: string; logits: Float32Array }
> {
  const base = await writeSmallModel(),
    model = await loadModel(base, { backend, lora }),
    adapter = freshPath();
  adaptedProjections(model.config, lora).flatMap((p) => adapterShapes(p)).forEach(([name, shape], i) =>
    setParameter(model, name, gaussian(shape[0] * shape[1], i + 1), shape)
  );
  const logits = await model.logits(ids);
  await model.save(adapter);
  model.dispose();
  return { base, adapter, logits };
}

const ids = tokenIds(12, 4);
const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));

/** Changes fields of an adapter's config in a copy of it. */
function changed(adapter: string, fields: Record<string, unknown>): string {
  const copy = freshPath(), path = join(copy, "adapter_config.json");
  cpSync(adapter, copy, { recursive: true });
  writeFileSync(path, JSON.stringify({ ...json(path), ...fields }));
  return copy;
}

async function refused(work: Promise<Model>, message: RegExp): Promise<void> {
  await assert.rejects(work, (error: Error) => {
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

test("an adapter is written as PEFT writes it", async () => {
  const { base, adapter } = await writeAdapted();
  assert.deepEqual(readdirSync(adapter).sort(), [
    "adapter_config.json",
    "adapter_model.safetensors",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
  const config = json(join(adapter, "adapter_config.json"));
  assert.equal(config.peft_type, "LORA");
  assert.equal(config.task_type, "CAUSAL_LM");
  assert.equal(config.base_model_name_or_path, base);
  assert.deepEqual([config.r, config.lora_alpha, config.lora_dropout, config.bias], [2, 6, 0.25, "none"]);
  assert.equal(config.fan_in_fan_out, false);
  assert.deepEqual(config.target_modules, ["down_proj", "gate_proj", "o_proj", "q_proj", "v_proj"]);
  await using source = await openSafetensors(join(adapter, "adapter_model.safetensors"));
  const of = (layer: number) => (path: string, rows: number, columns: number): [string, number[]][] => [
    [`base_model.model.model.layers.${layer}.${path}.lora_A.weight`, [2, columns]],
    [`base_model.model.model.layers.${layer}.${path}.lora_B.weight`, [rows, 2]],
  ];
  const expected = [0, 1].flatMap((layer) => [
    ...of(layer)("self_attn.q_proj", 32, 32),
    ...of(layer)("self_attn.v_proj", 16, 32),
    ...of(layer)("self_attn.o_proj", 32, 32),
    ...of(layer)("mlp.gate_proj", 48, 32),
    ...of(layer)("mlp.down_proj", 32, 48),
  ]);
  assert.deepEqual(
    new Map([...source.tensors].map(([name, { shape }]) => [name, shape])),
    new Map(expected),
  );
  // The second of the stacked factors is v's.
  const stacked = gaussian(4 * 32, 1),
    path = "base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight";
  assert.deepEqual(await source.readFloats(path), stacked.slice(2 * 32));
});

withSharedModel(
  "GPT-2's fused and turned matrices, as PEFT names them",
  "golden/models/gpt2",
  async (model, backend) => {
    const all: Lora = { r: 3, alpha: 6 }, values = new Map<string, Float32Array>(), path = freshPath();
    adaptedProjections(model.config, all).flatMap((p) => adapterShapes(p)).forEach(([name, shape], i) =>
      values.set(name, gaussian(shape[0] * shape[1], i + 1).map((v) => 0.2 * v))
    );
    const base = await loadModel(model.directory, { backend, lora: all });
    for (const [name, numbers] of values) setParameter(base, name, numbers);
    const adapted = await base.logits([5, 1, 77]);
    await base.save(path);
    base.dispose();
    const config = json(join(path, "adapter_config.json"));
    assert.equal(config.fan_in_fan_out, true);
    assert.deepEqual(config.target_modules, ["attn.c_proj", "c_attn", "c_fc", "mlp.c_proj"]);
    {
      await using source = await openSafetensors(join(path, "adapter_model.safetensors"));
      const shape = (name: string) =>
        source.tensors.get(`base_model.model.transformer.h.1.${name}.weight`)?.shape;
      assert.deepEqual([shape("attn.c_attn.lora_A"), shape("attn.c_attn.lora_B")], [[3, 48], [144, 3]]);
      assert.deepEqual([shape("mlp.c_proj.lora_A"), shape("mlp.c_proj.lora_B")], [[3, 192], [48, 3]]);
    }
    const again = await loadModel(path, { backend });
    assert.deepEqual(await again.logits([5, 1, 77]), adapted);
    assert.notDeepEqual(await model.logits([5, 1, 77]), adapted);
    again.dispose();
  },
);

onBothBackends("loaded back, by its own path or beside its base, it is the same", async (backend) => {
  const { base, adapter, logits } = await writeAdapted(backend);
  for (const model of [await loadModel(adapter, { backend }), await loadModel(base, { backend, adapter })]) {
    assert.deepEqual(model.decoder.adapter!.lora, lora);
    assert.deepEqual(await model.logits(ids), logits);
    model.tokenizer.encode("pens");
    model.dispose();
  }
});

test("an adapter of another base is one clear line", async () => {
  const { adapter, base } = await writeAdapted();
  const other = async (fields: Record<string, unknown>) => await writeSmallModel({ config: fields, seed: 7 });
  await refused(
    loadModel(await other({ hidden_size: 64 }), { adapter }),
    /Cannot load adapter .*lora_A\.weight" has shape \[2, 32\], expected \[2, 64\]; it was made for another base/,
  );
  await refused(loadModel(await other({ num_hidden_layers: 3 }), { adapter }), /layers\.2\..* is missing/);
  await refused(
    loadModel(await other({ num_hidden_layers: 1 }), { adapter }),
    /no place for tensor ".*layers\.1/,
  );
  await refused(loadModel(await other({}), { adapter }), /the shapes agree but the weights differ/);
  await refused(loadModel(adapter, { adapter }), /it is an adapter itself/);
  await refused(loadModel(adapter, { lora }), /Cannot make a new adapter/);
  await refused(loadModel(base, { adapter: base }), /adapter_config\.json is missing/);
  await refused(loadModel(base, { adapter: freshPath() }), /no such directory/);
  const moved = `${base}-moved`;
  renameSync(base, moved);
  await refused(
    loadModel(adapter),
    /its base ".*" is not there; give the base as option `model` and this as option `adapter`/,
  );
  (await loadModel(moved, { adapter })).dispose();
});

test("an adapter that is not served is refused by its field", async () => {
  const { adapter } = await writeAdapted();
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ peft_type: "IA3" }, /field "peft_type" must be "LORA": got "IA3"/],
    [{ task_type: "SEQ_CLS" }, /field "task_type" must be "CAUSAL_LM"/],
    [{ use_dora: true }, /q_proj\.lora_magnitude_vector" is missing, which use_dora asks for$/],
    [{ init_lora_weights: "pissa" }, /init_lora_weights "pissa" is not supported/],
    [{ init_lora_weights: "pissa_niter_4" }, /init_lora_weights "pissa_niter_4" is not supported/],
    [{ loftq_config: { loftq_bits: 4 } }, /loftq_config \{"loftq_bits":4\} is not supported/],
    [{ alora_invocation_tokens: [1, 2] }, /alora_invocation_tokens \[1,2\] is not supported/],
    [{ target_parameters: ["experts.down"] }, /target_parameters \["experts\.down"\] is not supported/],
    [{ use_next_years_method: true }, /use_next_years_method true is not supported/],
    [{ use_next_years_scale: 2 }, /use_next_years_scale 2 is not supported/],
    [{ trainable_token_indices: [3] }, /embed_tokens\.token_adapter\.trainable_tokens_delta" is missing/],
    [
      { trainable_token_indices: [3, 3] },
      /field "trainable_token_indices" must be token ids, each once, .*: got \[3,3\]/,
    ],
    [{ trainable_token_indices: { embed_tokens: "3" } }, /field "trainable_token_indices" must be token ids/],
    [{ trainable_token_indices: 3 }, /field "trainable_token_indices" must be token ids, .*: got 3/],
    [{ trainable_token_indices: [290] }, /trainable_token_indices names token 290: the base has 290 rows/],
    [
      { trainable_token_indices: { q_proj: [3] } },
      /trainable_token_indices of "q_proj" is not supported: embedding and head/,
    ],
    [
      { trainable_token_indices: { lm_head: [3] } },
      /of "lm_head" is not supported on a base whose head is its embedding/,
    ],
    [
      { target_modules: ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj", "lm_head"] },
      /lm_head\.lora_A\.weight" is missing, which target_modules asks for/,
    ],
    [{ use_dora: "yes" }, /field "use_dora" must be true or false: got "yes"/],
    [{ use_rslora: "yes" }, /field "use_rslora" must be true or false: got "yes"/],
    [{ rank_pattern: { q_proj: 4 } }, /q_proj\.lora_A\.weight" has shape \[2, 32\], expected \[4, 32\]/],
    [{ r: 0 }, /field "r" must be a positive integer: got 0/],
    [{ r: 4 }, /has shape \[2, 32\], expected \[4, 32\]/],
    [{ base_model_name_or_path: null }, /field "base_model_name_or_path" must be a path or a name: got null/],
  ];
  for (const [fields, message] of cases) await refused(loadModel(changed(adapter, fields)), message);
});

const peft = fileURLToPath(new URL("../../../shared/cases/peft/", import.meta.url));
const skip = existsSync(peft) ? false : "no ../shared beside the repository";

test("an rsLoRA adapter of PEFT's gives PEFT's own log-probs; a PiSSA one is refused", { skip }, async () => {
  await refused(loadModel(join(peft, "base"), { adapter: join(peft, "pissa") }), /init_lora_weights "pissa"/);
  using model = await loadModel(join(peft, "base"), { backend: "wasm", adapter: join(peft, "rslora") });
  const { r } = JSON.parse(readFileSync(join(peft, "rslora/adapter_config.json"), "utf8"));
  const expected = JSON.parse(readFileSync(join(peft, "rslora/expect.json"), "utf8"));
  assert.ok(Math.sqrt(r) > 1.5, "the scale could be taken for LoRA's");
  for (const { prompt_ids, ids, logprob } of expected) {
    const found = (await model.logprobs([...prompt_ids, ...ids])).slice(-ids.length).reduce((a, b) => a + b);
    assert.ok(Math.abs(found - logprob) < 1e-4 * Math.abs(logprob), `${found}, PEFT ${logprob}`);
  }
});

test("deno task merge writes a full model with the adapter's logits", async () => {
  const { adapter, logits } = await writeAdapted(), out = freshPath();
  const task = fileURLToPath(new URL("../../tasks/merge.ts", import.meta.url));
  const leading = "Deno" in globalThis ? ["run", "-A"] : [];
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [...leading, task, "--adapter", adapter, "--out", out, ...args], {
      encoding: "utf8",
    });
  const first = run("--backend", "wasm");
  assert.equal(first.status, 0, first.stderr);
  assert.equal(first.stdout, "");
  assert.ok(existsSync(join(out, "tokenizer.json")) && !existsSync(join(out, "adapter_config.json")));
  const merged = await loadModel(out, { backend: "wasm" });
  assertClose(await merged.logits(ids), logits, 1e-4, "logits");
  merged.dispose();
  const half = run("--backend", "wasm", "--overwrite", "--dtype", "F16");
  assert.equal(half.status, 0, half.stderr);
  assert.equal(json(join(out, "config.json")).torch_dtype, "float16");
  {
    await using source = await openSafetensors(join(out, "model.safetensors"));
    assert.ok([...source.tensors.values()].every(({ dtype }) => dtype === "F16"));
  }
  const narrow = await loadModel(out, { backend: "wasm" });
  assertClose(await narrow.logits(ids), logits, 1e-2, "logits of F16 weights");
  narrow.dispose();
  const again = run();
  assert.equal(again.status, 1);
  assert.match(again.stderr, /^merge: Cannot write .*: it already exists\n$/m);
  const wrong = run("--overwrite", "--model", await writeSmallModel({ seed: 9 }));
  assert.match(wrong.stderr, /the weights differ; it was made for another base/);
});

test("training writes the adapter; a resumed run ends as one that was not interrupted", async () => {
  await useDevice("wasm");
  const base = await writeSmallModel(), whole = freshPath(), parts = freshPath();
  const options = { objective: "vft", steps: 6, batchSize: 2, learningRate: 1e-2, logEvery: 1, saveEvery: 2 };
  const trained = async (out: string, more: { stopAfter?: number; resume?: boolean } = {}) => {
    const model = await loadModel(base, { backend: "wasm", lora, seed: 3 }),
      frozen = await parametersOf(model);
    let lines = 0;
    for await (const _ of train(model, toyProblems(6), { ...options, out, resume: more.resume })) {
      if (++lines === more.stopAfter) break;
    }
    const after = await parametersOf(model);
    for (const [name, values] of frozen) {
      if (!name.includes("lora")) assert.deepEqual(after.get(name), values, name);
    }
    model.dispose();
    return after;
  };
  const expected = await trained(whole);
  assert.ok(!existsSync(join(whole, "config.json")) && !existsSync(join(whole, "model.safetensors")));
  assert.ok(existsSync(join(whole, "adapter_model.safetensors")) && existsSync(join(whole, "run.json")));
  await trained(parts, { stopAfter: 5 });
  const [step] = readdirSync(join(parts, "checkpoints")).sort().slice(-1);
  await using state = await openSafetensors(join(parts, "checkpoints", step, "state.safetensors"));
  assert.ok([...state.tensors.keys()].every((name) => /^(parameter|m|v)\..*\.lora_[ab]$/.test(name)));
  assert.deepEqual(await trained(parts, { resume: true }), expected);

  const loaded = await loadModel(whole, { backend: "wasm" }), values = await parametersOf(loaded);
  assert.deepEqual(values, expected);
  const more = await collect(train(loaded, toyProblems(6), { ...options, steps: 1, out: freshPath() }));
  assert.equal(more.length, 1); // an adapter is trained on
  loaded.dispose();
});
