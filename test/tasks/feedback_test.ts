/** Bad data and bad feedback as whole commands: names, files, ranks for labels, lost answers, an unreachable hub. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parquetWriteBuffer } from "hyparquet-writer";
import { asSaid, at, base, inPairs, lines, records, run, write } from "../_commands.ts";
import { withHub } from "../hub/_hub_server.ts";

const wasm = ["--model", base, "--backend", "wasm", "--quiet"];
const problem = {
  id: "p",
  question: "How many pens are 2 and 3 pens?",
  reference: "2 + 3 = 5\n#### 5",
  answer: "5",
};
const labelled = {
  ...problem,
  candidates: [{ text: "2 + 3 = 5, so\n#### 5", correct: true }, { text: "#### 6", correct: false }],
};
const ranked = {
  ...problem,
  candidates: [{ text: "2 + 3 = 5, so\n#### 5", rank: 1, reward: 1 }, { text: "#### 6", rank: 2, reward: 0 }],
};

test("an unknown name is refused before anything is loaded, with a suggestion", async () => {
  const cases: [task: string, args: string[], message: RegExp][] = [
    [
      "score",
      ["--data", "arithmetik"],
      /^score: Data set must be .*: got "arithmetik": did you mean arithmetic\?\n$/,
    ],
    ["evaluate", [...wasm, "--data", "gsm9k:test"], /^evaluate: .*: got "gsm9k": did you mean gsm8k\?\n$/],
    ["vft", [...wasm, "--data", "arithmetic,optoins*2", "--out", at("f")], /did you mean options\?\n$/],
    [
      "generate",
      [...wasm, "--data", "ecqa:trian"],
      /Split of ecqa must be one of train, validation, test: got "trian"/,
    ],
    ["ca-align", [...wasm, "--data", "rankd", "--out", at("f")], /did you mean ranked\?\n$/],
    ["ca-align", [...wasm, "--objective", "drpo", "--out", at("f")], /got "drpo": did you mean dpo\?\n$/],
    [
      "ca-align",
      [...wasm, "--objective", "rft", "--constraint", "dc", "--out", at("f")],
      /^ca-align: Cannot use constraint "dc" with objective rft: expected none \(it compares no candidates\)\n$/,
    ],
  ];
  await inPairs(cases, async ([task, args, message]) => {
    const { code, out, err } = await run(task, args);
    assert.deepEqual({ code, out }, { code: 2, out: "" }, err);
    assert.match(err, message);
  });
  assert.ok(!existsSync(at("f")));
});

test("a file that is not what its ending says is refused by what it holds", async () => {
  const rows = lines([labelled]);
  const cases: [flag: string, path: string, message: string][] = [
    ["--data", write("x.parquet", rows), ".parquet must hold Parquet: got JSON"],
    ["--data", write("x.csv", rows), ".csv must hold CSV: got JSON"],
    ["--data", write("page.jsonl", "<!doctype html><p>404"), ".jsonl must hold JSON: got a web page"],
    [
      "--input",
      write("list.json", JSON.stringify([labelled], null, 1)),
      "it must be one JSON value: it begins a JSON list, not JSONL; --data reads a file that holds one",
    ],
  ];
  await inPairs(cases, async ([flag, path, message]) => {
    const { code, out, err } = await run("score", [flag, path]);
    assert.deepEqual({ code, out }, { code: 1, out: "" });
    const where = flag === "--input" ? `line 1 of ${path}` : path;
    assert.equal(err, `score: Cannot read ${where}: ${message}\n`);
  });
  // The list, read as what it is.
  const { code, out } = await run("score", ["--data", at("list.json")]);
  assert.equal(code, 0);
  assert.deepEqual(records(out)[0].candidates.map((c: { correct: boolean }) => c.correct), [true, false]);
});

test("ranks where labels are needed, and the reverse: what there is, and what writes the rest", async () => {
  const some = { ...ranked, candidates: [ranked.candidates[0], { text: "#### 7" }] };
  const cases: [objective: string, record: unknown, message: string][] = [
    [
      "aft",
      ranked,
      'must have "correct": got "rank" in 2 of 2, "reward" in 2 of 2; `deno task score` writes labels',
    ],
    [
      "kto",
      ranked,
      'must have "correct": got "rank" in 2 of 2, "reward" in 2 of 2; `deno task score` writes labels',
    ],
    [
      "rft",
      ranked,
      'must have "correct": got "rank" in 2 of 2, "reward" in 2 of 2; `deno task score` writes labels',
    ],
    [
      "aft-rank",
      labelled,
      'must have "rank" or "reward": got "correct" in 2 of 2; `deno task score --rank steps` (or ratings, judge) writes ranks',
    ],
    [
      "aft-rank",
      some,
      'must have "rank" or "reward": got "rank" in 1 of 2, "reward" in 1 of 2; ' +
      "`deno task score --rank steps` (or ratings, judge) writes ranks",
    ],
  ];
  await inPairs(cases, async ([objective, record, message]) => {
    const { code, out, err } = await run("ca-align", [...wasm, "--objective", objective, "--out", at("f")], {
      input: lines([record]),
    });
    assert.deepEqual({ code, out }, { code: 1, out: "" });
    assert.equal(err, asSaid(`ca-align: Cannot train ${objective} on "p": every candidate ${message}\n`));
  });
  assert.ok(!existsSync(at("f")));
});

test("an answer that cannot be found counts as wrong, is counted, and is listed with --debug", async () => {
  const input = lines([{
    ...problem,
    candidates: [{ text: "#### 5" }, { text: "I do\nnot know" }, { text: "" }],
  }]);
  const count = "score: 2 of 3 candidates have no answer that could be found: they count as wrong\n";
  const plain = await run("score", [], { input });
  assert.deepEqual([plain.code, plain.err.replace(/^score \d.*\n/gm, "")], [0, count]);
  assert.deepEqual(records(plain.out)[0].candidates.map((c: { correct: boolean }) => c.correct), [
    true,
    false,
    false,
  ]);
  const listed = await run("score", ["--debug", "--quiet"], { input });
  assert.equal(
    listed.err,
    'No answer in candidate 2 of "p": I do not know\nNo answer in candidate 3 of "p": it is empty\n' + count,
  );
  // One token is no answer.
  const measured = await run("evaluate", [...wasm, "--max-tokens", "1", "--debug"], {
    input: lines([problem]),
  });
  assert.equal(measured.code, 0);
  assert.match(
    measured.err,
    /^No answer to "p": .*\nevaluate: 1 of 1 responses have no answer that could be found: they count as wrong\n$/,
  );
});

test("score and ca-align read a data set that brings candidates, by its name", async () => {
  const scored = await run("score", ["--data", "ranked:test", "--limit", "2", "--quiet"]);
  assert.deepEqual([scored.code, scored.err], [0, ""]);
  const groups = records(scored.out);
  assert.equal(groups.length, 2);
  assert.ok(groups.every((g) => g.candidates.every((c: { rank?: number }) => c.rank! >= 1)));
  const trained = await run("ca-align", [
    ...wasm,
    ...["--data", "ranked", "--limit", "2", "--steps", "1", "--objective", "aft-rank", "--out", at("ranked")],
  ]);
  assert.equal(trained.code, 0, trained.err);
  assert.equal(records(trained.out)[0].step, 1);
  const bare = await run("ca-align", [
    ...wasm,
    "--data",
    "arithmetic:test",
    "--input",
    "x",
    "--out",
    at("f"),
  ]);
  assert.equal(bare.code, 2);
});

test("--calculator drop drops the marks alone: endings stay as they are", async () => {
  const marked = { ...problem, candidates: [{ text: "2 + 3 = <<2+3=5>>5\nA: 5" }] };
  const { out } = await run("score", ["--calculator", "drop", "--quiet"], { input: lines([marked]) });
  assert.equal(records(out)[0].candidates[0].text, "2 + 3 = 5\nA: 5");
});

test("the hub by name: token, mirror, cache, offline, and nothing written when it cannot be reached", async () => {
  const cache = mkdtempSync(join(tmpdir(), "hub-command-"));
  const columns = [
    { name: "question", data: [problem.question, "And 4 and 4?"] },
    { name: "answer", data: [problem.reference, "4 + 4 = 8\n#### 8"] },
  ];
  const files = {
    "main/test-00000-of-00001.parquet": new Uint8Array(parquetWriteBuffer({ columnData: columns })),
  };
  const args = [...wasm, "--data", "gsm8k", "--scores-only", "--micro-batch", "64"];
  const env = { HF_HUB_CACHE: cache, HF_HUB_OFFLINE: "", HF_TOKEN: "" };
  try {
    const down = await run("evaluate", args, { env: { ...env, HF_ENDPOINT: "http://127.0.0.1:9" } });
    assert.deepEqual({ code: down.code, out: down.out }, { code: 1, out: "" });
    assert.match(down.err, /^evaluate: Cannot download openai\/gsm8k from http:\/\/127\.0\.0\.1:9: .*\n$/);
    await withHub({ files, token: "hf_secret" }, async (hub, { endpoint }) => {
      const mirror = { ...env, HF_ENDPOINT: endpoint };
      const refused = await run("evaluate", args, { env: mirror });
      assert.equal(refused.code, 1);
      assert.match(refused.err, /^evaluate: .*access is refused \(401\): set HF_TOKEN, .*\n$/);
      const first = await run("evaluate", args, { env: { ...mirror, HF_TOKEN: "hf_secret" } });
      assert.deepEqual([first.code, first.err], [0, ""]);
      assert.equal(records(first.out)[0].questions, 2);
      const before = hub.requests.length;
      const again = await run("evaluate", args, { env: { ...mirror, HF_HUB_OFFLINE: "1" } });
      assert.equal(again.out, first.out);
      assert.equal(hub.requests.length, before);
    });
  } finally {
    rmSync(cache, { recursive: true });
  }
});

test("own names of fields, an index that is said, and labels that a record brings", async () => {
  const own = { task: "Which is a prime?", options: ["8", "7"], key: 1, candidates: ["The answer is B."] };
  const flags = ["--fields", "question=task,choices=options,answer=key"];
  const { out } = await run("score", [...flags, "--answer-index", "0"], { input: lines([own]) });
  assert.equal(records(out)[0].candidates[0].correct, true);
  const refused = await run("score", flags, { input: lines([own]) });
  assert.equal(refused.code, 1);
  assert.match(
    refused.err,
    /field "answer" must be .* got 1; of an index, --answer-index says whether .*\n$/,
  );
  const wrong = await run("score", ["--fields", "question"], { input: lines([own]) });
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /^score: Fields must be names such as question=problem.*: got "question"\n$/);
  const pair = { prompt: "1+1?", answer: "2", chosen: "#### 3", rejected: "#### 2" };
  for (const [flags, labels] of [[[], [true, false]], [["--relabel"], [false, true]]] as const) {
    const { out } = await run("score", flags, { input: lines([pair]) });
    assert.deepEqual(records(out)[0].candidates.map((c: { correct: boolean }) => c.correct), labels);
  }
});
