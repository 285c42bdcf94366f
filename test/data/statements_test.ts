import assert from "node:assert/strict";
import { test } from "node:test";
import { answersEqual, extractAnswer, normalizeAnswer } from "../../lib/data/answers.ts";
import { equationHolds, evaluateArithmetic, listEquations } from "../../lib/data/equations.ts";
import { splitMark } from "../../lib/data/_statements.ts";
import { normalizeEnding } from "../../lib/data/prompts.ts";
import { assertLinear } from "../_time.ts";

/** A response, and the number it answers; null where it answers none, or more than one. */
const CASES: readonly (readonly [string, string | null])[] = [
  // GSM8K's mark
  ["5 + 3 = 8\n#### 8", "8"],
  ["####18.0.", "18"],
  ["#### 1,234 apples", "1234"],
  ["#### **18**", "18"],
  ["#### $18 dollars in all.", "18"],
  ["#### 5 + 3 = 8", "8"],
  ["#### x = 8", "8"],
  ["####\n18", "18"],
  ["#### \\boxed{18}", "18"],
  ["#### 18 (3 rows of 6)", "18"],
  ["#### 2 2/3", "8/3"],
  ["#### 2 million", "2000000"],
  ["#### - 5", "-5"],
  ["#### The answer is 18", "18"],
  ["5 apples\n#### none", null],
  ["5 apples\n#### unknown\nso 7", null],
  ["#### 5 or 6", null],
  ["#### 5-7", null],
  ["#### 5, 7", null],
  ["#### 3:30", null],
  ["#### 2:3", null],
  ["#### 5 feet 3 inches", null],
  ["#### 5 + 3", null],
  ["#### 2x", null],
  ["#### 18\n#### 19", "18"],
  // boxes
  ["so \\boxed{18}.", "18"],
  ["\\boxed{\\text{18 apples}} and 5 more", "18"],
  ["$\\boxed{\\dfrac{3}{4}}$", "3/4"],
  ["\\boxed{\\boxed{7}}", "7"],
  ["first \\boxed{5}, then \\boxed{6}", "6"],
  ["\\boxed{x = 5}", "5"],
  ["\\boxed{1{,}234}", "1234"],
  ["\\boxed{24\\text{ m}^2}", "24"],
  ["\\boxed{50\\%}", "50"],
  ["\\boxed{3, 4}", null],
  ["\\boxed{}", null],
  ["5 is \\boxed{18", "18"],
  ["The answer is $\\boxed{42}$. I checked 2 ways.", "42"],
  // words that announce
  ["The answer is 18", "18"],
  ["the answer is: 18.", "18"],
  ["The answer is $18.", "18"],
  ["The answer is 18 (3 rows of 6).", "18"],
  ["The final answer is **18**. I checked it in 2 ways.", "18"],
  ["The answer is: 18\n\nLet me know if you have 1 more question!", "18"],
  ["so the answer is 9, which is half of 18", "9"],
  ["The answer is 9 because 18 / 2 is 9 and 2 * 9 is 18", "9"],
  ["The answer is 5 + 3 = 8 apples", "8"],
  ["The answer is 18 = 3 * 6", "18"],
  ["The answer is -3.", "-3"],
  ["The answer is - 3.", "-3"],
  ["The answer is 1,234.50 dollars!", "1234.5"],
  ["The answer is about 18 apples", "18"],
  ["The answer is 9. Wait, no. The answer is 18.", "18"],
  ["The answer to the question is 18, not 20", "18"],
  ["The correct answer is 18; 20 is wrong", "18"],
  ["The answer is 5 or 6.", null],
  ["The answer is clear: he has 18", "18"],
  ["The answer would be 18 km/h", "18"],
  ["The answer must be 7.5% of it", "7.5"],
  ["My answer: 18", "18"],
  ["Answer: 18", "18"],
  ["**Answer:** 18", "18"],
  ["**Answer: 18**", "18"],
  ["**Final Answer:**\n18 apples", "18"],
  ["Final answer: 18\nIt took 3 steps", "18"],
  ["ANSWER = 18", "18"],
  ["Answer - 18", "18"],
  ["Answer : $18.00 dollars, not 20", "18"],
  ["A: 18\nThat took 5 minutes", "18"],
  ["A: 5 + 3 = 8", "8"],
  ["A: $1,200 in 2 years", "1200"],
  ["A: 3 boats of $400 are $1,200", "1200"],
  ["A: 1.5 cups, or 1 cup and 1/2", "1.5"],
  ["A: 1 1/2 cups", "1.5"],
  ["A: Tom has 5 apples. He gets 3 more. 5 + 3 = 8", "8"],
  ["A: Tom had 5. Then he got 3. So he has 8 apples", "8"],
  ["Answer: The total is 18 apples (3 rows of 6).", "18"],
  ["Answer: 7 days", "7"],
  // bold
  ["The total comes to **18** apples, after 2 days.", "18"],
  ["It is **$18**, in 3 parts", "18"],
  ["**1.** first 3 * 6\n**2.** so 18", "18"],
  // no mark: the last number
  ["He has 3 + 4 = 7 apples.", "7"],
  ["It costs 12 dollars.", "12"],
  ["The area is 24 m^2.", "24"],
  ["The area is 24 m2.", "24"],
  ["It weighs 7 g of CO2", "7"],
  ["The rope is 2 1/4 m", "2.25"],
  ["so 12 <<3*5=15>>", "12"],
  ["she gets <<3*4=12>>", null],
  ["It is −５ degrees", "-5"],
  ["x = 18", "18"],
  ["no number here", null],
  ["", null],
  ["\n\n", null],
  // another question
  ["so 18.\n\nQuestion: Tim has 7 pens.\nAnswer: 4", "18"],
  ["Answer: 18\n\nQ: Tim has 7 pens.\nA: 4", "18"],
  ["The answer is 18.\n\n### Question: 7?\n#### 4", "18"],
  ["#### 18\n\nProblem 2: 7?\n#### 4", "18"],
  ["Answer: 9\n\nQuestion: What is 9 * 2?\nAnswer: 18", "9"],
  ["Question: 3 * 6?\nAnswer: 18", "18"],
];

test("which number is the answer", () => {
  for (const [text, expected] of CASES) assert.equal(extractAnswer(text), expected, JSON.stringify(text));
});

test("strict is behind the first mark, last is the last number", () => {
  const text = "3 rows\n#### 18\nor 20 of them";
  assert.equal(extractAnswer(text, { strict: true }), "18");
  assert.equal(extractAnswer(text, { last: true }), "20");
  assert.equal(extractAnswer("The answer is 18", { strict: true }), null);
  assert.equal(extractAnswer("#### The answer is 18", { strict: true }), null);
  assert.equal(extractAnswer("The answer is 18 (3 * 6)", { last: true }), "6");
});

test("letters of options in every dress", () => {
  const choices = ["5 km", "6 km", "7 km", "60 km"];
  const texts = [
    "The answer is **B**.",
    "The answer is (B)",
    "Answer: B) 6 km",
    "Answer: [B]",
    "\\boxed{B}",
    "\\boxed{\\text{B}}",
    "\\boxed{(B)}",
    "#### (B)",
    "#### **B**",
    "**B**",
    "(B)",
    "B)",
    "B.",
    "option B",
    "Option (B) is right",
    "So it is B",
    "The correct option is B",
    "Answer: B\n\nQuestion: next?\nAnswer: C",
    "Ｂ",
    "Final Answer: B",
    "**Answer:** (B)",
    "Answer: b",
    "The answer is (b).",
    "$\\boxed{\\textbf{(B)}}$",
    ...["(b)", "b)", "b.", "b", "[b]", "**b**", "#### (b)", "#### b", "Option b", "option (b)", "\\boxed{b}"],
    "The answer is (b) because a car is fast",
    "Answer: b) 6 km, not (a)\nAnswer: b) 6 km",
    "so it must be (b), since vitamin C has no say",
    "(a) is wrong, (b) is right",
    "(A) and (c) are wrong, so it is (b)",
    "so b) it is",
  ];
  for (const text of texts) assert.equal(extractAnswer(text, { kind: "option", choices }), "B", text);
  for (const text of ["The answer is (b).", "the answer is (b), as (a) is wrong", "#### (b)"]) {
    assert.equal(extractAnswer(text, { kind: "option", choices, strict: true }), "B", text); // Wei et al.'s own ending
  }
  for (
    const text of [
      "f(a) = 3",
      "see (vitamin c)",
      "the answer is a matter of taste",
      "it is (see above)",
      "Answer: a car",
    ]
  ) {
    assert.equal(extractAnswer(text, { kind: "option", choices }), null, text);
  }
});

test("endings: only what states the answer alone is replaced, and no word of the chain is lost", () => {
  const cases: [string, string, string][] = [
    ["more\nA: 5 + 3 = 8", "8", "more\n5 + 3 = 8\n#### 8"],
    ["more\nAnswer: 8 apples", "8", "more\n#### 8"],
    ["5 + 3\nThe answer is 8 apples.", "8", "5 + 3\n#### 8"],
    ["5 + 3 = 8\nThe final answer is \\boxed{8}.", "8", "5 + 3 = 8\n#### 8"],
    ["5 + 3 = 8\n**Answer:** 8", "8", "5 + 3 = 8\n#### 8"],
    ["#### 8", "8", "#### 8"],
    ["1 1/2\nThe answer is 1 1/2.", "1.5", "1 1/2\n#### 1.5"],
    ["x\nA: 1.5 cups, or 1 cup and 1/2", "1.5", "x\n1.5 cups, or 1 cup and 1/2\n#### 1.5"],
    ["x\nA: $1,200 in 2 years", "1200", "x\n$1,200 in 2 years\n#### 1200"],
    ["x\nA: 3 boats of $400 are $1,200", "1200", "x\n3 boats of $400 are $1,200\n#### 1200"],
    ["x\nA: 17", "18", "x\n17\n#### 18"], // another answer than the one given: it stays
    ["x\nThe answer is 18 (3 rows of 6).", "18", "x\nThe answer is 18 (3 rows of 6).\n#### 18"],
  ];
  for (const [text, answer, expected] of cases) assert.equal(normalizeEnding(text, answer), expected, text);
});

test("time grows with the text and no faster: a megabyte takes less than two seconds", () => {
  // A quadratic search shows at 64 KiB too; a whole megabyte of each would take the test minutes.
  const long = new Set([".", "(", "9", ",", "1=", "1+", "\\boxed{", "the answer is "]);
  const pieces = [
    ".",
    "(",
    ")",
    "[",
    "{",
    "}",
    "1",
    "9",
    ",",
    "1,",
    "-",
    "- ",
    "$",
    " ",
    "\n",
    "=",
    "1=",
    "1+",
    "(1+",
    "1+1=2 ",
    "####",
    "#### ",
    "\\boxed{",
    "\\frac{",
    "\\frac{1}{",
    "**",
    "*",
    "<<",
    "<<1",
    ">>",
    "answer ",
    "the answer is ",
    "A:",
    "\nA:",
    "Answer: 1, ",
    "1 ",
    "1 234 ",
    "1/",
    "1/2 ",
    "1e",
    "1^",
    "10^3",
    ":",
    "1:",
    "1.1",
    "½",
    "٧",
    "x",
    "1x",
    "1 and ",
    "%",
    "\nQuestion:",
    "= 1 = ",
    "answer to a",
    "1 x 10",
    "\\text{",
    "The answer is 1 (",
    "-1",
    "−",
    "$-",
    "a ",
    "A ",
    "option ",
  ];
  const calls: Record<string, (text: string) => void> = {
    number: (text) => extractAnswer(text),
    option: (text) => extractAnswer(text, { kind: "option", choices: ["a", "b"] }),
    text: (text) => extractAnswer(text, { kind: "text" }),
    equal: (text) => answersEqual(text, text),
    normalize: (text) => normalizeAnswer(text),
    ending: (text) => normalizeEnding(text, "1"),
    equations: (text) => listEquations(text).forEach(equationHolds),
    arithmetic: (text) => evaluateArithmetic(text),
    split: (text) => splitMark(text),
  };
  for (const piece of pieces) {
    const size = long.has(piece) ? 1 << 20 : 1 << 16, most = long.has(piece) ? 2000 : 500;
    const body = piece.repeat(Math.ceil(size / piece.length));
    for (const head of ["", "#### ", "The answer is "]) {
      for (const [name, call] of Object.entries(calls)) {
        const [whole, eighth] = [body, body.slice(0, body.length / 8)].map((part) => () => call(head + part));
        assertLinear(`${name} of ${JSON.stringify((head + body).slice(0, 30))}`, most, {
          whole: whole!,
          eighth: eighth!,
        });
      }
    }
  }
});
