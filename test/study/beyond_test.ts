/** The experiments that go beyond the paper, at the smallest sizes. */

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { study } from "../../mod.ts";

const out = mkdtempSync(join(tmpdir(), "beyond-test-"));
after(() => rmSync(out, { recursive: true }));

test("wrong labels, others' candidates and wrong steps have their tables, and are made once", async () => {
  const options = {
    quick: true,
    data: ["arithmetic"],
    only: ["budget", "noise", "origins", "steps"],
    start: ["base"],
    backend: "wasm",
    out,
  } as const;
  const outcomes = await study(options);
  const tables = new Map(
    outcomes.flatMap(({ tables }) => tables.map(({ name, rows }) => [name, rows] as const)),
  );
  const sizes = Object.fromEntries([...tables].map(([name, rows]) => [name, rows.length]));
  assert.deepEqual(sizes, {
    budget_base: 3 + 2, // passes, and k = 1 and 2
    noise_base: 1 + 4 * 2, // VFT, and four methods with and without
    samplers_base: 3 * 4,
    own_share_base: 3,
    ranked_beta_base: 1,
    steps_base: 6,
  });
  for (const rows of tables.values()) {
    for (const row of rows) {
      assert.ok(Number.isFinite((row["accuracy"] as { mean: number }).mean), `${row["method"]}`);
    }
  }
  // Six references a pass, and what RFT keeps of their candidates beside them.
  const responses = tables.get("budget_base")!.map((row) => (row["responses"] as { mean: number }).mean);
  assert.deepEqual(responses.slice(0, 3), [6, 12, 18]);
  assert.ok(responses[3]! >= 6 && responses[4]! >= responses[3]!, responses.join());
  // Changes make cells of their own; what is unchanged is one cell, whichever experiment asks.
  const cells = readdirSync(join(out, "cells"));
  const count = (word: string) => cells.filter((name) => name.includes(word)).length;
  assert.deepEqual([count("-base-rft-"), count("-base-aft-dc-"), count("-base-aft-none-")], [
    1 + 1 + 1 + 3 + 1, // unchanged, k = 1, flipped, of others, sound
    6,
    2,
  ]);
  const lines: string[] = [];
  const again = await study(options, { metrics: (model) => lines.push(model) });
  assert.deepEqual(lines, []);
  assert.deepEqual(again, outcomes);
});
