/** Labels from votes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Group } from "../../lib/data/records.ts";
import { labelByMajority } from "../../lib/feedback/majority.ts";
import { tallyVotes } from "../../lib/feedback/votes.ts";
import { lossOf } from "../../lib/objectives/objectives.ts";
import { collect } from "../_models.ts";

const groupOf = (id: string, answers: readonly (string | null)[], more: Partial<Group> = {}): Group => ({
  id,
  question: "How many?",
  candidates: answers.map((answer, i) => ({
    text: answer === null ? "I do not know" : `${i}. #### ${answer}`,
  })),
  ...more,
});

async function vote(groups: readonly Group[]) {
  const told: string[] = [];
  const listener = { warn: (line: string) => told.push(line), note: (line: string) => told.push(line) };
  return { groups: await collect(labelByMajority(groups, { listener })), told };
}

test("the tally: most votes first, of a tie the earlier answer", () => {
  assert.deepEqual(tallyVotes(["3", "7", null, "7.0", "3", "1"]), [
    { answer: "3", votes: 2 },
    { answer: "7", votes: 2 },
    { answer: "1", votes: 1 },
  ]);
  assert.deepEqual(tallyVotes([null, null]), []);
});

test("labels, shares and ranks by hand: 5, 5, 6, none and 5.00 of five", async () => {
  const { groups, told } = await vote([groupOf("a", ["5", "5", "6", null, "5.00"])]);
  const fields = groups[0]!.candidates.map(({ correct, reward, rank }) => [correct, reward, rank]);
  assert.deepEqual(fields, [[true, 0.6, 1], [true, 0.6, 1], [false, 0.2, 2], [false, 0, 3], [true, 0.6, 1]]);
  assert.deepEqual(told, [
    "1 of 5 candidates have no answer that could be found: they count as wrong and have no vote",
  ]);
});

test("ties and questions without an answer are left out, with counts", async () => {
  const { groups, told } = await vote([
    groupOf("tied", ["1", "2", "2", "1", "3"]),
    groupOf("clear", ["1", "2", "2"]),
    groupOf("silent", [null, null]),
    groupOf("empty", []),
    groupOf("one each", ["1", "2"]),
  ]);
  assert.deepEqual(groups.map(({ id }) => id), ["clear"]);
  assert.deepEqual(told, [
    "2 of 12 candidates have no answer that could be found: they count as wrong and have no vote",
    "2 of 5 questions have several answers with most votes: they are left out",
    "2 of 5 questions have no candidate with an answer: they are left out",
  ]);
});

test("the record's own answer and labels decide nothing; how often the vote has it right is said", async () => {
  const own = groupOf("own", ["4", "4", "5"], { answer: "5" });
  const labelled = {
    ...own,
    candidates: own.candidates.map((c) => ({ ...c, correct: c.text.endsWith("5") })),
  };
  const { groups, told } = await vote([
    labelled,
    groupOf("right", ["7", "7"], { answer: "7" }),
    groupOf("x", ["1"]),
  ]);
  assert.deepEqual(groups[0]!.candidates.map(({ correct }) => correct), [true, true, false]);
  assert.deepEqual(told, ["The majority is right in 1 of 2 questions that have an answer"]);
});

test("options are voted on by their letters", async () => {
  const texts = ["The answer is (B).", "B", "#### A"];
  const group = { ...groupOf("o", []), choices: ["one", "two"], candidates: texts.map((text) => ({ text })) };
  const { groups } = await vote([group]);
  assert.deepEqual(groups[0]!.candidates.map(({ correct }) => correct), [true, true, false]);
});

test("nothing at all to learn from is one line", async () => {
  await assert.rejects(vote([groupOf("a", ["1", "2"]), groupOf("b", [null])]), {
    name: "InputError",
    message:
      "Cannot label by majority: none of 2 questions has an answer with most votes (1 tied, 1 without any answer)",
  });
  assert.deepEqual((await vote([])).groups, []);
});

test("scpo weighs a question by its vote: the golden group of 9 samples", async () => {
  // Votes 3, 3, 1, 2 of 9: as many candidates as votes, of which four are scored here.
  const { groups } = await vote([groupOf("g", ["1", "1", "1", "2", "3", "3", "4", "5", "6"])]);
  const shares = groups[0]!.candidates.map(({ reward }) => reward!);
  const picked = [0, 1, 3, 4].map((i) => shares[i]!);
  assert.deepEqual(picked, [3 / 9, 3 / 9, 1 / 9, 2 / 9]);
  const { value } = lossOf("scpo", {
    scores: [-0.9, -0.6, -1.4, -0.7],
    lengths: [10, 14, 8, 12],
    referenceLogprobs: [-10, -8, -10.4, -9],
    reward: picked,
  });
  assert.ok(Math.abs(value - 0.2758119722) < 1e-10);
});
