import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import {
  answerKind,
  answersEqual,
  extractAnswer,
  findAnswer,
  isRight,
  normalizeAnswer,
} from "../../lib/data/answers.ts";

const shared = new URL("../../../shared/data/", import.meta.url);
const skip = existsSync(shared) ? false : "the shared data are not beside the project";

// deno-lint-ignore no-explicit-any
function rows(path: string): any[] {
  return readFileSync(new URL(path, shared), "utf8").trim().split("\n").map((line) => JSON.parse(line));
}

test("numbers, strict: what follows the first mark", () => {
  assert.equal(extractAnswer("a\n#### 1,234", { strict: true }), "1234");
  assert.equal(extractAnswer("#### -$5.50\n#### 7", { strict: true }), "-5.5");
  assert.equal(extractAnswer("#### $-3", { strict: true }), "-3");
  assert.equal(extractAnswer("####18.0.", { strict: true }), "18");
  assert.equal(extractAnswer("A: 18", { strict: true }), null);
  assert.equal(extractAnswer("#### none, so 5", { strict: true }), null);
});

test("numbers, flexible: marked line, or else the last number", () => {
  const cases: [string, string | null][] = [
    ["He has 3 + 4 = 7 apples.", "7"],
    ["7-3", "3"],
    ["It fell to -3 degrees", "-3"],
    ["5 - 3", "3"],
    ["a loss of −$1,200.50!", "-1200.5"],
    ["she gets <<3*4=12>>", null],
    ["so 12 <<3*5=15>>", "12"],
    ["A: 18\nThat took 5 minutes", "18"],
    ["Answer: $18.00 dollars, not 20", "18"],
    ["pays .75", "0.75"],
    ["A: 3/4", "3/4"],
    ["in 2,3 or 4,567 ways", "4567"],
    ["no number here", null],
    ["", null],
  ];
  for (const [text, expected] of cases) assert.equal(extractAnswer(text), expected, text);
});

test("letters of options", () => {
  const choices = ["5 km", "6 km", "7 km", "60 km"];
  const find = (text: string, strict = false) => extractAnswer(text, { kind: "option", choices, strict });
  for (
    const text of [
      "Answer D",
      "Correct answer - D",
      "The answer is (D)",
      "ANSWER:D",
      "so D is correct",
      "Ans. D",
      "(A) is wrong, (D)",
      "#### D",
      "D",
      "D.",
    ]
  ) {
    assert.equal(find(text), "D", text);
  }
  assert.equal(find("A car drives. Answer: B. A bus waits"), "B");
  assert.equal(find("thus he drove 60 km"), "D");
  assert.equal(find("not 60 km but 6 km in all"), "B");
  assert.equal(find("Answer E"), null); // four options only
  assert.equal(find("a tale of nothing"), null);
  assert.equal(find("The answer is C. The answer is B.", true), "C");
  assert.equal(find("Answer D", true), null);
});

test("free texts", () => {
  assert.equal(extractAnswer("chain\nThe answer is Paris.", { kind: "text" }), "Paris");
  assert.equal(extractAnswer("chain\n#### New  York ", { kind: "text", strict: true }), "New  York");
  assert.equal(extractAnswer("chain\nyes", { kind: "text" }), "yes");
  assert.equal(extractAnswer("chain\nyes", { kind: "text", strict: true }), null);
  assert.equal(extractAnswer(" \n", { kind: "text" }), null);
});

test("one way to write an answer", () => {
  const cases: [string, string][] = [
    ["72.0", "72"],
    [" $1,234.50 ", "1234.5"],
    ["007", "7"],
    ["-0.0", "0"],
    ["+5", "5"],
    ["50%", "50"],
    ["3 / 4", "3/4"],
    ["(b)", "B"],
    ["C.", "C"],
    ["New York.", "New York"],
    ["12345678901234567890", "12345678901234567890"],
  ];
  for (const [text, expected] of cases) assert.equal(normalizeAnswer(text), expected, text);
});

test("equality is of values for numbers and of words for texts", () => {
  assert.ok(answersEqual("18", "18.00"));
  assert.ok(answersEqual("3/4", "0.75"));
  assert.ok(answersEqual("$1,000", "1000"));
  assert.ok(answersEqual("new  york", "New York"));
  assert.ok(answersEqual("b", "B"));
  assert.ok(answersEqual("0.333", "1/3", { tolerance: 1e-3 }));
  assert.ok(!answersEqual("0.333", "1/3"));
  assert.ok(!answersEqual("1000000", "1000002"));
  assert.ok(!answersEqual(null, null));
  assert.ok(!answersEqual("1/0", "5"));
  assert.equal(answerKind({ answer: "72" }), "number");
  assert.equal(answerKind({ answer: "Paris" }), "text");
  assert.equal(answerKind({ answer: "B", choices: ["x", "y"] }), "option");
});

test("what a response answers to a problem, and whether that is right", () => {
  const number = { answer: "72" };
  assert.equal(findAnswer(number, "so 72.00 in all"), "72");
  assert.equal(findAnswer(number, "so 72.00 in all", { strict: true }), null);
  assert.ok(isRight(number, "72.0") && !isRight(number, null) && !isRight({}, "72"));
  const options = { answer: "B", choices: ["2", "3"] };
  assert.ok(isRight(options, findAnswer(options, "1 + 2 = 3")));
});

test("agrees with the labels of 5,276 real candidates", { skip }, () => {
  let agreed = 0, total = 0;
  for (const { answer, candidates } of rows("candidates/gsm8k_test_candidates_mit.jsonl")) {
    for (const { text, correct } of candidates) {
      total++;
      if (answersEqual(extractAnswer(text), String(answer)) === correct) agreed++;
    }
  }
  assert.equal(total, 5276);
  assert.equal(agreed, 5276);
});

test("finds GSM8K's gold answers, and the letters of AQuA's rationales", { skip }, () => {
  const gold = [...rows("gsm8k/train.jsonl"), ...rows("gsm8k/test.jsonl")];
  assert.equal(gold.length, 8792);
  for (const { answer } of gold) {
    assert.equal(extractAnswer(answer, { strict: true }), answer.split("#### ")[1].replaceAll(",", ""));
  }
  let found = 0;
  for (const { rationale, correct, options } of [...rows("aqua/dev.json"), ...rows("aqua/test.json")]) {
    const choices = options.map((option: string) => option.slice(2));
    if (extractAnswer(rationale, { kind: "option", choices }) === correct) found++;
  }
  assert.ok(found >= 503, `${found} of 508`); // the rest end without a letter or with two
});

test("texts are the same with and without blanks beside marks and brackets, and are found in a box", () => {
  const same: [string, string][] = [
    ["3 : 4", "3:4"],
    ["(3, 4)", "(3,4)"],
    ["$\\left(3,4\\right)$", "(3, 4)"],
    ["[1,5)", "[1, 5)"],
    ["{1,2}", "{ 1, 2 }"],
    ["3:30 pm", "3:30 PM"],
  ];
  for (const [a, b] of same) assert.ok(answersEqual(a, b), `${a} and ${b}`);
  const others: [string, string][] = [["3:4", "4:3"], ["[1,5)", "(1,5)"], ["3:30 AM", "3:30 PM"], [
    "a b",
    "ab",
  ]];
  for (const [a, b] of others) assert.ok(!answersEqual(a, b), `${a} and ${b}`);
  assert.equal(extractAnswer("So it is \\boxed{3:4}.", { kind: "text" }), "3:4");
  assert.equal(extractAnswer("So it is \\boxed{3:4}.\n#### 4:3", { kind: "text" }), "4:3");
  assert.equal(extractAnswer("An angle of \\boxed{90^\\circ}", {}), "90");
});
