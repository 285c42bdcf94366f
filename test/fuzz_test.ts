/** A few mutants of everything that is read from outside; `deno task test:full` takes thousands. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { root } from "./_commands.ts";

const mutants = process.env.AFT_FUZZ_MUTANTS ?? "40";

test("mutants of files and replies are accepted or refused in one line, in bounded time and memory", {
  timeout: 3_600_000,
}, () => {
  const runner = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...runner, "tools/fuzz.ts", "--mutants", mutants, "--seed", "7"],
    { cwd: root, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } },
  );
  assert.equal(status, 0, `${stdout}\n${stderr.slice(0, 8000)}`);
  assert.match(stdout, /Nothing ended badly\n$/);
});
