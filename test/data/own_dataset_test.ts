import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { findAnswer, isRight } from "../../lib/data/answers.ts";
import { readProblem, templateOf } from "../../lib/data/datasets.ts";
import { formatRecord } from "../../lib/data/jsonl.ts";
import { loadDataset, type LoadOptions } from "../../lib/data/load_dataset.ts";
import type { OwnDataSet } from "../../lib/data/own_dataset.ts";
import { parseProblem } from "../../lib/data/records.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { encodePrompt } from "../../lib/model/encode.ts";
import { loadModel } from "../../lib/model/load_model.ts";

const capitals: OwnDataSet = {
  name: "capitals",
  kind: "text",
  template: "Q: {question} ({continent})\nA:",
  rows: [{ of: "France", is: "Paris" }, { of: "Year one", is: "1" }],
  read: ({ of, is }) => ({ question: `Capital of ${of}?`, continent: "Europe", answer: is }),
};
const collect = (set: unknown, options: LoadOptions = {}) =>
  Array.fromAsync(loadDataset(set as OwnDataSet, options));

async function fails(set: object, kind: typeof InputError, pattern: RegExp, options: LoadOptions = {}) {
  await assert.rejects(collect({ ...capitals, ...set }, options), (error: Error) => {
    assert.equal(error.constructor, kind, String(error.stack));
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("\n"));
    return true;
  });
}

test("a data set of one's own: its rows read, its template asks, its kind of answer is used", async () => {
  const [paris, one] = await collect(capitals);
  assert.deepEqual(paris, {
    id: "capitals-train-0",
    question: "Capital of France?",
    continent: "Europe",
    answer: "Paris",
    dataset: "capitals",
    prompt_template: capitals.template,
  });
  // "1" looks like a number: as a number the response's last one would be taken, as a text its last line is.
  assert.equal(one!.answer_kind, "text");
  const response = "Of 27 states\nRome";
  assert.equal(findAnswer(one!, response), "Rome");
  const { answer_kind: _, ...guessed } = one!;
  assert.equal(findAnswer(guessed, response), "27");
  assert.ok(isRight(one!, findAnswer(one!, "#### 1")));
  // What a step writes keeps it.
  const again = parseProblem(JSON.parse(formatRecord(one!)), { source: "f", record: 1 });
  assert.deepEqual(again, one);
  assert.equal(templateOf(again), capitals.template);
  using model = await loadModel("fixtures/base", { backend: "wasm" });
  assert.equal(model.tokenizer.decode(encodePrompt(model, paris!)), "Q: Capital of France? (Europe)\nA:");
  assert.equal(
    model.tokenizer.decode(encodePrompt(model, paris!, { template: "{question}:" })),
    "Capital of France?:",
  );
});

test("rows from lists, streams, functions of the split and files; splits, limits and fields", async () => {
  const record = { question: "1+1?", answer: 2 };
  const stream = async function* () {
    yield await Promise.resolve(record);
  };
  const base = { name: "mine", kind: "number" as const };
  const folder = await mkdtemp(join(tmpdir(), "own-"));
  try {
    const path = join(folder, "a.csv");
    await writeFile(path, "question;answer\n1+1?;2\n");
    const sources = [[record], stream(), () => [record], () => stream(), path, () => path];
    for (const [i, rows] of sources.entries()) {
      assert.deepEqual(await collect({ ...base, rows }), [
        { id: "mine-train-0", question: "1+1?", answer: "2", dataset: "mine" },
      ], `source ${i}`);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  const bySplit = {
    ...base,
    rows: (split: string) => [{ question: split, answer: 1 }, { question: split, answer: 2 }],
  };
  const asked = async (set: object, options?: LoadOptions) =>
    (await collect(set, options)).map(({ id, question }) => [id, question]);
  assert.deepEqual(await asked(bySplit, { split: "dev", limit: 1 }), [["mine-dev-0", "dev"]]);
  assert.deepEqual(await asked({ ...bySplit, splits: ["a", "b"] }, { limit: 1 }), [["mine-a-0", "a"]]);
  assert.deepEqual(
    await asked({ ...base, rows: [{ id: "x", asks: "Q", answer: 1 }] }, { fields: { question: "asks" } }),
    [["x", "Q"]],
  );
  // Any shape that files may have.
  const talks = { ...base, kind: "text" as const, rows: [{ messages: [{ role: "user", content: "Hi" }] }] };
  assert.deepEqual(await asked(talks), [["mine-train-0", "Hi"]]);
});

test("what a data set of one's own lacks is one clear line", async () => {
  const { template: _, ...plain } = capitals;
  const row = (read: OwnDataSet["read"]) => ({ ...plain, template: undefined, read });
  await fails(
    { read: ({ is }: { is: string }) => ({ continent: "", answer: is }) },
    InputError,
    /record 1 of data set capitals: field "question" is missing/,
  );
  await fails(
    { read: () => ({ question: "Q" }) },
    InputError,
    /^Cannot read record 1 of data set capitals: field "continent" is missing: data set capitals asks for it in its template; got id, question$/,
  );
  await fails(
    { needs: ["reference"] },
    InputError,
    /field "reference" is missing: data set capitals needs it; got id, question, continent, answer$/,
  );
  await fails(
    { kind: "option" },
    InputError,
    /field "choices" is missing: data set capitals has options as answers/,
  );
  await fails(
    { kind: "number" },
    InputError,
    /field "answer" must be a number, as data set capitals says: got "Paris"$/,
  );
  await fails(
    { rows: [{ of: "x", is: "y" }, 7] },
    InputError,
    /record 2 of data set capitals: it must be an object: got 7$/,
  );
  await fails(
    row(() => undefined as unknown as object),
    InputError,
    /read of data set capitals must give an object: got nothing$/,
  );
  await fails(
    row(({ no }) => ({ question: (no as string).trim() })),
    InputError,
    /read of data set capitals failed: .*undefined/,
  );
  await fails(
    { name: "" },
    UsageError,
    /^Field name of a data set must be a text that is not empty: got ""$/,
  );
  await fails({ name: "gsm8k" }, UsageError, /must not be one of the project's own: got gsm8k$/);
  await fails(
    { kind: "letters" },
    UsageError,
    /^Field kind of a data set must be number, option or text: got "letters"$/,
  );
  await fails(
    { rows: 5 },
    UsageError,
    /^Rows of data set capitals must be a file, a list or stream of objects, or a func.*: got 5$/,
  );
  await fails({ needs: "reference" }, UsageError, /^Field needs of a data set must be a list of texts/);
  await fails(
    { raed: () => ({}) },
    UsageError,
    /^Unknown option raed of a data set, did you mean read|^Unknown option raed of a data set/,
  );
  await fails(
    { splits: ["train", "test"] },
    UsageError,
    /^Split of capitals must be one of train, test: got "tset"/,
    { split: "tset" },
  );
});

test("a named set's kind is used where its answer does not show it", () => {
  const row = { Body: "B", Question: "Q?", Answer: "about ten", Equation: "", Type: "" };
  assert.equal(readProblem(row, { source: "f", record: 1 }).answer_kind, "number");
  assert.equal(readProblem({ ...row, Answer: 10 }, { source: "f", record: 1 }).answer_kind, undefined);
});
