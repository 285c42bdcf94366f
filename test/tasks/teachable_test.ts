/** What a file cannot teach is said before the first step, with counts, in every task that trains. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { at, base, inPairs, run, write } from "../_commands.ts";

const ask = (i: number) => `Tom has ${i} apples and buys 3 more. How many apples has he?`;
const problem = (i: number) => ({
  id: `q${i}`,
  question: ask(i),
  answer: `${i + 3}`,
  reference: `${i} + 3 = ${i + 3}\n#### ${i + 3}`,
});
const mixed = [{ text: "so 4\n#### 4", correct: true }, { text: "so 9\n#### 9", correct: false }];
const right = mixed.map((candidate) => ({ ...candidate, correct: true }));
const wrong = mixed.map((candidate) => ({ ...candidate, correct: false }));
const group = (i: number, candidates: object[] = mixed) => ({ ...problem(i), candidates });
const bare = (i: number, candidates: object[] = mixed) => {
  const { reference: _, ...rest } = group(i, candidates);
  return rest;
};
const pair = (i: number, chosen: string, rejected: string) => ({ prompt: ask(i), chosen, rejected });
const single = (i: number, correct: boolean) => bare(i, [{ text: `${i + 3}`, correct, logprob: -3 }]);

const empty = "2 empty answers are left out: they would teach to say nothing";
const unpaired = "have no better and worse candidate: they add no alignment loss";
const l_vft = "have no reference: aft trains them without its likelihood term L_VFT, which is another method";
const ids = '2 ids stand for several questions, such as "line-1": messages cannot tell them apart';
/** Two halves of a file whose records were named by their lines. */
const halves = [1, 2, 3, 4].map((i) => ({ ...group(i), id: `line-${i % 2 + 1}` })).toReversed();

/** Task and objective, records, exit code, and what stands on standard error. */
const cases: [task: string, objective: string, records: object[], code: number, said: string[]][] = [
  ["vft", "", [{ ...problem(1), reference: "" }, { ...problem(2), reference: " \n" }, problem(3)], 0, [
    empty,
  ]],
  ["vft", "", [{ ...problem(1), reference: "" }, { ...problem(2), reference: " " }], 1, [
    empty,
    "Cannot train vft: none of the 2 records has a response to train on",
  ]],
  ["vft", "", halves, 0, [ids]],
  ["ca-align", "rft", halves, 0, [ids]],
  ["ca-align", "aft", halves, 0, [ids]],
  // The same question twice is no mistake: data sets have weights.
  ["ca-align", "aft", [group(1), group(1)], 0, []],
  ["ca-align", "simpo", [{ ...group(1), reference: "" }, { ...group(2), reference: " " }], 0, [empty]],
  ["ca-align", "simpo", [pair(1, "4", "4"), pair(2, "5", "9")], 0, [
    "1 of 2 pairs have two equal sides: nothing can be learned from them",
    `1 of 2 groups ${unpaired}`,
  ]],
  ["ca-align", "simpo", [pair(1, "4", "4")], 1, [
    "1 of 1 pairs have two equal sides: nothing can be learned from them",
    `1 of 1 groups ${unpaired}`,
    "Cannot train simpo: none of the 1 groups has a better and a worse candidate: got 1 pair with two equal sides",
  ]],
  ["ca-align", "aft", [bare(1), group(2)], 0, [`1 of 2 groups ${l_vft}`]],
  ["ca-align", "aft", [group(1, right), group(2, right)], 0, [
    `2 of 2 groups ${unpaired}; aft trains nothing but the likelihood of references`,
  ]],
  ["ca-align", "aft", [bare(1, right), bare(2, right)], 1, [
    `2 of 2 groups ${unpaired}`,
    `2 of 2 groups ${l_vft}`,
    "Cannot train aft: none of the 2 groups has a better and a worse candidate: got 4 responses, all marked right",
  ]],
  ["ca-align", "simpo", [bare(1, right), bare(2, wrong)], 1, [
    `2 of 2 groups ${unpaired}`,
    "Cannot train simpo: none of the 2 groups has a better and a worse candidate: got 2 right and 2 wrong responses, " +
    "never both in one group",
  ]],
  ["ca-align", "rft", [bare(1, wrong), group(2)], 0, [
    "1 of 2 records have no right response: rft leaves them out",
  ]],
  ["ca-align", "kto", [single(1, true), single(2, true)], 0, [
    "All 2 responses are marked right: kto sees no other side, and raises them all",
  ]],
  ["ca-align", "kto", [single(1, false), single(2, false)], 0, [
    "All 2 responses are marked wrong: kto sees no other side, and lowers them all",
  ]],
  ["ca-align", "kto", [single(1, true), single(2, false)], 0, []],
];

test("what nothing can be learned from is said before the first step, with counts", async () => {
  await inPairs(
    cases.map((entry, i) => [i, ...entry] as const),
    async ([i, task, objective, records, code, said]) => {
      const { code: ended, out, err } = await run(task, [
        ...["--model", base, "--backend", "wasm", "--steps", "1", "--log-every", "1", "--quiet"],
        ...["--input", write(`teachable-${i}.jsonl`, records), "--out", at(`teachable-${i}`)],
        ...(objective === "" ? [] : ["--objective", objective]),
      ]);
      const what = `case ${i}: ${task} ${objective}`;
      assert.equal(err, said.map((line) => `${task}: ${line}\n`).join(""), what);
      assert.equal(ended, code, what);
      assert.equal(out === "", code !== 0, what);
    },
  );
});
