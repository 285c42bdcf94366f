/** Fields beside a known shape that change what it means: labels, answers, passages, options, pictures. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { readProblem } from "../../lib/data/datasets.ts";
import { parseGroup, parseProblem } from "../../lib/data/records.ts";

const where = { source: "f.jsonl", record: 1 }, id = "line-1";
const talk = [{ from: "human", value: "2+2?" }, { from: "gpt", value: "5" }];

test("LLaMA-Factory's kto_tag is a label: an answer marked wrong is no reference", () => {
  const wrong = { id, question: "2+2?", candidates: [{ text: "5", correct: false }] };
  assert.deepEqual(parseGroup({ conversations: talk, kto_tag: false }, where), wrong);
  assert.deepEqual(parseGroup({ instruction: "2+2?", input: "", output: "5", kto_tag: false }, where), wrong);
  assert.deepEqual(parseGroup({ instruction: "2+2?", output: "4", kto_tag: true }, where), {
    ...{ id, question: "2+2?", reference: "4" },
    candidates: [{ text: "4", correct: true }],
  });
  assert.deepEqual(parseGroup({ conversations: talk, kto_tag: 0 }, where), wrong);
  assert.throws(
    () => parseGroup({ conversations: talk, kto_tag: "maybe" }, where),
    /field "kto_tag" must be true or false: got "maybe"/,
  );
});

test("labels beside responses are theirs, one for each", () => {
  const read = (labels: unknown) => parseGroup({ query: "Q", responses: ["a", "b"], labels }, where);
  assert.deepEqual(read([0, true]).candidates, [{ text: "a", correct: false }, { text: "b", correct: true }]);
  assert.deepEqual(
    parseGroup({ query: "Q", responses: ["a", "b"], labels: [1, 0], scores: [2, null] }, where).candidates,
    [{ text: "a", correct: true, reward: 2 }, { text: "b", correct: false }],
  );
  assert.throws(() => read([1]), /field "labels" must have one label for each of 2 responses: got 1/);
  assert.throws(() => read([1, 0.5]), /field "labels\[1\]" must be true or false: got 0\.5/);
});

test("an answer of the assistant with train: false is not trained", () => {
  for (const field of ["train", "training"]) {
    const turns = [talk[0], { ...talk[1], [field]: false }, talk[0], { ...talk[1], [field]: true }];
    const { earlier } = parseProblem({ conversations: turns }, where) as unknown as { earlier: object[] };
    assert.deepEqual(earlier[1], { role: "assistant", content: "5", trained: false });
  }
});

test("right answers by other names, verl's inside of reward_model", () => {
  const prompt = [{ role: "user", content: "2+2?" }];
  for (const name of ["ground_truth", "expected_answer", "final_answer", "reference_answer"]) {
    for (const value of ["4", 4]) {
      assert.deepEqual(parseProblem({ prompt, [name]: value }, where), { id, question: "2+2?", answer: "4" });
    }
  }
  const verl = { prompt, reward_model: { style: "rule", ground_truth: "4" }, data_source: "x" };
  assert.equal(parseProblem(verl, where).answer, "4");
  assert.equal(parseProblem({ question: "Q", answer: "3", ground_truth: "4" }, where).answer, "3");
  assert.equal(parseProblem({ question: "Q", ground_truth: { text: "4" } }, where).answer, undefined);
  // A question with a ground truth is not the file of models' solutions that GSM8K's authors publish.
  const { question, answer, candidates } = readProblem({ question: "Q", ground_truth: "4" }, where) as never;
  assert.deepEqual([question, answer, candidates], ["Q", "4", undefined]);
});

test("a passage comes before its question; Dolly's context behind its instruction", () => {
  const asked = (record: object) => parseProblem(record, where).question;
  for (const name of ["context", "passage", "article"]) {
    assert.equal(
      asked({ [name]: "Ann has 9.", question: "How many?", answer: "9" }),
      "Ann has 9.\n\nHow many?",
    );
  }
  assert.equal(
    asked({ body: "Ann has 9.", question: "How many?", answer: "9 (apples)" }),
    "Ann has 9. How many?",
  );
  assert.equal(
    asked({ instruction: "How many?", context: "Ann has 9.", response: "9" }),
    "How many?\n\nAnn has 9.",
  );
  assert.equal(asked({ context: "", question: "How many?" }), "How many?");
  assert.equal(asked({ prompt: "P", question: "Q", context: "C" }), "Q");
});

test("options are choices where there is an answer, with and without their letters", () => {
  const expected = { choices: ["x", "y", "z"], answer: "B" };
  const lists: unknown[] = [["x", "y", "z"], ["A) x", "B) y", "C) z"], ["(A) x", "(B) y", "(C) z"], {
    A: "x",
    B: "y",
    C: "z",
  }];
  for (const options of lists) {
    const { choices, answer } = parseProblem({ question: "Q", options, answer: "B" }, where);
    assert.deepEqual({ choices, answer }, expected, JSON.stringify(options));
  }
  assert.equal(parseProblem({ question: "Q", options: ["x", "y"], answer: "y" }, where).answer, "B");
  assert.deepEqual(parseProblem({ question: "Q", options: ["A) x", "C) y"], answer: "A" }, where).choices, [
    "A) x",
    "C) y",
  ]);
  assert.equal(
    parseProblem({ question: "Q", options: { verbose: true }, answer: "4" }, where).choices,
    undefined,
  );
});

test("pictures and sounds are refused by name, not left out", () => {
  for (const name of ["image", "images", "video", "videos", "audio", "audios"]) {
    const record = {
      messages: [{ role: "user", content: "<image>What?" }, { role: "assistant", content: "A cat" }],
    };
    assert.throws(
      () => parseProblem({ ...record, [name]: ["a.jpg"] }, where),
      new RegExp(`field "${name}" is not read: the model would not see what it holds`),
    );
    assert.equal(parseProblem({ ...record, [name]: null }, where).reference, "A cat");
    assert.equal(parseProblem({ ...record, [name]: [] }, where).reference, "A cat");
  }
});
