/** Commands that only read leave a folder as it is, whatever names in it are taken. */

import assert from "node:assert/strict";
import { cpSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { at, base, inPairs, lines, root, run } from "../_commands.ts";

const endings = ["old", "partial", "tmp", "lock", "bak", "incomplete"];

/** Takes every name beside a path, and in it where it is a directory, that a writer might think of. */
function surround(path: string, inside = false): void {
  const name = inside ? "model" : basename(path), folder = inside ? path : dirname(path);
  const names = endings.flatMap((
    ending,
  ) => [`${name}.${ending}`, `.${name}.${ending}`, `.${name}.0a1b2c3d.${ending}`]);
  for (const taken of names) {
    mkdirSync(join(folder, taken));
    writeFileSync(join(folder, taken, "photo"), taken);
  }
}

/** Every path below a folder, with what tells whether it was touched. */
function tree(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).sort().map((name) => {
    const status = lstatSync(join(folder, name)),
      content = status.isFile() ? readFileSync(join(folder, name)) : "";
    return `${name} ${status.ino} ${status.mtimeMs} ${content.length} ${status.isFile() && status.size}`;
  });
}

test("a command that reads changes nothing where it reads", async () => {
  const folder = at("reading"), model = join(folder, "X"), problems = join(folder, "problems.jsonl");
  cpSync(join(root, base), model, { recursive: true });
  writeFileSync(
    problems,
    lines([{ id: "p", question: "2 + 2", answer: "4", reference: "4", candidates: ["4", "5"] }]),
  );
  for (const path of [model, problems]) surround(path);
  surround(model, true);
  const before = tree(folder), out = join(folder, "never");
  const reading = ["--model", model, "--backend", "wasm", "--quiet"];
  const commands: [string, string[]][] = [
    ["generate", [...reading, "--data", problems, "--samples", "1", "--max-tokens", "2"]],
    ["score", [...reading, "--data", problems]],
    ["evaluate", [...reading, "--data", problems, "--max-tokens", "2"]],
    ["doctor", []],
    ...["generate", "score", "evaluate"].map((task): [string, string[]] => [
      task,
      [...reading, "--data", problems, "--dry-run"],
    ]),
    ["vft", [...reading, "--data", problems, "--out", out, "--dry-run"]],
    ["ca-align", [...reading, "--input", problems, "--out", out, "--dry-run"]],
    ["align", [...reading, "--data", problems, "--test-data", problems, "--out", out, "--dry-run"]],
  ];
  await inPairs(commands, async ([task, words]) => {
    const { code, err } = await run(task, words);
    assert.equal(code, 0, `${task} ${words.join(" ")}: ${err}`);
  });
  assert.deepEqual(tree(folder), before);
});

test("a model that is not there is not brought back from a name that another tool chose", async () => {
  const folder = at("gone"), model = join(folder, "X");
  cpSync(join(root, base), `${model}.old`, { recursive: true });
  const before = tree(folder);
  const words = ["--model", model, "--data", "arithmetic"];
  const { code, err } = await run("generate", words);
  assert.deepEqual([code, err], [
    1,
    `generate: Cannot open model directory ${model}: no such directory, and no name of a model on the hub (ORG/NAME or ORG/NAME@REVISION): did you mean ${model}.old?\n`,
  ]);
  assert.deepEqual(tree(folder), before);
  // A replacement of ours that was cut off: its reader says where the content is, and leaves it there.
  const backup = join(folder, ".X.0a1b2c3d.old");
  mkdirSync(backup);
  writeFileSync(join(backup, "replaced.json"), '{"replaces":"X"}');
  renameSync(`${model}.old`, join(backup, "before"));
  const cut = tree(folder);
  const again = await run("generate", words);
  assert.equal(again.code, 1);
  assert.match(
    again.err,
    /^generate: Cannot open model directory [^\n]*X: no such directory; a process that was replacing it was killed, and what it held is in [^\n]*\.X\.0a1b2c3d\.old.before: move that back\n$/,
  );
  assert.deepEqual(tree(folder), cut);
});
