/** What a library in a thread leaves unhandled is the request's error, and nothing of it reaches the terminal. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "../_commands.ts";

test("a promise that nobody handles ends the request in its own words, without a stack on the terminal", async () => {
  const { code, out, err } = await run("test/runtime/_stray_program.ts", []);
  assert.deepEqual([code, out, err], [0, "a column is damaged\na column is damaged\n", ""]);
});
