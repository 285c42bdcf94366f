/** `align` with other objectives than AFT: rounds on own samples, labels by votes, what it has no feedback for. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { align, type AlignOptions, type Group, UsageError } from "../../mod.ts";
import { alignMethods } from "../../lib/pipeline/align_methods.ts";
import { roundsTable } from "../../lib/report/rounds_table.ts";

const folder = mkdtempSync(join(tmpdir(), "align-objectives-test-"));
after(() => rmSync(folder, { recursive: true }));

const small: AlignOptions = {
  backend: "wasm",
  limit: 12,
  testLimit: 4,
  epochs: 1,
  alignEpochs: 1,
  samples: 4,
  votes: 0,
  maxTokens: 24,
  batchSize: 4,
};

const groupsIn = (path: string) =>
  readFileSync(path, "utf8").trim().split("\n").map((line) => JSON.parse(line) as Group);
const tokensOf = (groups: readonly Group[]) =>
  groups.flatMap(({ candidates }) => candidates).reduce((sum, { tokens = 0 }) => sum + tokens, 0);

test("rounds of a policy gradient: own samples as they were drawn, accuracy and tokens by round", async () => {
  const out = join(folder, "rloo"), warned: string[] = [];
  const { rows, table, report } = await align(
    { ...small, objective: "rloo", rounds: 2, alignEpochs: 2, out },
    { warn: (line) => warned.push(line) },
  );
  assert.deepEqual(rows.map(({ name, round }) => [name, round]), [
    ["vft", 0],
    ["control", 1],
    ["rloo", 1],
    ["control round 2", 2],
    ["rloo round 2", 2],
  ]);
  const first = groupsIn(join(out, "candidates.jsonl"));
  const second = groupsIn(join(out, "candidates-rloo-round-2.jsonl"));
  // Equal samples stay: each counts as often as it was drawn.
  assert.ok(first.every(({ candidates }) => candidates.length === 4));
  assert.deepEqual(rows.map(({ sampledTokens }) => sampledTokens), [
    0,
    0,
    tokensOf(first),
    0,
    tokensOf(first) + tokensOf(second),
  ]);
  assert.match(table, /accuracy by round +start +1 +2 +sampled tokens/);
  assert.match(table, /\nrloo +[\d.]+ +[\d.]+ +[\d.]+ +\d+\n?$/);
  assert.match(readFileSync(report, "utf8"), /<h2 id="rounds">Accuracy by round<\/h2>/);
  assert.ok(warned.some((line) => /^rloo is a gradient at the model that sampled, and 2 passes/.test(line)));
});

test("votes in place of answers: methods see neither answers nor references", async () => {
  const out = join(folder, "votes");
  const { rows } = await align({ ...small, limit: 24, objective: "scpo:1,grpo:0.5", label: "majority", out });
  assert.deepEqual(rows.map(({ name }) => name), ["vft", "control", "scpo:1,grpo:0.5"]);
  assert.ok(rows[2]!.directory.endsWith("scpo-1-grpo-0.5"));
  for (const { candidates } of groupsIn(join(out, "candidates.jsonl"))) {
    const shares = candidates.map(({ reward }) => reward!), best = Math.max(...shares);
    assert.ok(candidates.every(({ correct }, i) => correct === (shares[i] === best)));
  }
  // Test problems have answers: labels there are the truth.
  assert.ok(
    groupsIn(join(out, "test-candidates.jsonl")).every((g) =>
      g.candidates.every((c) => c.reward === undefined)
    ),
  );
});

test("any objective is evaluated while it trains, on candidates that are marked as those it learns from", async () => {
  const out = join(folder, "evaluated");
  const evaluation = {
    data: "arithmetic:test",
    limit: 4,
    generate: 2,
    every: 2,
    keepBest: "margin",
  } as const;
  const options: AlignOptions = { ...small, samples: 6, label: "majority", rounds: 2, evaluation, out };
  await align({ ...options, objective: "scpo:1,grpo:0.5" });
  const evaluated = groupsIn(join(out, "eval-candidates.jsonl"));
  assert.ok(evaluated.every(({ candidates }) => candidates.every((c) => c.reward !== undefined)));
  const lines = (name: string) =>
    readFileSync(join(out, name, "metrics.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line));
  const [first] = lines("scpo-1-grpo-0.5-round-2");
  assert.deepEqual([first.step, first.eval_records > 0, first.eval_answers], [0, true, 2]);
  // Another method in the same folder: nothing of the one before is taken for it.
  const before = readFileSync(join(out, "scpo-1-grpo-0.5", "run.json"), "utf8");
  await align({ ...options, objective: "scpo:1,grpo:0.5", overwrite: true, alignLearningRate: 1e-5 });
  assert.notEqual(readFileSync(join(out, "scpo-1-grpo-0.5", "run.json"), "utf8"), before);
  await assert.rejects(
    align({ ...options, evaluation: { share: 0.3, generate: 2 }, overwrite: true }),
    /^UsageError: Cannot use option `evaluation.generate` with option `evaluation.share` and option `label: majority`/,
  );
});

test("which models are made: AFT under all constraints, others under their own, unless told", () => {
  const kinds = (choice: Omit<Parameters<typeof alignMethods>[0], "labels">) =>
    alignMethods({ labels: "answer", ...choice }).map(({ kind }) => kind);
  assert.deepEqual(kinds({ objective: "aft" }), ["aft-none", "aft-dc", "aft-bc"]);
  assert.deepEqual(kinds({ objective: "aft", constraints: "dc" }), ["aft-dc"]);
  assert.deepEqual(kinds({ objective: "rloo" }), ["rloo"]);
  assert.deepEqual(kinds({ objective: "nsr", constraints: "all" }), ["nsr-none", "nsr-bc"]);
  assert.deepEqual(kinds({ objective: "psr:0.1,nsr", constraints: "all" }), [
    "psr:0.1,nsr:1-none",
    "psr:0.1,nsr:1-bc",
  ]);
  for (const width of [{ beta: 0.3 }, { options: { beta: 0.3 } }]) {
    const [none, , bc] = alignMethods({ labels: "answer", objective: "aft", ...width });
    assert.deepEqual([none!.settings.options, bc!.settings.options], [undefined, { beta: 0.3 }]);
  }
  const [dpo] = alignMethods({
    labels: "answer",
    objective: "dpo",
    beta: 0.3,
    options: { labelSmoothing: 0.1 },
  });
  assert.deepEqual(dpo!.settings.options, { labelSmoothing: 0.1, beta: 0.3 });
});

test("what align cannot do is refused before there is a folder", async () => {
  const cases: [AlignOptions, string][] = [
    [
      { objective: "aft-rank" },
      "Cannot align with objective aft-rank: it learns from ranks or rewards, and candidates are marked right or wrong; " +
      "with option `label: majority` their votes are ranks and rewards",
    ],
    [
      { objective: "vft" },
      "Cannot align with objective vft: it trains on references alone, as what align starts from does, and its control",
    ],
    [
      { objective: "rft", constraints: "dc" },
      'Cannot use constraint "dc" with objective rft: expected none (it compares no candidates)',
    ],
    [
      { objective: "dpo", options: { gamma: 1 } },
      "Cannot use option `gamma` with objective dpo: it has beta, boundary, labelSmoothing",
    ],
    [{ beta: 0.1, options: { beta: 0.2 } }, "Option beta is given twice: 0.1, and 0.2 in options"],
    [{ label: "votes" as "majority" }, 'Option label must be one of answer, majority: got "votes"'],
  ];
  for (const [options, message] of cases) {
    await assert.rejects(
      align({ ...small, ...options, out: join(folder, "none") }),
      (error) => error instanceof UsageError && (assert.equal(error.message, message), true),
    );
  }
});

test("the table of rounds, by hand", () => {
  const summary = (accuracy: number) =>
    ({ questions: 10, mixed_questions: 0, accuracy }) as Parameters<typeof roundsTable>[0][number]["summary"];
  const row = (kind: string, round: number, accuracy: number, sampledTokens = 0) => ({
    name: kind,
    kind,
    round,
    summary: summary(accuracy),
    sampledTokens,
  });
  const table = roundsTable([row("vft", 0, 0.2), row("a", 1, 0.3, 50), row("a", 2, 0.45, 110)]);
  assert.deepEqual(table.trim().split("\n").map((line) => line.trim().split(/ {2,}/)), [
    ["accuracy by round", "start", "1", "2", "sampled tokens"],
    ["─────────────────", "─────", "────", "────", "──────────────"],
    ["a", "20.0", "30.0", "45.0", "110"],
  ]);
});
