/** Runs of `align` in one table: which may be joined, and what is said of those that may not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type FinishedAlign, joinable, unlikeness } from "../../lib/report/joined_runs.ts";
import { summaryCsv, summaryJson } from "../../lib/report/summary_table.ts";

const rows = (accuracy: number, names = ["vft", "aft-dc"]) =>
  names.map((name) => ({ name, questions: 8, mixed_questions: 4, accuracy, perplexity: 1 + accuracy }));
const run = (folder: string, accuracy: number, options: Record<string, unknown> = {}): FinishedAlign => ({
  folder,
  rows: rows(accuracy),
  options: { limit: 64, seed: 0, out: folder, lora: null, ...options },
});

test("runs are alike when they differ in seed, folder and how they were computed", () => {
  const first = run("a", 0.5);
  assert.equal(unlikeness(run("b", 0.25, { seed: 1, backend: "wasm", "log-every": 3 }), first), undefined);
  assert.equal(unlikeness(run("b", 0.25, { limit: 32 }), first), "it was run with --limit 32, not 64");
  assert.equal(unlikeness(run("b", 0.25, { lora: "r=4" }), first), "it was run with --lora r=4, not none");
  // A script's run has the library's names, a run of before lacks an option that was not given.
  assert.equal(unlikeness(run("b", 0, { maxTokens: 9 }), run("a", 0, { "max-tokens": 9 })), undefined);
  assert.equal(unlikeness(run("b", 0, { "eval-share": null }), first), undefined);
  const other = { ...run("b", 0.5), rows: rows(0.5, ["vft", "control"]) };
  assert.equal(unlikeness(other, first), "it has the models vft, control, not vft, aft-dc");
});

test("a run counts once; one that differs is refused, or joined and named", () => {
  const [a, b] = [run("a", 0.5), run("b", 0.25, { seed: 1 })];
  const joined = joinable([a, b, run("copy", 0.5)], { mixed: false });
  assert.deepEqual(joined.runs, [a, b]);
  assert.deepEqual(joined.warnings, ["copy is the same run as a: it counts once"]);
  // Equal numbers of another seed are another run.
  assert.equal(joinable([a, run("c", 0.5, { seed: 2 })], { mixed: false }).runs.length, 2);
  const odd = run("odd", 0.25, { limit: 32 });
  assert.throws(
    () => joinable([a, odd], { mixed: false }),
    /^InputError: Cannot join: odd is no run like a: it was run with --limit 32, not 64; option `mixed` joins them$/,
  );
  const mixed = joinable([a, odd], { mixed: true });
  assert.deepEqual(mixed.warnings, ["odd is no run like a: it was run with --limit 32, not 64"]);
  const without = { ...b, rows: rows(0.25, ["vft"]) };
  assert.throws(
    () => joinable([a, without], { mixed: true }),
    /^InputError: Cannot join: b is no run like a: it has the models vft, not vft, aft-dc$/,
  );
});

test("CSV and JSON hold all digits, and a deviation only where there are several runs", () => {
  const models = ["vft", "aft-dc"].map((name, i) => ({ name, summary: [rows(0.5)[i], rows(0.25)[i]] }));
  // Mean of 0.5 and 0.25, and √((0.125² + 0.125²) / 1).
  assert.equal(
    summaryCsv(models),
    "model,accuracy,accuracy_deviation,perplexity,perplexity_deviation\n" +
      "vft,0.375,0.1767766952966369,1.375,0.1767766952966369\n" +
      "aft-dc,0.375,0.1767766952966369,1.375,0.1767766952966369\n",
  );
  assert.deepEqual(JSON.parse(summaryJson(models))[1], {
    model: "aft-dc",
    accuracy: { mean: 0.375, deviation: 0.1767766952966369 },
    perplexity: { mean: 1.375, deviation: 0.1767766952966369 },
    runs: 2,
  });
  const [one] = JSON.parse(summaryJson([{ name: "vft", summary: rows(0.5)[0] }]));
  assert.deepEqual(one, { model: "vft", accuracy: 0.5, perplexity: 1.5, runs: 1 });
});
