/** Every example runs as its first lines say, and does what they promise. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, root, run } from "../_commands.ts";

/** What each prints, and what it leaves behind in its directory. */
const expected: Readonly<
  Record<
    string,
    { readonly says: readonly RegExp[]; readonly warns?: RegExp; readonly writes?: readonly string[] }
  >
> = {
  "align_as_function.ts": {
    says: [/^vft step 1: loss \d\.\d{3}$/m, /^aft-bc step 1: loss /m, /^\S+ (0|1|0\.\d+)$/m],
    warns: /^(aft-bc: \d+ of 16 groups have no better and worse candidate: they add no alignment loss\n)?$/,
    writes: ["align.json"],
  },
  "lora_and_merge.ts": {
    says: [/^step 1: loss \d\.\d{3}$/m, /^Wrote .*merged$/m],
    writes: ["adapter/adapter_config.json", "merged/model.safetensors"],
  },
  "own_data.ts": { says: [/^step 1: loss \d\.\d{3}$/m, /^accuracy [\d.]+ on 8 questions$/m] },
  "own_objective.ts": { says: [/^step 1: loss \d\.\d{3}$/m] },
  "pipe_in_memory.ts": { says: [/^arithmetic-train-3 \[$/m, /rank: 1/] },
  "score_with_another_model.ts": { says: [/^step 1: loss 0\.\d{3}$/m] },
  "tfjs_program.ts": {
    says: [/^TF\.js has .*\[ ?1, 4, 9 ?\]\nand we have .*\[ ?1, 4, 9 ?\]$|found no adapter/m],
  },
  "two_devices.ts": {
    says: [/^wasm and webgpu: at most \d\.\de-[5-9] nats apart$|^wasm alone: .*found no adapter/m],
  },
};

const imported = ["../mod.ts", "../lib/backend/tfjs.ts", "@tensorflow/tfjs"];

test("every example has its line here, says how to run it, and imports what the package exports", () => {
  const files = readdirSync(join(root, "examples"));
  assert.deepEqual(files.sort(), Object.keys(expected).sort());
  for (const file of files) {
    const text = readFileSync(join(root, "examples", file), "utf8");
    assert.ok(text.includes(`deno run -A examples/${file}`), file);
    for (const [, from] of text.matchAll(/ from "([^"]+)"/g)) {
      assert.ok(imported.includes(from) || from.startsWith("node:"), `${file} imports ${from}`);
    }
  }
});

for (const [file, { says, warns = /^$/, writes = [] }] of Object.entries(expected)) {
  test(`examples/${file} runs`, async () => {
    const out = at(file.replace(".ts", ""));
    const result = await run(`examples/${file}`, [out]);
    assert.equal(result.code, 0, result.err);
    assert.match(result.err, warns);
    for (const line of says) assert.match(result.out, line);
    for (const name of writes) assert.ok(existsSync(join(out, name)), name);
  });
}
