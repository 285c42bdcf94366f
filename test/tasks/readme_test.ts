import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, root, run, write } from "../_commands.ts";

/** The only TypeScript block of README.md. */
function script(): string {
  const blocks = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^```ts\n([^]*?)^```$/gm)];
  assert.equal(blocks.length, 1);
  return blocks[0][1];
}

test("the script of README.md runs, with smaller numbers", async () => {
  const saved = at("script");
  // Each must be there: what is not replaced here would run as long as it does for a reader.
  const replacements: [string, string][] = [
    ['"./mod.ts"', JSON.stringify(join(root, "mod.ts"))],
    ['loadModel("fixtures/base")', 'loadModel("fixtures/base", { backend: "wasm" })'],
    ["limit: 128", "limit: 12"],
    ["limit: 64", "limit: 4"],
    ["samples: 4", "samples: 2"],
    ['"runs/script"', JSON.stringify(saved)],
  ];
  let text = script();
  for (const [original, smaller] of replacements) {
    assert.ok(text.includes(original), `README.md no longer says ${original}`);
    text = text.replace(original, smaller);
  }
  text = text.replaceAll("maxTokens: 64", "maxTokens: 24");
  assert.ok(script().trimEnd().split("\n").length <= 30);
  const { code, out, err } = await run(write("readme.ts", text), []);
  assert.equal(code, 0, err);
  assert.equal(err, "");
  assert.match(out, /^step 1: loss \d+\.\d{3}$/m);
  assert.match(out, /^VFT \{\n? +questions: 4,/m);
  assert.match(out, /^step 1: margin (-?\d+\.\d{3}|undefined)$/m);
  assert.match(out, /^AFT \{\n? +questions: 4,/m);
  assert.ok(existsSync(join(saved, "model.safetensors")));
});

test("the commands of README.md are commands", async () => {
  const text = readFileSync(join(root, "README.md"), "utf8");
  const tasks = Object.keys(JSON.parse(readFileSync(join(root, "deno.json"), "utf8")).tasks);
  const named = [...text.matchAll(/(?:deno(?:@[\d.]+)? task) ([\w:-]+)/g)].map(([, name]) => name);
  assert.ok(named.length >= 8);
  for (const name of named) assert.ok(tasks.includes(name), `deno task ${name} is no task of deno.json`);
  for (const command of ["npx -y deno@2.9.6 task align", "npx -y deno@2.9.6 task test"]) {
    assert.ok(text.slice(0, 1000).includes(command));
  }
  // Options in README.md parse; models and files of the examples need not be there.
  const commands = [
    ...text.replaceAll(/ *\\\n */g, " ").matchAll(/deno task (vft|evaluate|align) (--[^|\n`]*)/g),
  ];
  assert.ok(commands.length >= 3);
  for (const [, task, words] of commands) {
    const { code, out, err } = await run(task, [...words.split("#")[0].trim().split(/\s+/), "--dry-run"]);
    if (code === 1) assert.match(err, /: Cannot open model directory (runs|models)\//);
    else {
      assert.deepEqual([code, err], [0, ""], words);
      assert.equal(JSON.parse(out).task, task);
    }
  }
});
