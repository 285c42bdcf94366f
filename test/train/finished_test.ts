/** What a run that was killed behind its last step leaves in its model's folder. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lockFolder, lockName } from "../../lib/runtime/run_lock.ts";
import { tidyFinished } from "../../lib/train/checkpoint_folders.ts";
import { at } from "../_commands.ts";

test("a dead run's lock goes with what else it left; one that is held, or of another machine, stays", async () => {
  const folder = at("finished"), lock = join(folder, lockName);
  mkdirSync(folder);
  const socket = join(tmpdir(), "aft-0123456789abcdef.sock");
  writeFileSync(lock, JSON.stringify({ pid: 1, host: hostname(), socket }));
  await tidyFinished(folder);
  assert.ok(!existsSync(lock));
  writeFileSync(lock, JSON.stringify({ pid: 1, host: `not-${hostname()}`, socket }));
  await tidyFinished(folder);
  assert.ok(existsSync(lock));
  writeFileSync(lock, "{"); // cut short
  {
    await using _held = await lockFolder(folder);
    await tidyFinished(folder);
    assert.ok(existsSync(lock));
  }
  assert.ok(!existsSync(lock));
});
