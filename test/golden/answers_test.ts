/** What lm-evaluation-harness and gsm8k-ScRel find in answers, and what we find (tools/golden/answers.py). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { findAnswer, isRight } from "../../lib/data/answers.ts";
import { extractGsm8k, judgeGsm8k } from "../../lib/evaluate/gsm8k_rules.ts";

type Case = [
  text: string,
  strict: string,
  flexible: string,
  strictRight: boolean,
  flexibleRight: boolean,
  screl: string,
  screlRight: boolean,
];
const { reference, cases } = JSON.parse(readFileSync(new URL("./answers.json", import.meta.url), "utf8")) as {
  reference: string;
  cases: Case[];
};
const problem = { id: "a", question: "?", reference, answer: "1800" };

test("lm-evaluation-harness' strict and flexible answers and verdicts, of 407 texts", () => {
  for (const [text, strict, flexible, strictRight, flexibleRight] of cases) {
    assert.deepEqual(extractGsm8k(text), { strict, flexible }, JSON.stringify(text));
    assert.deepEqual(
      judgeGsm8k(problem, text),
      { strict: strictRight, flexible: flexibleRight },
      JSON.stringify(text),
    );
  }
});

test("what gsm8k-ScRel counts as right is right here, unless more stands behind its number", () => {
  let agreed = 0;
  for (const [text, , , , , , right] of cases) {
    if (!right || text === "#### 1,8,0,0") continue; // no number as anyone writes it
    const own = findAnswer(problem, text);
    // It takes the signs behind the first "#### " and looks at nothing else.
    const behind = text.slice(text.indexOf("#### ")).replace(/^#### -?[0-9.,]+/, "");
    if (isRight(problem, own)) agreed++;
    else if (text.indexOf("####") === text.indexOf("#### ")) {
      assert.match(behind, /[-/#\d\0]/, JSON.stringify(text));
    }
  }
  assert.ok(agreed >= 10, `${agreed} texts are right by both`);
});
