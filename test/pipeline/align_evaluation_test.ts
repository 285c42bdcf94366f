/** What `align` measures while its models train, and what its page tells of the run. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { align } from "../../lib/pipeline/align.ts";
import { evaluationOfTraining } from "../../lib/pipeline/align_evaluation.ts";
import { type AlignOptions, resolveAlign } from "../../lib/pipeline/align_options.ts";
import { explainRows } from "../../lib/pipeline/align_rows.ts";
import { countProblems } from "../../lib/pipeline/held_out.ts";
import { freshPath } from "../_models.ts";

const small = {
  ...{
    limit: 8,
    testLimit: 2,
    epochs: 2,
    alignEpochs: 1,
    start: "vft" as const,
    samples: 2,
    votes: 0,
    maxTokens: 4,
    batchSize: 2,
  },
  ...{ constraints: "dc", backend: "wasm" } as const,
};

test("every training holds out the same questions, keeps its best, and the page shows it", async () => {
  const out = freshPath(), notes: string[] = [];
  const evaluation = { share: 0.3, every: 2, keepBest: "margin" } as const;
  const configuration = {
    task: "align",
    options: {
      model: "fixtures/base",
      limit: 8,
      seed: 0,
      "eval-share": 0.3,
      lora: null,
      chat: "auto",
      resume: true,
    },
  };
  await align({ ...small, out, evaluation, configuration }, { note: (line) => notes.push(line) });
  const held = notes.filter((line) => line.includes("Held out: "));
  assert.deepEqual(held.map((line) => line.split(": ")[0]), ["vft", "control", "aft-dc"]);
  assert.equal(new Set(held.map((line) => line.slice(line.indexOf("Held")))).size, 1, `${held}`);
  const kept = notes.filter((line) => line.includes("Keeps the model"));
  // VFT and control compare no candidates: the loss stands for the margin.
  assert.deepEqual(kept.map((line) => line.match(/the best by (\w+)/)![1]), ["loss", "loss", "margin"]);
  const page = readFileSync(join(out, "report.html"), "utf8");
  assert.match(page, /<dt>Command<\/dt><dd>deno task align --limit 8 --eval-share 0\.3<\/dd>/);
  assert.match(page, /<dt>Date<\/dt><dd>\d{4}-\d\d-\d\d \d\d:\d\d<\/dd>/);
  assert.match(
    page,
    /<dt>While training<\/dt><dd>evaluated on a share of 0\.3 of the questions, held out, the best by margin kept<\/dd>/,
  );
  assert.match(page, /<dt>control<\/dt><dd>VFT trained on/);
  assert.match(page, /held out loss from/);
});

test("what cannot be measured is refused before there is a folder", () => {
  const refused: [AlignOptions["evaluation"], RegExp][] = [
    [{ patience: 2 }, /^UsageError: Cannot use option `evaluation.patience` without an evaluation set/],
    [{ share: 0.1, data: "arithmetic:test" }, /^UsageError: Only one of/],
    [{ share: 0.1, keepBest: "accuracy" }, /it needs option `evaluation.answers`/],
    [
      { share: 0.1, generate: 0 },
      /^UsageError: Evaluation option generate must be a whole number of at least 1: got 0$/,
    ],
    [
      { share: 0.1, evry: 2 } as AlignOptions["evaluation"],
      /^UsageError: Unknown option evaluation.evry of train: did you mean every\?$/,
    ],
  ];
  for (const [evaluation, message] of refused) assert.throws(() => resolveAlign({ evaluation }), message);
  assert.equal(
    resolveAlign({ evaluation: { share: 0.1, generate: 2, keepBest: "accuracy" } }).evaluation!.generate,
    2,
  );
  const { seed, keepBest, answers } = evaluationOfTraining(
    { share: 0.1, keepBest: "accuracy", generate: 3 },
    { compares: false, data: undefined, seed: 5, maxTokens: 9, prompt: {} },
  );
  assert.deepEqual([seed, keepBest, answers?.questions], [5, "accuracy", 3]);
});

test("test problems that a run trains on or is chosen by are counted", async () => {
  const problems = (...asked: string[]) =>
    async function* () {
      for (const question of asked) yield await Promise.resolve({ id: question, question });
    };
  const sets = {
    train: problems("a", "b", "c"),
    test: problems("c", "d", " e "),
    evaluationProblems: problems("e", "d"),
  };
  const told = async (evaluation: { keepBest?: string; patience?: number } | undefined) => {
    const lines: string[] = [];
    assert.deepEqual(await countProblems({ ...sets, evaluation }, (line) => void lines.push(line)), {
      trained: 3,
      tested: 3,
      evaluated: 2,
    });
    return lines.map((line) => line.split(/[,:]/)[0]);
  };
  const trained = "1 of 3 test problems are training problems too";
  assert.deepEqual(await told({}), [trained], "looking at them decides nothing");
  const both = [trained, "2 of 3 test problems are evaluation problems too"];
  assert.deepEqual(await told({ keepBest: "loss" }), both);
  assert.deepEqual(await told({ patience: 1 }), both);
});

test("about sixty lines of metrics a training, unless so many steps are asked for", () => {
  // 640 problems in batches of 16: 40 steps a pass.
  const { logEvery } = resolveAlign({});
  assert.deepEqual([1, 4, 60].map(logEvery), [1, 3, 40]);
  assert.equal(resolveAlign({ logEvery: 7 }).logEvery(4), 7);
});

test("rows are explained by their names, later rounds together", () => {
  const names = explainRows(["vft", "control", "aft-dc", "control round 2", "aft-dc round 2"]).map((
    { name },
  ) => name);
  assert.deepEqual(names, ["vft", "control", "aft-dc", "… round 2 and later"]);
});
