/** A few kills of every command at random moments; `deno task test:full` tries more, `deno task kill-test --kills 50` most. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { root } from "./_commands.ts";

const kills = process.env.AFT_KILLS ?? "1";

test("commands that are killed at random moments go on to the same bytes", { timeout: 3_600_000 }, () => {
  const runner = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...runner, "tools/kill_test.ts", "--kills", kills, "--seed", "11"],
    { cwd: root, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } },
  );
  assert.equal(status, 0, `${stdout}\n${stderr.slice(0, 8000)}`);
  assert.match(stdout, /\nNothing was lost\n$/);
});
