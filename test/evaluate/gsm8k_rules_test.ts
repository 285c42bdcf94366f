import assert from "node:assert/strict";
import { test } from "node:test";
import { comparable, extractGsm8k, judgeGsm8k } from "../../lib/evaluate/gsm8k_rules.ts";

// Worked out by hand from gsm8k.yaml: strict is the first match of "#### (\-?[0-9\.\,]+)", flexible the last of
// "(-?[$0-9.,]{2,})|(-?[0-9]+)"; both lose ",", "$", all up to "#### " and one full stop at the end, and are compared as
// texts. [response, strict, flexible, right with the gold answer 1000 (strict, flexible)]
const table: [string, string, string, boolean, boolean][] = [
  ["so 10 * 100\n#### 1000", "1000", "1000", true, true],
  ["#### 1,000", "1,000", "1,000", true, true],
  ["#### 1,000.", "1,000.", "1,000.", true, true], // the full stop is part of the match and ignored
  ["#### $1000", "[invalid]", "$1000", false, true], // strict has no dollar sign
  ["####1000", "[invalid]", "1000", false, true], // nor a missing blank
  ["#### 1000 and not 7", "1000", "7", true, false],
  ["#### 1000\n#### 7", "1000", "7", true, false], // strict takes the first, flexible the last
  ["#### 1000.00", "1000.00", "1000.00", false, false], // as texts
  ["#### -1000", "-1000", "-1000", false, false],
  ["The answer is $1,000.", "[invalid]", "$1,000.", false, true],
  ["It costs 1000 dollars.", "[invalid]", "1000", false, true], // a lone full stop is one sign: no match
  ["It costs 1000 dollars...", "[invalid]", "...", false, false], // three of them are a match
  ["1000. Really?", "[invalid]", "1000.", false, true],
  ["1000.. Really?", "[invalid]", "1000..", false, false], // only one is ignored
  ["10 - 5 = 5", "[invalid]", "5", false, false], // "10" is two signs, "5" one digit
  ["it is 7", "[invalid]", "7", false, false],
  ["half is 1/2", "[invalid]", "2", false, false],
  ["1000%", "[invalid]", "1000", false, true],
  ["no number", "[invalid]", "[invalid]", false, false],
  ["", "[invalid]", "[invalid]", false, false],
  ["#### 10\u00a0000", "10", "000", false, false],
  ["１０００", "[invalid]", "[invalid]", false, false], // [0-9] are ASCII digits
];

test("lm-evaluation-harness' two rules for GSM8K, by a table worked out by hand", () => {
  const problem = { id: "a", question: "?", answer: "1000" };
  for (const [response, strict, flexible, strictRight, flexibleRight] of table) {
    assert.deepEqual(extractGsm8k(response), { strict, flexible }, response);
    assert.deepEqual(
      judgeGsm8k(problem, response),
      { strict: strictRight, flexible: flexibleRight },
      response,
    );
  }
});

test("texts are compared after what the metric ignores", () => {
  const cases: [string, string][] = [
    ["1,234", "1234"],
    ["$5.50", "5.50"],
    ["a = 3\n#### 4\nb\n#### 5", "5"],
    ["18.", "18"],
    ["18..", "18."],
    ["18.\n", "18\n"],
    ["ABC", "abc"],
  ];
  for (const [text, expected] of cases) assert.equal(comparable(text), expected, text);
});

test("the right answer is behind the reference's mark, or the record's; other kinds of answers are not judged", () => {
  const problem = { id: "a", question: "?", answer: "5.5", reference: "2 + 3.50\n#### 5.50" };
  assert.deepEqual(judgeGsm8k(problem, "#### 5.50"), { strict: true, flexible: true });
  assert.deepEqual(judgeGsm8k(problem, "#### 5.5"), { strict: false, flexible: false });
  assert.deepEqual(judgeGsm8k({ ...problem, reference: "no mark" }, "#### 5.5"), {
    strict: true,
    flexible: true,
  });
  assert.equal(judgeGsm8k({ ...problem, choices: ["5.5", "6"], answer: "A" }, "A"), undefined);
  assert.equal(judgeGsm8k({ ...problem, answer: "Paris" }, "#### Paris"), undefined);
  assert.equal(judgeGsm8k({ id: "a", question: "?" }, "#### 5"), undefined);
});
