import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadModel } from "../../lib/model/load_model.ts";
import { type ModelCard, modelCard, readCardHead, shellCommand } from "../../lib/checkpoint/model_card.ts";
import { train } from "../../lib/train/trainer.ts";
import { freshPath, writeSmallModel } from "../_models.ts";

const plain: ModelCard = {
  base: "org/smol",
  revision: "abc",
  baseModel: "org/smol",
  license: "apache-2.0",
  objective: "aft",
  options: { constraint: "bc", beta: 0.25 },
  data: ["gsm8k", "aqua"],
  records: 7473,
  settings: { Seed: 3 },
  figures: { step: 100, loss: 1.2345678, margin: undefined },
  command: "deno task ca-align --model org/smol",
  versions: { runtime: "deno 2.9.6" },
};

test("a card by hand", () => {
  assert.equal(
    modelCard(plain),
    `---
base_model: "org/smol"
library_name: "transformers"
license: "apache-2.0"
pipeline_tag: "text-generation"
tags: ["alignment-fine-tuning","aft","reasoning"]
---

# smol trained with aft

A causal language model, fine-tuned from org/smol on chains of thought by Alignment Fine-Tuning.

| | |
|---|---|
| Base | org/smol at abc |
| Data | 7473 records of gsm8k, aqua |
| Objective | aft, constraint bc, beta 0.25 |
| Seed | 3 |

## The last step

Measured on the training batch, so they say little of other problems. Scores are log-probs in nats per token.

| | |
|---|---|
| step | 100 |
| loss | 1.2346 |

## Command

\`\`\`sh
deno task ca-align --model org/smol
\`\`\`

## Versions

| | |
|---|---|
| runtime | deno 2.9.6 |
`,
  );
  const bare = modelCard({ base: "b", objective: "vft", data: [], records: 1, settings: {}, adapter: true });
  assert.ok(!/base_model|license|## /.test(bare));
  assert.match(bare, /library_name: "peft"[^]*"lora"\]\n/);
});

test("what a value holds stays a value", () => {
  const evil = '"x"\n---\n<script>|`*_[a](b)';
  const text = modelCard({
    ...plain,
    base: evil,
    baseModel: evil,
    data: [evil],
    command: "echo '```'\n```\n# Title",
  });
  const lines = text.split("\n");
  assert.equal(lines.filter((line) => line === "---").length, 2); // the head's two, none of the value's
  assert.equal(JSON.parse(lines[1].replace("base_model: ", "")), evil);
  assert.ok(!lines.slice(lines.lastIndexOf("---")).join().includes("<script>"));
  const row = lines.find((line) => line.startsWith("| Data"))!;
  assert.equal(row.replace(/\\./g, "").split("|").length, 4); // a bar in a cell makes no column
  assert.equal(lines.filter((line) => line.startsWith("````")).length, 2); // a fence longer than what it holds
});

test("words are quoted for a shell", () => {
  const words = ["deno", "task", "vft", "--template", "It's {question}", "--data", "a/b.jsonl", "--x", ""];
  assert.equal(
    shellCommand(words),
    `deno task vft --template 'It'\\''s {question}' --data a/b.jsonl --x ''`,
  );
});

test("a head is read where it is plain", () => {
  assert.deepEqual(readCardHead(modelCard(plain)), { license: "apache-2.0", baseModel: "org/smol" });
  assert.deepEqual(readCardHead("---\nlicense: mit\nbase_model:\n- a/b\n---\n# license: gpl\n"), {
    license: "mit",
  });
  assert.deepEqual(readCardHead("# license: mit\n"), {});
  assert.deepEqual(readCardHead('---\nlicense: "a: b"\n---\n'), {});
});

test("training leaves a card, whole model or adapter, and carries base and licence on", async () => {
  const base = await writeSmallModel(), first = freshPath(), second = freshPath();
  writeFileSync(join(base, "README.md"), "---\nlicense: mit\n---\nOld words\n");
  const records = [{ id: "a", question: "1+1?", reference: "2", dataset: "sums" }];
  const settings = { objective: "vft", steps: 2, saveEvery: 0, learningRate: 1e-3 };
  const configuration = {
    task: "vft",
    version: "9.9",
    options: { model: base, quiet: true, limit: null, "few-shot": "a b" },
  };
  let model = await loadModel(base, { backend: "wasm" });
  const [metrics] = (await Array.fromAsync(train(model, records, { ...settings, configuration, out: first })))
    .slice(-1);
  model.dispose();
  const card = readFileSync(join(first, "README.md"), "utf8");
  assert.match(card, /license: "mit"\n/);
  assert.match(card, new RegExp(`^deno task vft --model ${base} --quiet --few-shot 'a b'$`, "m"));
  assert.match(card, /\| Data \| 1 records of sums \|/);
  assert.match(card, /\| alignment-fine-tuning \| 9\.9 \|/);
  assert.ok(card.includes(`| loss | ${Number(metrics.loss.toPrecision(5))} |`));
  assert.ok(!card.includes("Old words") && !card.includes("base_model"));

  writeFileSync(join(first, "README.md"), card.replace("---\n", "---\nbase_model: org/root\n"));
  model = await loadModel(first, { backend: "wasm", lora: { r: 2, alpha: 4 } });
  await Array.fromAsync(train(model, records, { ...settings, out: second }));
  model.dispose();
  const adapter = readFileSync(join(second, "README.md"), "utf8");
  assert.match(adapter, /base_model: "org\/root"\nlibrary_name: "peft"\nlicense: "mit"/);
  assert.match(adapter, /\| LoRA \| \{"r":2,"alpha":4/);
});
