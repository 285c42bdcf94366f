/** Candidates that are brought: cross-validation by fifths. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { at, lines, run, write } from "../_commands.ts";

/** Questions whose right candidates all have one ending, and whose wrong ones have another. */
const groups = (count: number) =>
  Array.from({ length: count }, (_, i) => {
    const a = i + 2, b = 3 * i + 1;
    return {
      id: `g${i}`,
      question: `${a} + ${b}?`,
      reference: `${a} + ${b} = ${a + b}.\n#### ${a + b}`,
      answer: String(a + b),
      candidates: [
        { text: `${a} + ${b} = ${a + b}.\nA: ${a + b}`, answer: String(a + b), correct: true },
        { text: `${b} + ${b} = ${2 * b}.\n#### ${2 * b}`, answer: String(2 * b), correct: false },
      ],
    };
  });
const quick = ["--quick", "--only", "folds", "--backend", "wasm", "--quiet"];

test("five seeds hold each question out once, train on the others, and measure both", async () => {
  // Two without a pair are left out.
  const one = groups(13).map((group, i) =>
    i < 2 ? { ...group, candidates: group.candidates.slice(0, 1) } : group
  );
  const file = write("groups.jsonl", lines(one)), out = at("folds");
  const { code, err } = await run("study", [
    ...quick,
    "--groups",
    file,
    "--seeds",
    "5",
    "--methods",
    "VFT,AFT",
    "--out",
    out,
  ]);
  assert.equal(code, 0, err);
  const { experiments: [outcome] } = JSON.parse(readFileSync(`${out}/results.json`, "utf8"));
  assert.match(outcome.size, /^11 questions, /);
  const [unseen, seen] = outcome.tables;
  const names = ["before", "VFT", "AFT, no constraint", "AFT-DC", "AFT-BC"];
  for (const table of [unseen, seen]) {
    assert.deepEqual(table.rows.map(({ method }: { method: string }) => method), names);
    for (const row of table.rows) assert.equal(row.assessment_accuracy.values.length, 5);
  }
  assert.deepEqual(outcome.claims.map(({ claim }: { claim: string }) => claim), [
    "AFT-DC assesses candidates of unseen questions better than VFT",
    "AFT-BC assesses candidates of unseen questions better than VFT",
  ]);
  // 11 questions in fifths: 3, 2, 2, 2, 2 held out.
  const problems = outcome.claims[0].estimate.problems;
  assert.equal(problems, 3);
});

test("without a file, with one that is not there, or with too few questions: one line", async () => {
  const few = write("few.jsonl", lines(groups(9)));
  for (
    const [more, code, err] of [
      [[], 2, "study: Experiment folds needs --groups: a file of questions with labelled candidates\n"],
      [
        ["--groups", at("none.jsonl")],
        2,
        `study: Cannot read ${at("none.jsonl")}: no such file or directory\n`,
      ],
      [
        ["--groups", few],
        1,
        `study: Cannot use ${few}: experiment folds must have 10 questions with right and wrong candidates: got 9\n`,
      ],
    ] as const
  ) {
    const got = await run("study", [...quick, ...more, "--out", at("refused")]);
    assert.deepEqual([got.code, got.err, existsSync(at("refused"))], [code, err, false]);
  }
});
