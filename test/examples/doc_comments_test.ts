/** Code in doc comments: each block is typed and runs as it stands, in a checkout, and every main function has one. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { findAdapter } from "../../lib/backend/webgpu.ts";
import { at, root, run, write } from "../_commands.ts";

/** What a program begins with: each shows its use where it is declared. */
const shown = [
  "align",
  "combine",
  "evaluate",
  "generate",
  "label",
  "labelByMajority",
  "loadDataset",
  "loadModel",
  "lossOf",
  "mergeAdapter",
  "openDevice",
  "parseLora",
  "rank",
  "renderPrompt",
  "score",
  "study",
  "summarize",
  "train",
];
/** The file whose block needs an adapter, and TF.js where it is imported from. */
const webgpu = "lib/backend/tfjs.ts";

/** A block of code in a doc comment. */
interface Block {
  /** Its file and line. */
  readonly place: string;
  readonly path: string;
  readonly code: string;
  /** The function that its comment is of. */
  readonly of?: string;
}

/** The blocks of a file's text. */
function blocksOf(path: string, text: string): Block[] {
  const comments = text.matchAll(/^\/\*\*\n(?: \*.*\n)*? \*\/\n(?:export (?:async )?function\*? (\w+))?/gm);
  return [...comments].flatMap(({ 0: comment, 1: of, index: begins }) =>
    [...comment.matchAll(/^ \* ```ts\n([^]*?)^ \* ```$/gm)].map(({ 1: lines, index }) => ({
      place: `${path}:${text.slice(0, begins + index).split("\n").length}`,
      path,
      code: lines.replaceAll(/^ \* ?/gm, ""),
      of,
    }))
  );
}

const files = (readdirSync(join(root, "lib"), { recursive: true }) as string[])
  .map((path) => `lib/${path.replaceAll("\\", "/")}`).filter((path) => path.endsWith(".ts")).sort();
const blocks = ["mod.ts", ...files].flatMap((path) => blocksOf(path, readFileSync(join(root, path), "utf8")));

/** Each as a file of its own elsewhere: modules by their whole path, what it writes in a temporary folder. */
const written = blocks.map((block, i) => {
  const runs = JSON.stringify(`${at(`runs-${i}`)}/`).slice(0, -1);
  const code = block.code
    .replaceAll(/ from "\.\/([^"]+)"/g, (_, path) => ` from ${JSON.stringify(join(root, path))}`)
    .replaceAll('"runs/', () => runs);
  return { ...block, file: write(`block-${i}.ts`, code) };
});

test("blocks are found with their function and line", () => {
  const text =
    "/** One line. */\nexport const x = 1;\n\n/**\n * Two.\n *\n * ```ts\n * f();\n *\n * g();\n * ```\n */\n" +
    "export async function* f() {}\n";
  assert.deepEqual(blocksOf("a.ts", text), [
    { place: "a.ts:7", path: "a.ts", code: "f();\n\ng();\n", of: "f" },
  ]);
});

test("every function that a program begins with shows its use", () => {
  const found = new Set(blocks.map(({ of }) => of));
  assert.deepEqual(shown.filter((name) => !found.has(name)), []);
});

test("a block imports from this project as a checkout's root would, and prints", () => {
  for (const { place, code } of blocks) {
    assert.match(code, / from "\.\/(mod\.ts|lib\/(\w+\/)*\w+\.ts)"/, place);
    assert.match(code, /console\.log\(/, place);
  }
});

test("every block is typed", { skip: !("Deno" in globalThis) && "Deno checks types" }, () => {
  const config = join(root, "deno.json");
  const { status, stderr } = spawnSync(
    process.execPath,
    ["check", "-q", "--config", config, ...written.map(({ file }) => file)],
    { cwd: root, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } },
  );
  assert.equal(status, 0, stderr);
});

const { adapter } = await findAdapter();
for (const { place, path, file } of written) {
  const skip = path === webgpu && (!adapter || !("Deno" in globalThis)) &&
    "needs an adapter and Deno's WebGPU";
  test(`the code at ${place} runs`, { skip }, async () => {
    const { code, out, err } = await run(file, []);
    assert.equal(code, 0, err);
    assert.equal(err, "");
    assert.notEqual(out, "");
  });
}
