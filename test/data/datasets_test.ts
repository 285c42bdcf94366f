import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { findAnswer, isRight } from "../../lib/data/answers.ts";
import { datasets, findDataset, readProblem, templateOf } from "../../lib/data/datasets.ts";
import { loadDataset, type LoadOptions } from "../../lib/data/load_dataset.ts";
import { renderPrompt } from "../../lib/data/prompts.ts";
import type { Problem } from "../../lib/data/records.ts";
import { filesOfSplit } from "../../lib/data/split_files.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { withHub } from "../hub/_hub_server.ts";

const directory = fileURLToPath(new URL("../../../shared/data", import.meta.url));
const skip = existsSync(directory) ? false : "the shared data are not beside the project";

async function load(spec: string, options: LoadOptions = {}): Promise<Problem[]> {
  const problems: Problem[] = [];
  for await (const problem of loadDataset(spec, options)) problems.push(problem);
  return problems;
}

const where = { source: "f.jsonl", record: 1 };
const failure = async (promise: Promise<unknown>): Promise<InputError> => {
  const error = await promise.then(() => null, (error) => error);
  assert.ok(error instanceof InputError, String(error?.stack));
  return error;
};

/** A folder with files, removed afterwards. */
async function withFolder(
  files: Record<string, string>,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sets-"));
  try {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(folder, name, ".."), { recursive: true });
      await writeFile(join(folder, name), content);
    }
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const lines = (name: string, count: number) =>
  Array.from(
    { length: count },
    (_, i) => JSON.stringify({ id: `${name}${i}`, question: "Q", answer: i }) + "\n",
  ).join("");

test("rows as each data set publishes them", () => {
  assert.deepEqual(
    readProblem({
      question: "Q?",
      options: ["A)5(√3 + 1)", "B) x"],
      rationale: "so.\nAnswer : A",
      correct: "A",
    }, where),
    {
      id: "line-1",
      question: "Q?",
      choices: ["5(√3 + 1)", "x"],
      reference: "so.\nThe answer is A.",
      answer: "A",
      dataset: "aqua",
    },
  );
  // An ending that states the right option's text states the letter: it is replaced, not doubled.
  const stated = {
    question: "Q?",
    options: ["A) 12", "B) 15"],
    rationale: "7 + 8.\nAnswer : 15",
    correct: "B",
  };
  assert.equal(readProblem(stated, where).reference, "7 + 8.\nThe answer is B.");
  assert.deepEqual(
    readProblem({
      ID: "chal-1",
      Body: "A pack costs 76",
      Question: "How much?",
      Equation: "( 76.0 )",
      Answer: 51.0,
      Type: "S",
    }, where),
    {
      id: "svamp-chal-1",
      question: "A pack costs 76. How much?",
      answer: "51",
      equation: "( 76.0 )",
      type: "S",
      dataset: "svamp",
    },
  );
  assert.deepEqual(
    readProblem(
      { question: " Q ", choice0: "w", choice1: "x", choice2: "y", choice3: "z", answer: "2" },
      { ...where, source: "mmlu/test/formal_logic_test.csv" },
    ),
    {
      id: "line-1",
      question: "Q",
      choices: ["w", "x", "y", "z"],
      answer: "C",
      subject: "formal_logic",
      dataset: "mmlu",
    },
  );
  assert.equal(
    readProblem({ question: "Q", subject: "anatomy", choices: ["w", "x", "y", "z"], answer: 3 }, where)
      .answer,
    "D",
  );
  assert.deepEqual(
    readProblem({
      q_no: "n1",
      q_text: "Q",
      q_op1: "a",
      q_op2: "b",
      q_op3: "c",
      q_op4: "d",
      q_op5: "e",
      q_ans: "b",
      taskB: "Because. ",
    }, where),
    {
      id: "ecqa-n1",
      question: "Q",
      choices: ["a", "b", "c", "d", "e"],
      reference: "Because.\nThe answer is B.",
      answer: "B",
      dataset: "ecqa",
    },
  );
  assert.deepEqual(
    readProblem(
      { question: "Q", ground_truth: "1+1\nA: 2", m: { is_correct: false, solution: "3" } },
      where,
    ),
    {
      id: "line-1",
      question: "Q",
      reference: "1+1\n#### 2",
      candidates: [{ source: "m", text: "3", correct: false }],
      answer: "2",
      dataset: "gsm8k",
    },
  );
});

test("rated explanations: ratings become rewards, the letter is added, the people's own is the reference", () => {
  const row = {
    id: "e",
    question: "Q",
    choices: ["a", "b", "c", "d", "e"],
    answer: "B",
    candidates: [{ source: "feb/gpt3", text: "b is.", score: 0.1 }, {
      source: "ecqa-gold(human)",
      text: "It is b.",
      score: 1,
    }],
  };
  const expected = {
    ...row,
    reference: "It is b.\nThe answer is B.",
    candidates: [
      { source: "feb/gpt3", text: "b is.\nThe answer is B.", reward: 0.1 },
      { source: "ecqa-gold(human)", text: "It is b.\nThe answer is B.", reward: 1 },
    ],
    dataset: "ecqa",
  };
  const problem = readProblem(row, where);
  assert.deepEqual(problem, expected);
  assert.deepEqual(readProblem(problem, where), expected); // what a step wrote reads as it is
});

test("a record of our own, or of nobody's, keeps what it says", () => {
  const own = { id: "x", question: "Q", answer: "B", dataset: "aqua", choices: ["4", "5"] };
  assert.deepEqual(readProblem(own, where), own);
  assert.deepEqual(readProblem({ question: "Q" }, where), { id: "line-1", question: "Q" });
  assert.deepEqual(readProblem({ question: "Q" }, where, { dataset: "svamp" }), {
    id: "line-1",
    question: "Q",
    dataset: "svamp",
  });
  assert.throws(() => readProblem(["Q"], where), InputError);
  assert.equal(templateOf(own), datasets.aqua.template);
  assert.equal(templateOf({ id: "x", question: "Q", dataset: "toString" }), undefined);
});

test("files of a split", () => {
  const of = (paths: string, split: string) => filesOfSplit(paths.split(" "), split).join(" ");
  assert.equal(of("train.jsonl train_socratic.jsonl test.jsonl LICENSE", "train"), "train.jsonl");
  assert.equal(of("dev.json test.json", "validation"), "dev.json");
  assert.equal(of("dev/a.csv dev/b.csv test/a_test.csv", "dev"), "dev/a.csv dev/b.csv");
  assert.equal(
    of("main/train-00000-of-00002.parquet main/train-00001-of-00002.parquet main/test-0.parquet", "train"),
    "main/train-00000-of-00002.parquet main/train-00001-of-00002.parquet",
  );
  assert.equal(
    of("all/auxiliary_train-0.parquet all/dev-0.parquet all/test-0.parquet", "test"),
    "all/test-0.parquet",
  );
  assert.equal(of("SVAMP.json README.md", "test"), "SVAMP.json");
  assert.equal(of("a.json b.json", "test"), "");
  assert.equal(of("train.jsonl notes.jsonl", "test"), ""); // not: the one file that names no split
});

test("paths: a file, a directory with and without a split, ids, limit", async () => {
  await withFolder({
    "train.jsonl": lines("t", 3),
    "dev.csv": "question,answer\nQ,1\n",
    "a,b*2.jsonl": lines("c", 1),
  }, async (folder) => {
    assert.deepEqual((await load(`${folder}/train.jsonl`)).map(({ id }) => id), ["t0", "t1", "t2"]);
    assert.deepEqual((await load(folder, { limit: 2 })).map(({ id }) => id), ["t0", "t1"]);
    assert.deepEqual(await load(`${folder}:validation`), [{ id: "line-2", question: "Q", answer: "1" }]);
    assert.equal((await load(`${folder}/a,b*2.jsonl`)).length, 1);
    assert.deepEqual(await load(folder, { limit: 0 }), []);
    assert.match(
      (await failure(load(`${folder}:test`))).message,
      /^Cannot find the split test in .*expected test\.jsonl or the like, found a,b\*2\.jsonl, dev\.csv, train\.jsonl$/,
    );
    assert.match(
      (await failure(load(`${folder}/none.jsonl`))).message,
      /^Cannot read .*none\.jsonl: no such file or directory$/,
    );
    assert.ok(await failure(load(`${folder}/train.jsonl:test`)) instanceof UsageError);
  });
});

test("a mixture has each part as often as its weight says, in the part's order, evenly and by the seed", async () => {
  await withFolder(
    { "a.jsonl": lines("a", 60), "b.jsonl": lines("b", 30), "c.jsonl": lines("c", 40) },
    async (folder) => {
      const spec = `${folder}/a.jsonl, ${folder}/b.jsonl*2,${folder}/c.jsonl*0.25`;
      const ids = (await load(spec, { seed: 3 })).map(({ id }) => id);
      const of = (name: string) => ids.filter((id) => id.startsWith(name)).map((id) => Number(id.slice(1)));
      assert.deepEqual(of("a"), Array.from({ length: 60 }, (_, i) => i));
      assert.deepEqual(of("b"), Array.from({ length: 60 }, (_, i) => i % 30));
      assert.equal(of("c").length, 10);
      assert.ok(of("c").every((n, i, all) => i === 0 || n > all[i - 1]), "in order, each once");
      const early = ids.slice(0, 65).filter((id) => id.startsWith("a")).length;
      assert.ok(early > 18 && early < 42, `${early} of 60 in the first half`); // 4 standard deviations
      assert.deepEqual((await load(spec, { seed: 3 })).map(({ id }) => id), ids);
      assert.notDeepEqual((await load(spec, { seed: 4 })).map(({ id }) => id), ids);
      assert.deepEqual((await load(spec, { seed: 3, limit: 7 })).map(({ id }) => id), ids.slice(0, 7));
    },
  );
});

test("mistyped names and splits get a suggestion, wrong weights are refused", async () => {
  const message = async (spec: string) => {
    const error = await failure(load(spec));
    assert.ok(error instanceof UsageError, spec);
    return error.message;
  };
  assert.match(
    await message("gsm8l:train"),
    /one of arithmetic, .*gsm8k.*: got "gsm8l": did you mean gsm8k\?$/,
  );
  assert.match(await message("arithmetic,nothing_like_it"), /got "nothing_like_it"$/);
  assert.match(
    await message("arithmetic:trian"),
    /^Split of arithmetic must be one of train, test: got "trian"$/,
  );
  for (const spec of ["arithmetic*0", "", "arithmetic,"]) await message(spec);
  assert.throws(() => findDataset("constructor"), UsageError);
});

test("embedded sets: right by their own answers, split and seed heeded", async () => {
  for (const name of ["arithmetic", "arithmetic-long", "options", "ranked"]) {
    const problems = await load(`${name}:test`, { limit: 20 });
    assert.equal(problems.length, 20);
    for (const problem of problems) {
      assert.equal(problem.dataset, name);
      assert.ok(isRight(problem, findAnswer(problem, problem.reference!, { strict: true })), problem.id);
      assert.match(renderPrompt(problem, { template: templateOf(problem) }), /^Question: [^]*\nAnswer:$/);
      assert.equal(datasets[name].kind === "option", problem.choices !== undefined);
      for (const { text, correct } of problem.candidates ?? []) {
        assert.equal(isRight(problem, findAnswer(problem, text)), correct, text);
      }
    }
  }
  assert.equal((await load("arithmetic:test")).length, 500);
  assert.equal(
    (await load("arithmetic:test", { limit: 620 })).length,
    620,
    "an embedded set is as long as asked",
  );
  assert.equal((await load("arithmetic:test,options:test", { limit: 1_100 })).length, 1_000);
  const ids = (problems: Problem[]) => problems.map(({ question }) => question);
  const test = await load("arithmetic:test", { embedded: { count: 5 } });
  assert.equal(test.length, 5);
  assert.notDeepEqual(ids(await load("arithmetic:test", { embedded: { count: 5, seed: 2 } })), ids(test));
  assert.deepEqual(ids(await load("arithmetic:test", { limit: 5, seed: 9 })), ids(test));
});

test(
  "real files by name from a directory: every problem has a question and an answer of its kind",
  { skip },
  async () => {
    const sizes: Record<string, number> = {
      "gsm8k:train": 7473,
      "gsm8k:test": 1319,
      "aqua:dev": 254,
      "aqua:test": 254,
      "mmlu:dev": 20,
      "mmlu:test": 1615,
      "svamp": 1000,
      "ecqa": 482,
      [`${directory}/ecqa`]: 482,
      [`${directory}/candidates/sft.jsonl`]: 400,
    };
    for (const [spec, size] of Object.entries(sizes)) {
      const problems = await load(spec, { directory });
      assert.equal(problems.length, size, spec);
      assert.equal(new Set(problems.map(({ id }) => id)).size, size, `ids of ${spec}`);
      const { kind } = datasets[problems[0].dataset!];
      for (const problem of problems) {
        assert.match(problem.answer!, kind === "option" ? /^[A-E]$/ : /^-?[\d.]+$/);
        assert.ok(problem.question.length > 5);
        if (problem.reference !== undefined) {
          assert.ok(
            isRight(problem, findAnswer(problem, problem.reference, { strict: true })),
          );
        }
      }
    }
    const groups = await load(`${directory}/gsm8k/example_model_solutions.jsonl`);
    assert.deepEqual(groups.map(({ candidates }) => candidates!.length), new Array(1319).fill(4));
    assert.match(
      (await failure(load("ecqa", { directory: `${directory}/mmlu` }))).message,
      /^Cannot find the split train in/,
    );
  },
);

test("by name from the hub", { skip }, async () => {
  const files = Object.fromEntries(["train", "test"].map((split) => [
    `main/${split}.jsonl`,
    new Uint8Array(readFileSync(`${directory}/gsm8k/${split}.jsonl`)),
  ]));
  await withHub({ files: { ...files, "README.md": new Uint8Array([35]) } }, async (hubServer, hub) => {
    const problems = await load("gsm8k:test", { hub });
    assert.deepEqual(problems, await load("gsm8k:test", { directory }));
    assert.deepEqual(await load("gsm8k:test", { hub: { ...hub, offline: true } }), problems);
    assert.ok(!hubServer.requests.some((request) => request.includes("train")), "only what was asked for");
    assert.match(
      (await failure(load("gsm8k:train", { hub: { ...hub, offline: true } }))).message,
      /^Cannot find the split train/,
    );
    assert.match(
      (await failure(
        load("gsm8k", {
          hub: { ...hub, endpoint: "http://127.0.0.1:9", cacheDirectory: `${hub.cacheDirectory}/x` },
        }),
      )).message,
      /^Cannot download openai\/gsm8k from http:\/\/127\.0\.0\.1:9: /,
    );
  });
});
