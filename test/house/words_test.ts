/** The library names its options; commands and flags are the command line's words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { root } from "../_commands.ts";
import { readSources } from "./_graph.ts";
import { commandWords } from "./_words.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { exitCodeOf, inWords } from "../../tasks/cli/words.ts";

test("no text of the library names a command or a flag; a page's style has names that look like one", () => {
  for (const [path, text] of readSources(root)) {
    if (!path.startsWith("lib/") || path === "lib/report/_style.ts") continue;
    assert.deepEqual(commandWords(path, text), [], path);
  }
});

test("each way to name one is found, with its line; comments and operators are not", () => {
  const text = 'throw new Error("see `deno task doctor`");\nconst a = `with --rank ${1} and (--limit)`;\n' +
    "// deno task x --y\n/** --z */\nconst b = i--j, c = 'a --- b', d = \"a--b\", e = `${x} --few-shot`;\n" +
    "f('bun run align');";
  assert.deepEqual(commandWords("lib/x.ts", text), [
    "1 deno task",
    "2 --rank",
    "2 (--limit",
    "5 --few-shot",
    "6 bun run",
  ]);
});

test("an error says what failed by code and fields, and the command line adds the command that helps", () => {
  const plain = new InputError("Cannot read x");
  assert.deepEqual([plain.code, plain.fields, inWords(plain), exitCodeOf(plain)], [
    "input",
    {},
    "Cannot read x",
    1,
  ]);
  const usage = new UsageError("Wrong option `batchSize: 0`");
  assert.deepEqual([usage.code, inWords(usage), exitCodeOf(usage)], ["usage", "Wrong --batch-size 0", 2]);
  const cause = new Error("why"),
    lacking = new InputError("No labels", {
      code: "no-feedback",
      fields: { wanted: ["labels"] },
      cause,
    });
  assert.equal(lacking.cause, cause);
  assert.match(inWords(lacking), /^No labels; `(deno task|bun run) score` writes labels$/);
  assert.equal(inWords(new TypeError("a\n  b")), "a b");
  assert.equal(exitCodeOf("text"), 1);
});
