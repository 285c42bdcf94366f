/** Model directories that are wrong: one clear line each, before a backend is opened or a weight is read. */

import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadModel, type LoadModelOptions } from "../../lib/model/load_model.ts";
import { parseLora } from "../../lib/checkpoint/lora.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { tokenizerDoubts } from "../../lib/tokenizer/tokenizer_doubts.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { train } from "../../lib/train/trainer.ts";
import { run } from "../_commands.ts";
import { freshPath, writeSmallModel } from "../_models.ts";

const shared = fileURLToPath(new URL("../../../shared/", import.meta.url));
const skip = existsSync(shared) ? false : "no ../shared beside the repository";

/** A copy of a model with one thing changed. */
function spoiled(from: string, change: (directory: string) => void): string {
  const directory = freshPath();
  cpSync(from, directory, { recursive: true });
  change(directory);
  return directory;
}

function edit(path: string, change: (json: Record<string, unknown>) => void): void {
  const json = JSON.parse(readFileSync(path, "utf8"));
  change(json);
  writeFileSync(path, JSON.stringify(json));
}

/** Loading fails with that one line, and no backend was opened before. */
async function refused(
  directory: string,
  message: RegExp,
  { usage, ...options }: LoadModelOptions & { readonly usage?: boolean } = {},
): Promise<void> {
  const log: string[] = [];
  await assert.rejects(
    loadModel(directory, {
      backend: "wasm",
      listener: { note: (line) => log.push(line), warn: (line) => log.push(line) },
      ...options,
    }),
    (error: Error) => {
      assert.ok(error instanceof (usage ? UsageError : InputError), String(error.stack));
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"), error.message);
      return true;
    },
  );
  assert.deepEqual(log, []);
}

test("a config that contradicts the tensors", async () => {
  const base = await writeSmallModel(), config = (directory: string) => join(directory, "config.json");
  await refused(
    spoiled(base, (d) => edit(config(d), (json) => json.intermediate_size = 64)),
    /tensor "model\.layers\.0\.mlp\.\w+\.weight" has shape \[48, 32\]: config\.json asks for \[64, 32\] \(intermediate_size 64\)$/,
  );
  await refused(
    spoiled(base, (d) => edit(config(d), (json) => json.num_hidden_layers = 3)),
    /field "num_hidden_layers" is 3, but the weights beside it have 2 layers$/,
  );
  await refused(
    spoiled(base, (d) => edit(config(d), (json) => json.num_hidden_layers = 1)),
    /tensor "model\.layers\.1\..*" is not one of a llama model's/,
  );
});

test("a missing shard, and a header longer than the file", { skip }, async () => {
  const sharded = join(shared, "golden/models/sharded");
  await refused(
    spoiled(sharded, (d) => rmSync(join(d, "model-00002-of-00002.safetensors"))),
    /^Cannot read .*model-00002-of-00002\.safetensors: the index .* names it, but it is missing$/,
  );
  await refused(
    spoiled(await writeSmallModel(), (d) => {
      const path = join(d, "model.safetensors"), bytes = readFileSync(path);
      bytes.writeBigUInt64LE(BigInt(bytes.length), 0);
      writeFileSync(path, bytes);
    }),
    /^Cannot read .*model\.safetensors: header length must be at most the file's \d+ further bytes: got \d+$/,
  );
});

test(
  "a tokenizer of another model: ids beyond the embedding, or without the model's end",
  { skip },
  async () => {
    const stories = join(shared, "models/stories260K/tokenizer.json");
    const with_ = (base: string) => spoiled(base, (d) => cpSync(stories, join(d, "tokenizer.json")));
    await refused(
      with_(await writeSmallModel()),
      /: the model has 290 tokens, but id 511 \(".*"\) is beyond them$/,
    );
    const larger = await writeSmallModel({ config: { vocab_size: 600, eos_token_id: 599 } });
    await refused(
      with_(larger),
      /: it has no token 599, with which the model ends a text; its largest id is 511$/,
    );
  },
);

test("a tokenizer that may be another model's is told, and loaded", async () => {
  const doubts = (
    model: { vocabularySize: number; beginToken?: number; endTokens: number[] },
    found: { vocabularySize: number; beginToken?: number; endTokens: number[] },
  ) =>
    tokenizerDoubts(model, found, "d").map((line) =>
      line.replace(/^The .* of d may be another model's: /, "")
    );
  const qwen = { vocabularySize: 151_936, beginToken: 151_643, endTokens: [151_645, 151_643] };
  // Padded rows, no begin token of its own, one of two end tokens: all as Qwen2.5 is published.
  assert.deepEqual(doubts(qwen, { vocabularySize: 151_665, endTokens: [151_645] }), []);
  assert.deepEqual(doubts(qwen, { vocabularySize: 32_000, beginToken: 1, endTokens: [2] }), [
    "it has 32000 tokens, the model 151936",
    "it begins a text with token 1, the model with 151643",
    "it ends a text with token 2, the model with 151645 or 151643",
  ]);
  assert.deepEqual(
    doubts({ vocabularySize: 100, endTokens: [] }, { vocabularySize: 90, endTokens: [2] }),
    [],
  );

  const said = async (config: Record<string, unknown>) => {
    const directory = await writeSmallModel({ config }), lines: string[] = [];
    const warn = (line: string) => lines.push(line.replace(directory, "d"));
    (await loadModel(directory, { backend: "wasm", listener: { warn } })).dispose();
    return lines;
  };
  assert.deepEqual(await said({}), []);
  assert.deepEqual(await said({ vocab_size: 330, bos_token_id: 5 }), [
    "The tokenizer of d may be another model's: it has 280 tokens, the model 330",
    "The tokenizer of d may be another model's: it begins a text with token 1, the model with 5",
  ]);
});

test("tensors that the family has no use for are refused, or kept through training", async () => {
  const base = await writeSmallModel({ context: 256 });
  const path = join(base, "model.safetensors"), extra = "score.weight";
  const tensors: TensorToWrite[] = [];
  {
    await using source = await openSafetensors(path);
    for (const [name, info] of source.tensors) {
      const bytes = await source.readBytes(name);
      tensors.push({ name, ...info, bytes: () => bytes });
    }
  }
  const bytes = Uint8Array.of(1, 2, 3, 4);
  await writeSafetensors(path, [...tensors, { name: extra, dtype: "I8", shape: [4], bytes: () => bytes }]);
  await refused(
    base,
    /tensor "score\.weight" is not one of a llama model's; option `unknown: keep` carries it along unchanged$/,
  );
  const out = freshPath();
  const args = ["--model", base, "--data", "arithmetic", "--limit", "1", "--steps", "1", "--out", out];
  const wasm = ["--backend", "wasm", "--quiet"];
  const no = await run("vft", [...args, ...wasm]);
  assert.deepEqual([no.code, existsSync(out)], [1, false]);
  assert.match(
    no.err,
    /^vft: .*"score\.weight" is not one of a llama model's; --unknown-tensors keep carries it along unchanged\n$/,
  );
  const yes = await run("vft", [...args, ...wasm, "--unknown-tensors", "keep"]);
  assert.equal(yes.code, 0, yes.err);
  await using written = await openSafetensors(join(out, "model.safetensors"));
  assert.equal(written.tensors.get(extra)?.dtype, "I8");
  assert.deepEqual(await written.readBytes(extra), bytes);
});

test("a LoRA target that does not exist, in the option and in the model", { skip }, async () => {
  assert.throws(() => parseLora("targets=q,gates"), /unknown target "gates", .*: did you mean gate\?$/);
  await refused(join(shared, "golden/models/gpt2"), /gate/, {
    lora: parseLora("targets=gate"),
    usage: true,
  });
});

test("an adapter of another base, of the same shapes or of others", async () => {
  const base = await writeSmallModel({ seed: 1 }), adapter = freshPath();
  const model = await loadModel(base, { backend: "wasm", lora: { r: 2, alpha: 4 } });
  const records = [{ id: "a", question: "1+1?", reference: "2" }];
  await Array.fromAsync(train(model, records, { objective: "vft", steps: 1, out: adapter, saveEvery: 0 }));
  model.dispose();
  const twin = await writeSmallModel({ seed: 2 });
  await refused(
    twin,
    /^Cannot load adapter .*: the shapes agree but the weights differ; it was made for another/,
    {
      adapter,
    },
  );
  const other = await writeSmallModel({ config: { num_hidden_layers: 3 } });
  await refused(other, /^Cannot load adapter .*; it was made for another base, /, { adapter });
  await refused(
    spoiled(adapter, (d) => {
      edit(join(d, "adapter_config.json"), (json) => json.base_model_name_or_path = "/nowhere/base");
    }),
    /^Cannot load adapter .*: its base "\/nowhere\/base" is not there; give the base as option `model` and this as option `adapter`$/,
  );
});
