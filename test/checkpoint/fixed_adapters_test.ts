/** Adapters that are served and not trained: DoRA, single tokens, an update of the head. Their numbers: test/golden. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { loadModel } from "../../lib/model/load_model.ts";
import { mergeAdapter } from "../../lib/model/merge.ts";
import { memoryPlan } from "../../lib/model/memory.ts";
import { modelDigest } from "../../lib/model/digests.ts";
import { train } from "../../lib/train/trainer.ts";
import { assertClose } from "../_backends.ts";
import { run } from "../_commands.ts";
import { collect, freshPath, tokenIds, writeSmallModel } from "../_models.ts";
import { toyProblems } from "../_toys.ts";
import { changedModel, type Numbers, numbers, writePeft } from "./_peft.ts";

const ids = tokenIds(9, 2), prefix = "base_model.model.", q = `${prefix}model.layers.0.self_attn.q_proj`;
const rowsOf = `${prefix}model.embed_tokens.token_adapter.trainable_tokens_delta`;
const factors = { [`${q}.lora_A.weight`]: numbers(1, 2, 32), [`${q}.lora_B.weight`]: numbers(2, 32, 2) };
const targets = { target_modules: ["layers.0.self_attn.q_proj"] };

/** DoRA on one projection of a base. */
async function dora(tensors: Record<string, Numbers> = {}): Promise<{ base: string; adapter: string }> {
  const base = await writeSmallModel({ seed: 3 });
  const adapter = await writePeft(base, { ...targets, use_dora: true }, {
    ...factors,
    [`${q}.lora_magnitude_vector`]: numbers(3, 32),
    ...tensors,
  });
  return { base, adapter };
}

test("DoRA with B = 0 and a row of length 5 gives the base's row stretched to 5", async () => {
  const lengths = numbers(3, 32);
  lengths.values.fill(5);
  const zero = numbers(2, 32, 2);
  zero.values.fill(0);
  const { base, adapter } = await dora({
    [`${q}.lora_B.weight`]: zero,
    [`${q}.lora_magnitude_vector`]: lengths,
  });
  const full = await changedModel(base, (stored) => {
    const { values } = stored.get("model.layers.0.self_attn.q_proj.weight")!;
    for (let i = 0; i < 32; i++) {
      const row = values.subarray(32 * i, 32 * (i + 1)), length = Math.hypot(...row);
      row.forEach((value, j) => row[j] = 5 * value / length);
    }
  });
  using model = await loadModel(adapter, { backend: "wasm" }),
    expected = await loadModel(full, { backend: "wasm" });
  assertClose(await model.logits(ids), await expected.logits(ids), 1e-5, "logits");
});

test("names of older versions and of a named adapter; a base in 8 bits; merged in memory", async () => {
  const { base, adapter } = await dora();
  using model = await loadModel(adapter, { backend: "wasm" });
  const logits = await model.logits(ids);
  const named = await writePeft(base, { ...targets, use_dora: true }, {
    ...factors,
    [`${q}.lora_magnitude_vector.default.weight`]: numbers(3, 32),
  });
  using other = await loadModel(named, { backend: "wasm" });
  assert.deepEqual(await other.logits(ids), logits);

  using narrow = await loadModel(adapter, { backend: "wasm", baseDtype: "int8" });
  const near = await narrow.logits(ids);
  assertClose(near, logits, 0.1, "logits of a base in 8 bits");
  assert.notDeepEqual(near, logits);

  using plain = await loadModel(base, { backend: "wasm" });
  const digest = await modelDigest(plain), own = await modelDigest(model);
  assert.notEqual(own, digest);
  model.adapterEnabled = false;
  assert.equal(await modelDigest(model), digest);
  model.adapterEnabled = true;
  await model.merge();
  assert.deepEqual(await model.logits(ids), logits);
  assert.equal(model.decoder.adapter, undefined);
});

test("rows of tokens are the head's too where both are one, and merge into one", async () => {
  const base = await writeSmallModel({ seed: 3 }), rows = numbers(5, 2, 32);
  const adapter = await writePeft(base, { ...targets, trainable_token_indices: [4, 9] }, {
    ...factors,
    [rowsOf]: rows,
  });
  using model = await loadModel(adapter, { backend: "wasm" });
  const logits = await model.logits([4, 9, 4]), merged = freshPath();
  await mergeAdapter(merged, { base, adapter, backend: "wasm" });
  using whole = await loadModel(merged, { backend: "wasm" });
  assertClose(await whole.logits([4, 9, 4]), logits, 1e-5, "logits");
  assert.equal(whole.config.tiedHead, true);
  const table = await whole.parameterValues("embedding");
  assert.deepEqual([...table.subarray(9 * 32, 10 * 32)], [...rows.values.subarray(32)]);
});

test("what cannot be trained is refused before anything is computed; it is not written either", async () => {
  const { adapter, base } = await dora(), out = freshPath();
  const vft = await run("vft", [
    "--model",
    adapter,
    "--data",
    "arithmetic",
    "--limit",
    "2",
    "--out",
    out,
  ]);
  assert.equal(vft.code, 2, vft.err);
  assert.match(
    vft.err,
    /Cannot train an adapter with use_dora: it is served as it is; merge it with its base/,
  );
  using model = await loadModel(adapter, { backend: "wasm" });
  await assert.rejects(
    collect(train(model, toyProblems(2), { objective: "vft", steps: 1 })),
    /with use_dora/,
  );
  await assert.rejects(model.save(out), /Cannot write an adapter with use_dora: .* merge it with its base/);
  await assert.rejects(
    loadModel(base, { lora: { r: 2, alpha: 4, fixed: { magnitudes: true } } }),
    /unknown key "fixed"/,
  );
  const { lora } = model.decoder.adapter!, task = "score";
  const without = memoryPlan(model.config, { task }), planned = memoryPlan(model.config, { task, lora });
  assert.equal(
    planned.bytes.weights - without.bytes.weights,
    4 * 64 * 32,
    "bytes of the adapter's own q, k and v",
  );
});

test("two ways to change one matrix, and tensors that the config does not want, are refused by name", async () => {
  const base = await writeSmallModel({ seed: 3 }), head = `${prefix}lm_head`;
  const refused = async (
    config: Record<string, unknown>,
    tensors: Record<string, Numbers>,
    message: RegExp,
  ) => {
    const adapter = await writePeft(base, { ...targets, ...config }, { ...factors, ...tensors });
    await assert.rejects(loadModel(adapter, { backend: "wasm" }), message);
  };
  const lowRank = {
    [`${head}.lora_A.weight`]: numbers(1, 2, 32),
    [`${head}.lora_B.weight`]: numbers(2, 290, 2),
  };
  const q2 = { target_modules: ["layers.0.self_attn.q_proj", "lm_head"] };
  await refused(
    { ...q2, modules_to_save: ["lm_head"] },
    { ...lowRank, [`${head}.weight`]: numbers(3, 290, 32) },
    /it has the head twice: as a whole \(modules_to_save\), and as a low-rank update/,
  );
  await refused(
    { ...q2, trainable_token_indices: [1] },
    { ...lowRank, [rowsOf]: numbers(3, 1, 32) },
    /it has the head twice: as a low-rank update, and as rows of single tokens \(trainable_token_indices\)/,
  );
  await refused(
    { modules_to_save: ["embed_tokens"], trainable_token_indices: [1] },
    { [`${prefix}model.embed_tokens.weight`]: numbers(3, 290, 32), [rowsOf]: numbers(3, 1, 32) },
    /it has the embedding twice: as a whole \(modules_to_save\), and as rows of single tokens/,
  );
  await refused({}, lowRank, /lm_head\.lora_A\.weight" lies where adapter_config\.json wants no update/);
  await refused(
    { ...q2, ensure_weight_tying: true },
    lowRank,
    /ensure_weight_tying true is not supported on a base whose head is its embedding/,
  );
  await refused(
    { trainable_token_indices: [1, 2] },
    { [rowsOf]: numbers(3, 1, 32) },
    /trainable_tokens_delta" has shape \[1, 32\], expected \[2, 32\]/,
  );
  await refused(
    { use_dora: true },
    { [`${q}.lora_magnitude_vector`]: numbers(3, 1, 32) },
    /lora_magnitude_vector" has shape \[1, 32\], expected \[32\]/,
  );
  await refused(
    { use_dora: true },
    {
      [`${q}.lora_magnitude_vector`]: numbers(3, 32),
      [`${q.replace("q_", "k_")}.lora_magnitude_vector`]: numbers(3, 16),
    },
    /k_proj\.lora_magnitude_vector" lies where no matrix has an update/,
  );
});

test("a row of zeros has no direction", async () => {
  const base = await writeSmallModel({ seed: 3 });
  const empty = await changedModel(
    base,
    (stored) => void stored.get("model.layers.0.self_attn.q_proj.weight")!.values.fill(0, 0, 32),
  );
  const zero = numbers(2, 32, 2);
  zero.values.fill(0);
  const adapter = await writePeft(empty, { ...targets, use_dora: true }, {
    ...factors,
    [`${q}.lora_B.weight`]: zero,
    [`${q}.lora_magnitude_vector`]: numbers(3, 32),
  });
  await assert.rejects(
    loadModel(adapter, { backend: "wasm" }),
    /Cannot give vector 0 of "model\.layers\.0\.self_attn\.q_proj" a length \(use_dora\): it is zero/,
  );
});
