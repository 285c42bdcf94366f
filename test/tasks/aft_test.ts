/** The one command with the tasks as sub-commands, run as a user runs it. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync } from "node:fs";
import { delimiter, dirname } from "node:path";
import process from "node:process";
import { test } from "node:test";
import manifest from "../../package.json" with { type: "json" };
import { at, base, commandOf, run, shell, write } from "../_commands.ts";

test("aft --help lists every task, and fits a terminal of 80 columns", async () => {
  const { code, out, err } = await run("aft", ["--help"]);
  assert.deepEqual([code, err], [0, ""]);
  const listed = out.split("\nCommands:\n")[1].split("\n\n")[0].split("\n").map((line) =>
    line.trim().split(" ")[0]
  );
  const tasks = Object.entries(manifest.scripts).filter(([, command]) => command.startsWith("bun tasks/"))
    .map(([name]) => name);
  assert.deepEqual(listed.sort(), tasks.sort());
  for (const line of out.split("\n")) assert.ok(line.length <= 80, line);
  const version = await run("aft", ["--version"]);
  assert.match(version.out, /^@aft\/alignment-fine-tuning \d+\.\d+\.\d+ \((deno|bun|node) [\d.]+\)\n$/);
});

test("a word that is no command is refused with the nearest one, and code 2", async () => {
  const { code, out, err } = await run("aft", ["generat"]);
  assert.deepEqual([code, out], [2, ""]);
  assert.equal(err, 'aft: Unknown command "generat": did you mean generate?; see aft --help\n');
  // Names that every object has are no commands.
  for (const word of ["constructor", "__proto__", ""]) assert.equal((await run("aft", [word])).code, 2, word);
});

test("a sub-command is the task: its help says aft, its errors and codes are the task's", async () => {
  const help = await run("aft", ["vft", "--help"]);
  assert.equal(help.code, 0);
  assert.match(help.out, /Usage: aft vft/);
  assert.doesNotMatch(help.out, /deno task|bun run/);
  const wrong = await run("aft", ["vft", "--lerning-rate", "1"]);
  assert.deepEqual([wrong.code, wrong.out], [2, ""]);
  assert.match(wrong.err, /^vft: .*--lerning-rate.*--learning-rate/);
  const args = ["--model", base, "--data", "arithmetic", "--limit", "1", "--backend", "wasm", "--quiet"];
  const [sub, task] = await Promise.all([run("aft", ["generate", ...args]), run("generate", args)]);
  assert.deepEqual([sub.code, sub.out], [0, task.out]);
});

test("aft completion: bash completes commands, options and values by asking aft", async () => {
  for (const name of ["bash", "zsh", "fish"]) {
    const { code, out } = await run("aft", ["completion", name]);
    assert.equal(code, 0);
    assert.match(out, /aft complete/);
  }
  const unknown = await run("aft", ["completion", "tcsh"]);
  assert.deepEqual([unknown.code, unknown.out], [2, ""]);
  assert.match(unknown.err, /^aft: Shell must be one of bash, zsh, fish: got "tcsh"\n$/);

  mkdirSync(at("bin"), { recursive: true });
  const program = write("bin/aft", `#!/bin/sh\nexec ${commandOf("aft").join(" ")} "$@"\n`);
  chmodSync(program, 0o755);
  const script = write("aft.bash", (await run("aft", ["completion", "bash"])).out);
  const completed = async (...words: string[]) => {
    const list = words.map((word) => JSON.stringify(word)).join(" ");
    const { out } = await shell(
      `source ${script}; COMP_WORDS=(aft ${list}); COMP_CWORD=${words.length}; _aft; printf '%s\\n' "\${COMPREPLY[@]}"`,
      { env: { PATH: `${dirname(program)}${delimiter}${process.env.PATH}` } },
    );
    return out.trim().split("\n");
  };
  assert.deepEqual(await completed("ge"), ["generate"]);
  assert.ok((await completed("vft", "--backend", "w")).includes("wasm"));
});
