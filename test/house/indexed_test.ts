/** In these rooms an index may miss, as the compiler's `noUncheckedIndexedAccess` has it. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../_commands.ts";
import { roomOf } from "./_rules.ts";
import { uncheckedElements } from "./_indexed.ts";

/**
 * Rooms that read what others wrote, or show it. Where numbers are computed, an index runs over what the loop was made
 * for, and a check of each would say nothing: there the flag finds 650 places, most of them loops over typed arrays.
 */
const checked = [
  ...["lib/runtime", "lib/hub", "lib/backend", "lib/feedback", "lib/tokenizer"],
  ...["lib/pipeline", "lib/report", "tasks", "tasks/cli"],
];

test("no element is taken to be there unseen, in the rooms that read and show", () => {
  const tasks = readdirSync(join(root, "tasks")).filter((name) => name.endsWith(".ts"));
  const paths = ["mod.ts", ...tasks.map((name) => `tasks/${name}`)];
  const seen = new Set<string>();
  const found = uncheckedElements(paths, (path) => {
    seen.add(roomOf(path));
    return checked.includes(roomOf(path));
  });
  assert.deepEqual(found, []);
  for (const room of checked) assert.ok(seen.has(room), `${room} was not looked at`);
  // It looks: the numbers' rooms have such places.
  assert.ok(
    uncheckedElements(["lib/objectives/statistics.ts"], (path) => /^lib\/objectives/.test(path)).length > 0,
  );
});
