/** `data` and `table` as a user runs them. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadDataset } from "../../lib/data/load_dataset.ts";
import { asSaid, at, base, records, run, write } from "../_commands.ts";

test("data prints what the tasks read: the same problems, by name, split, file and fields", async () => {
  const csv = write("own.csv", "task,solution\nHow much?,7\nHow many?,8\n");
  const [train, tests, own, one] = await Promise.all([
    run("data", ["arithmetic", "--limit", "3"]),
    run("data", ["arithmetic", "--split", "test", "--limit", "2"]),
    run("data", [csv, "--fields", "question=task,answer=solution"]),
    run("data", ["arithmetic:test", "--limit", "1", "--output", at("one.jsonl")]),
  ]);
  assert.deepEqual([train.code, train.err], [0, ""]);
  assert.deepEqual(records(train.out), await Array.fromAsync(loadDataset("arithmetic", { limit: 3 })));
  assert.deepEqual(records(tests.out), await Array.fromAsync(loadDataset("arithmetic:test", { limit: 2 })));
  assert.deepEqual(records(own.out).map(({ question, answer }) => [question, answer]), [["How much?", "7"], [
    "How many?",
    "8",
  ]]);
  assert.deepEqual([one.code, one.out], [0, ""]);
  // What it prints goes into the next task.
  const args = ["--model", base, "--backend", "wasm", "--max-tokens", "4", "-k", "1", "--quiet"];
  const generated = await run("generate", args, { input: train.out });
  assert.deepEqual(records(generated.out).map(({ id }) => id), records(train.out).map(({ id }) => id));
});

test("names of data sets are completed", async () => {
  const { out } = await run("aft", ["complete", "data", "arith"]);
  assert.match(out, /arithmetic[^]*arithmetic-long/);
});

test("data refuses what it cannot print, in one line", async () => {
  const cases: [string[], RegExp][] = [
    [[], /^data: Missing NAME\|FILE: see --help\n$/],
    [["arithmetic", "options"], /^data: Unexpected argument "options": expected one NAME\|FILE\n$/],
    [["aritmetic"], /^data: Data set must be [^\n]+ got "aritmetic": did you mean arithmetic\?\n$/],
    [["arithmetic", "--split", "dev"], /^data: Split of arithmetic must be one of train, test: got "dev"\n$/],
    [["arithmetic:test", "--split", "train"], /^data: Cannot use --split with arithmetic:test: [^\n]+\n$/],
    [["no/such.jsonl"], /^data: Cannot read no\/such\.jsonl: no such file or directory\n$/],
  ];
  for (const [args, message] of cases) {
    const { code, out, err } = await run("data", args);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, message);
  }
});

test("table joins runs, takes one once, and refuses folders that are none or not alike", async () => {
  const finished = (name: string, seed: number, accuracy: number, limit = 64) => {
    mkdirSync(at(name), { recursive: true });
    const rows = [{ name: "vft", questions: 8, mixed_questions: 0, accuracy }];
    writeFileSync(join(at(name), "results.json"), JSON.stringify({ rows }));
    writeFileSync(join(at(name), "align.json"), JSON.stringify({ task: "align", options: { limit, seed } }));
    return at(name);
  };
  const [a, b, odd] = [finished("a", 0, 0.5), finished("b", 1, 0.25), finished("odd", 2, 0.5, 32)];
  mkdirSync(at("half"), { recursive: true });
  writeFileSync(join(at("half"), "align.json"), "{}");
  const twice = await run("table", [a, b, `${a}/`]);
  assert.deepEqual(twice, {
    code: 0,
    out: "| model |  accuracy % |\n| ----- | ----------: |\n| vft   | 37.5 ± 17.7 |\n",
    err: `table: ${a}/ is the same run as ${a}: it counts once\n`,
  });
  const csv = await run("table", [a, b, "--format", "csv"]);
  assert.equal(csv.out, "model,accuracy,accuracy_deviation\nvft,0.375,0.1767766952966369\n");
  const cases: [string[], number, string][] = [
    [
      [a, odd],
      1,
      `Cannot join: ${odd} is no run like ${a}: it was run with --limit 32, not 64; --mixed joins them`,
    ],
    [
      [at("half")],
      1,
      `Cannot read ${join(at("half"), "results.json")}: no such file or directory: the run is not finished`,
    ],
    [[at("hlaf")], 2, `Cannot read ${at("hlaf")}: no such file or directory: did you mean ${at("half")}?`],
    [[], 2, "Missing DIR...: see --help"],
  ];
  for (const [args, code, message] of cases) {
    assert.deepEqual(await run("table", args), { code, out: "", err: asSaid(`table: ${message}\n`) });
  }
  const mixed = await run("table", [a, odd, "--mixed"]);
  assert.deepEqual([mixed.code, mixed.err], [
    0,
    `table: ${odd} is no run like ${a}: it was run with --limit 32, not 64\n`,
  ]);
});
