/** An error between two tests of a file counts, also under a runtime that takes no notice of it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { root, write } from "../_commands.ts";

/** Runs a file of tests as tools/test.ts does. */
function ran(name: string, content: string): { readonly code: number | null; readonly said: string } {
  const path = write(name, `import { test } from "node:test";\n${content}`);
  const words = "Deno" in globalThis ? ["-A", "--no-check", "tools/_whole_file.ts", "--", path] : [path];
  const { status, stdout, stderr } = spawnSync(process.execPath, ["test", ...words], {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1" },
    encoding: "utf8",
  });
  return { code: status, said: stdout + stderr };
}

test("a file that throws behind its first test fails, by its own words", () => {
  const thrown = ran("thrown_test.ts", 'test("one", () => {});\nthrow new Error("in between");\n');
  assert.equal(thrown.code, 1);
  assert.match(thrown.said, /rror: in between/);
  const rejected = ran(
    "rejected_test.ts",
    'test("one", () => {});\nawait Promise.reject(new Error("late"));\n',
  );
  assert.equal(rejected.code, 1);
  assert.match(rejected.said, /rror: late/);
});

test("a file that is whole has its own tests and no other", () => {
  const whole = ran("whole_test.ts", 'test("one", () => {});\ntest("two", () => {});\n');
  assert.equal(whole.code, 0, whole.said);
  assert.match(whole.said, /\b2 pass/);
});
