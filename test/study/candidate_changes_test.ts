import assert from "node:assert/strict";
import { test } from "node:test";
import { changed, mixed } from "../../lib/study/candidate_changes.ts";
import { bySoundness, isSound } from "../../lib/study/soundness.ts";
import type { Group } from "../../lib/data/records.ts";

const problem = {
  id: "p",
  question: "Tom has 1,200 balls. He buys twice as many and loses 600. How many has he?",
  reference: "2 * 1200 = 2400. 1200 + 2400 = 3600. 3600 - 600 = 3000.\n#### 3000",
  answer: "3000",
};

test("a chain is sound where its answer is right and each step follows, by hand", () => {
  const chains: readonly (readonly [string, boolean])[] = [
    [problem.reference, true],
    ["1,200 * 2 = 2,400. 2,400 + 1,200 = 3,600. 3,600 - 600 = 3,000\n#### 3,000", true], // commas
    ["2400 - 600 = 1800. 1200 + 1800 = 3000.\n#### 3000", false], // 2400 comes from nowhere
    ["2 * 1200 = 2400. 2400 + 600 = 3000.\n#### 3000", true], // all follows, though the story says otherwise
    ["2 * 1200 = 2300. 2300 + 1200 = 3500. 3600 - 600 = 3000.\n#### 3000", false], // slips
    ["2 * 1200 = 2400. 1200 + 2400 = 3600.\n#### 3000", false], // the answer is not the last value
    ["2 * 1200 = 2400. 1200 + 2400 = 3600. 3600 - 600 = 3000.\n#### 3001", false], // a wrong answer
    ["So it is 3000.\n#### 3000", false], // no step
    ["", false],
  ];
  for (const [text, sound] of chains) assert.equal(isSound(problem, text), sound, text);
  const candidates = chains.map(([text]) => ({ text }));
  const kinds = bySoundness(problem, candidates);
  assert.deepEqual([kinds.sound.length, kinds.lucky.length, kinds.wrong.length], [3, 4, 2]);
  // A label that a candidate brings decides what is right.
  assert.equal(bySoundness(problem, [{ text: problem.reference, correct: false }]).wrong.length, 1);
});

const groups = (count: number): Group[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `g${i}`,
    question: "2 + 3?",
    reference: "2 + 3 = 5.\n#### 5",
    answer: "5",
    candidates: [
      { text: "2 + 3 = 5.\n#### 5", correct: true },
      { text: "9 - 4 = 5.\n#### 5", correct: true },
      { text: "3 - 2 = 1.\n#### 1", correct: false },
    ],
  }));

async function* given(list: readonly Group[]): AsyncGenerator<Group> {
  yield* list;
}

const labels = async (list: readonly Group[], change: Parameters<typeof changed>[1], seed = 0) =>
  (await Array.fromAsync(changed(given(list), change, seed))).map(({ candidates }) =>
    candidates.map(({ correct }) => correct)
  );

test("a share of labels is flipped, the same ones whatever else is in the file", async () => {
  const list = groups(1000), flat = (await labels(list, { flipped: 0.2 })).flat();
  const right = list.flatMap(({ candidates }) => candidates.map(({ correct }) => correct));
  const flips = flat.filter((label, i) => label !== right[i]).length;
  assert.ok(Math.abs(flips - 600) < 3.3 * Math.sqrt(3000 * 0.2 * 0.8), `${flips}`);
  assert.deepEqual(
    await labels(list.slice(400, 410), { flipped: 0.2 }),
    (await labels(list, { flipped: 0.2 })).slice(400, 410),
  );
  assert.notDeepEqual(await labels(list, { flipped: 0.2 }, 1), await labels(list, { flipped: 0.2 }));
  assert.deepEqual((await labels(list, { flipped: 0 })).flat(), right);
  assert.deepEqual((await labels(list, { flipped: 1 })).flat(), right.map((label) => !label));
  assert.deepEqual(await labels(groups(1), { first: 2 }), [[true, true]]);
  // What has no label gets none.
  const bare = [{ ...groups(1)[0]!, candidates: [{ text: "#### 5" }] }];
  assert.deepEqual(await labels(bare, { flipped: 1 }), [[undefined]]);
});

test("labels by sound steps leave lucky chains out, ranks by steps put them between", async () => {
  assert.deepEqual(await labels(groups(1), { labels: "sound steps" }), [[true, false, false]]);
  const [ranked] = await Array.fromAsync(changed(given(groups(1)), { labels: "step ranks" }, 0));
  // Agreement of steps: 1, 1 (the value 5 is the reference's, whatever it is computed from), and 0.
  assert.deepEqual(ranked!.candidates.map(({ rank }) => rank), [1, 1, 2]);
});

test("own candidates take the place of a share of those that are brought, and all are ranked anew", async () => {
  const own = groups(2).map((group) => ({
    ...group,
    candidates: [{ text: "own #### 5", correct: true }, { text: "own #### 4", correct: false }],
  }));
  const texts = async (share: number, count = 3) =>
    (await Array.fromAsync(mixed(given(groups(2)), given([...own].reverse()), { share, count }))).map((
      group,
    ) => group.candidates.map(({ text, rank }) => `${text.slice(0, 3)} ${rank}`));
  assert.deepEqual(await texts(0), [["2 + 1", "9 - 1", "3 - 2"], ["2 + 1", "9 - 1", "3 - 2"]]);
  assert.deepEqual((await texts(1 / 3))[1], ["own 2", "2 + 1", "9 - 1"]);
  // One that wrote too few is filled up.
  assert.deepEqual((await texts(1))[0], ["own 2", "own 3", "2 + 1"]);
});
