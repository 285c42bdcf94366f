/** The tiers of the tests: what the fast one takes in, and that it cannot lose a file unseen. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root, run } from "../_commands.ts";
import { fast, fastFiles, full, slow } from "../../tools/_tiers.ts";

/** One file for each name of the tiers: the name itself, or a file in the folder. */
const named = [...fast, ...slow, ...full].map((name) => name.endsWith(".ts") ? name : `${name}/x_test.ts`);

test("every name is there, once", () => {
  for (const name of [...fast, ...slow, ...full]) assert.ok(existsSync(join(root, name)), name);
  assert.equal(new Set([...fast, ...slow, ...full]).size, fast.length + slow.length + full.length);
});

test("a folder is all its files, a name's beginning is not a folder, and what is slow stays out", () => {
  const files = [...named, "test/data/sets/y_test.ts", "test/database/z_test.ts", "test/train/t_test.ts"];
  const taken = fastFiles(files);
  assert.ok(taken.includes("test/data/x_test.ts") && taken.includes("test/data/sets/y_test.ts"));
  for (const file of [...slow, ...full, "test/database/z_test.ts", "test/train/t_test.ts"]) {
    assert.ok(!taken.includes(file), file);
  }
  assert.equal(taken.length, fast.length + 1);
});

test("a test that moved is told", () => {
  assert.throws(
    () => fastFiles(named.filter((file) => file !== "test/house_test.ts")),
    /^Error: Tier of tests names test\/house_test\.ts, where there is no test$/,
  );
});

test("wrong options are one line, and run nothing", async () => {
  const lines: [string[], RegExp][] = [
    [["--fasst"], /^test: Unknown option --fasst: expected --fast, --bun or --full\n$/],
    [["--fast", "test/data"], /^test: --fast names its files itself: it goes with --bun alone\n$/],
    [["test/nothing"], /^test: No test at test\/nothing: expected a file or folder below test\n$/],
    [["--fast", "--full"], /^test: --fast names its files itself: it goes with --bun alone\n$/],
  ];
  for (const [args, line] of lines) {
    const { code, out, err } = await run("tools/test.ts", args);
    assert.deepEqual([code, out], [2, ""], args.join(" "));
    assert.match(err, line);
  }
});
