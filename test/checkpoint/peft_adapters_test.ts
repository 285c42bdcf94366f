/** Adapters with patterns, layers, trained embeddings, heads and norms: PEFT's rules, by hand. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadModel } from "../../lib/model/load_model.ts";
import { mergeAdapter } from "../../lib/model/merge.ts";
import { train } from "../../lib/train/trainer.ts";
import { assertClose, onBothBackends } from "../_backends.ts";
import { collect, freshPath, parametersOf, tokenIds, writeSmallModel } from "../_models.ts";
import { toyProblems } from "../_toys.ts";
import {
  addUpdate,
  changedModel,
  type Numbers,
  numbers,
  readTensorsByName,
  turned,
  writePeft,
} from "./_peft.ts";

const ids = tokenIds(12, 4), prefix = "base_model.model.";
const columnsOf: Readonly<Record<string, [rows: number, columns: number]>> = {
  q_proj: [32, 32],
  k_proj: [16, 32],
  v_proj: [16, 32],
  o_proj: [32, 32],
  gate_proj: [48, 32],
  up_proj: [48, 32],
  down_proj: [32, 48],
};

/** An update that a case has: its module, and the rank and scale that PEFT gives it. */
interface Update {
  readonly module: string;
  readonly r: number;
  readonly scale: number;
}

const inLayer = (layer: number, name: string) =>
  `model.layers.${layer}.${/gate|up|down/.test(name) ? "mlp" : "self_attn"}.${name}`;
const updates = (layers: readonly number[], names: readonly string[], r: number, scale: number): Update[] =>
  layers.flatMap((layer) => names.map((name) => ({ module: inLayer(layer, name), r, scale })));

/** Tensors of updates as PEFT names them. */
function factors(list: readonly Update[]): Record<string, Numbers> {
  return Object.fromEntries(list.flatMap(({ module, r }, i) => {
    const [rows, columns] = columnsOf[module.split(".").at(-1)!]!;
    return [
      [`${prefix}${module}.lora_A.weight`, numbers(2 * i + 1, r, columns)],
      [`${prefix}${module}.lora_B.weight`, numbers(2 * i + 2, rows, r)],
    ];
  }));
}

/** A case: the config's fields, the updates that follow from them by PEFT's rules, whole tensors. */
interface Case {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly updates: readonly Update[];
  readonly whole?: Readonly<Record<string, Numbers>>;
  readonly embedding?: { readonly r: number; readonly scale: number };
}

const norms = (seed: number) => numbers(seed, 32);
const cases: readonly Case[] = [
  {
    name: "a rank by the end of the path, an alpha by a regular expression; the first that fits counts",
    config: {
      target_modules: ["q_proj", "v_proj", "up_proj"],
      rank_pattern: { "layers.0.self_attn.q_proj": 1, "q_proj": 3, "roj": 7 },
      alpha_pattern: { "layers\\.\\d+\\.mlp\\..*": 10, "(?P<x>v_proj|o_proj)": 1 },
    },
    updates: [
      { module: inLayer(0, "q_proj"), r: 1, scale: 4 },
      { module: inLayer(1, "q_proj"), r: 3, scale: 4 / 3 },
      ...updates([0, 1], ["v_proj"], 2, 0.5),
      ...updates([0, 1], ["up_proj"], 2, 5),
    ],
  },
  {
    name: "rsLoRA divides by the root of each module's own rank",
    config: { target_modules: ["q_proj", "k_proj"], use_rslora: true, rank_pattern: { k_proj: 9 } },
    updates: [...updates([0, 1], ["q_proj"], 2, 4 / Math.SQRT2), ...updates([0, 1], ["k_proj"], 9, 4 / 3)],
  },
  {
    name: "some layers",
    config: { target_modules: ["v_proj", "down_proj"], layers_to_transform: [1], layers_pattern: "layers" },
    updates: updates([1], ["v_proj", "down_proj"], 2, 2),
  },
  {
    name: "modules that no list of targets and layers names, by a regular expression",
    config: {
      target_modules: ".*\\.0\\.self_attn\\.(q|v)_proj|model\\.layers\\.1\\.mlp\\.gate_proj",
      init_lora_weights: "eva",
    },
    updates: [...updates([0], ["q_proj", "v_proj"], 2, 2), ...updates([1], ["gate_proj"], 2, 2)],
  },
  {
    name: "all but what is excluded",
    config: { target_modules: "all-linear", exclude_modules: ["o_proj"], init_lora_weights: "orthogonal" },
    updates: updates([0, 1], ["q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "down_proj"], 2, 2),
  },
  {
    name: "a trained embedding whose head stays the base's",
    config: { target_modules: ["q_proj"], modules_to_save: ["embed_tokens"] },
    updates: updates([0, 1], ["q_proj"], 2, 2),
    whole: { "model.embed_tokens.weight": numbers(71, 290, 32) },
  },
  {
    name: "a trained embedding, a trained head and norms",
    config: {
      target_modules: ["o_proj"],
      modules_to_save: ["embed_tokens", "lm_head", "layernorm", "model.norm"],
    },
    updates: updates([0, 1], ["o_proj"], 2, 2),
    whole: {
      "model.embed_tokens.weight": numbers(72, 290, 32),
      "lm_head.weight": numbers(73, 290, 32),
      "model.norm.weight": norms(74),
      "model.layers.0.input_layernorm.weight": norms(75),
      "model.layers.0.post_attention_layernorm.weight": norms(76),
      "model.layers.1.input_layernorm.weight": norms(77),
      "model.layers.1.post_attention_layernorm.weight": norms(78),
    },
  },
  {
    name: "an update of the embedding, with a rank of its own",
    config: { target_modules: ["v_proj", "embed_tokens"], rank_pattern: { embed_tokens: 3 } },
    updates: updates([0, 1], ["v_proj"], 2, 2),
    embedding: { r: 3, scale: 4 / 3 },
  },
];

/** A case's base, adapter and the full model that both are, worked out one number at a time. */
async function made(one: Case): Promise<{ base: string; adapter: string; full: string }> {
  const base = await writeSmallModel({ seed: 3 }), tensors = factors(one.updates);
  const a = one.embedding && numbers(81, one.embedding.r, 290),
    b = one.embedding && numbers(82, 32, one.embedding.r);
  const adapter = await writePeft(base, one.config, {
    ...tensors,
    ...(a && b && {
      [`${prefix}model.embed_tokens.lora_embedding_A`]: a,
      [`${prefix}model.embed_tokens.lora_embedding_B`]: b,
    }),
    ...Object.fromEntries(Object.entries(one.whole ?? {}).map(([name, value]) => [prefix + name, value])),
  });
  const full = await changedModel(base, (stored) => {
    const embedding = stored.get("model.embed_tokens.weight")!;
    stored.set("lm_head.weight", embedding);
    for (const { module, scale } of one.updates) {
      const [a, b] = ["A", "B"].map((f) => tensors[`${prefix}${module}.lora_${f}.weight`]!) as [
        Numbers,
        Numbers,
      ];
      stored.set(`${module}.weight`, addUpdate(stored.get(`${module}.weight`)!, { a, b, scale }));
    }
    for (const [name, value] of Object.entries(one.whole ?? {})) stored.set(name, value);
    if (a && b) {
      const update = { a: turned(b), b: turned(a), scale: one.embedding!.scale };
      stored.set("model.embed_tokens.weight", addUpdate(embedding, update));
    }
  }, { tie_word_embeddings: false });
  return { base, adapter, full };
}

for (const one of cases) {
  onBothBackends(one.name, async (backend) => {
    const { base, adapter, full } = await made(one);
    using model = await loadModel(adapter, { backend }), expected = await loadModel(full, { backend });
    const logits = await expected.logits(ids), found = await model.logits(ids);
    assertClose(found, logits, 2e-5, "logits");
    using plain = await loadModel(base, { backend });
    const before = await plain.logits(ids);
    assert.ok(found.some((value, i) => Math.abs(value - before[i]!) > 0.05), "the adapter changes nothing");
    model.adapterEnabled = false;
    assert.deepEqual(await model.logits(ids), before);
    model.adapterEnabled = true;

    const merged = freshPath(), again = freshPath();
    await mergeAdapter(merged, { base, adapter, backend });
    using whole = await loadModel(merged, { backend });
    assertClose(await whole.logits(ids), logits, 2e-5, "merged logits");
    // Written again, it is the same adapter to PEFT: the same tensors, and the fields that say where and how.
    await model.save(again);
    assert.deepEqual(
      await readTensorsByName(join(again, "adapter_model.safetensors")),
      await readTensorsByName(join(adapter, "adapter_model.safetensors")),
    );
    using reread = await loadModel(again, { backend });
    assert.deepEqual(reread.decoder.adapter!.lora, model.decoder.adapter!.lora);
    assert.deepEqual(await reread.logits(ids), found);
  });
}

test("trained on, the adapter alone changes, and what is written loads as it was left", async () => {
  for (const one of cases) {
    const { base, adapter } = await made(one), out = freshPath();
    using model = await loadModel(adapter, { backend: "wasm" });
    const before = await parametersOf(model);
    const steps = { objective: "vft", steps: 2, batchSize: 2, learningRate: 1e-2, out };
    await collect(train(model, toyProblems(4), steps));
    const after = await parametersOf(model);
    for (const [name, values] of before) {
      const own = /\.(lora_[ab]|saved)$/.test(name);
      assert.equal(values.some((value, i) => value !== after.get(name)![i]), own, `${one.name}: ${name}`);
    }
    using loaded = await loadModel(out, { backend: "wasm" });
    assert.deepEqual(await parametersOf(loaded), after, one.name);
    const config = JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"));
    assert.deepEqual(config.rank_pattern, one.config.rank_pattern ?? {});
    assert.deepEqual(config.alpha_pattern, one.config.alpha_pattern ?? {});
    assert.equal(config.base_model_name_or_path, base);
  }
});
