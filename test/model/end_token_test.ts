import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { generate } from "../../lib/model/generate.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import { train } from "../../lib/train/trainer.ts";
import { writeSmallModel } from "../_models.ts";

test("a model and tokenizer that name no end token: said once before training and sampling, and in the metrics", async () => {
  const path = await writeSmallModel();
  for (
    const [name, field] of [["config.json", "eos_token_id"], ["tokenizer_config.json", "eos_token"]] as const
  ) {
    const file = join(path, name), json = JSON.parse(readFileSync(file, "utf8"));
    delete json[field];
    writeFileSync(file, JSON.stringify(json));
  }
  rmSync(join(path, "generation_config.json"), { force: true });
  const model = await loadModel(path, { backend: "wasm" }), warnings: string[] = [];
  const listener = { warn: (message: string) => warnings.push(message) };
  const problem = { id: "a", question: "1+1?", reference: "2" };
  const lines = await Array.fromAsync(
    train(model, [problem], { objective: "vft", steps: 2, logEvery: 1, listener }),
  );
  assert.deepEqual(lines.map((line) => line.no_end_token), [1, 1]);
  const ends = warnings.filter((warning) => warning.startsWith("Nothing ends a response: "));
  assert.equal(ends.length, 1);
  const [group] = await Array.fromAsync(generate(model, [problem], { samples: 2, maxTokens: 4, listener }));
  assert.ok(group!.candidates.every(({ finish, tokens }) => finish === "length" && tokens === 4));
  assert.equal(warnings.filter((warning) => warning === ends[0]).length, 2);
  model.dispose();
});

test("rows of a padded embedding are never sampled", async () => {
  const path = await writeSmallModel({ config: { vocab_size: 640 } });
  const model = await loadModel(path, { backend: "wasm" }), { vocabularySize } = model.tokenizer;
  assert.ok(vocabularySize < 400);
  const problems = [{ id: "a", question: "1+1?" }, { id: "b", question: "2+2?" }];
  const options = { samples: 8, maxTokens: 12, tokenIds: true, keepDuplicates: true };
  const groups = await Array.fromAsync(generate(model, problems, options));
  const ids = groups.flatMap((group) => group.candidates.flatMap((c) => c.token_ids!));
  // A random model draws each row about as often as another.
  assert.ok(ids.length > 60 && ids.every((id) => id < vocabularySize), `${Math.max(...ids)}`);
  model.dispose();
});
