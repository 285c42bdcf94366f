import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { extractAnswer } from "../../lib/data/answers.ts";
import {
  normalizeEnding,
  normalizeResponses,
  optionEnding,
  renderPrompt,
  renderResponse,
  responseText,
} from "../../lib/data/prompts.ts";
import { parseGroup } from "../../lib/data/records.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";

const problem = { id: "a", question: "2+3?", reference: "2+3=<<2+3=5>>5\n#### 5", answer: "5" };

test("the default prompt, with options, with system text and examples", () => {
  assert.equal(renderPrompt(problem), "Question: 2+3?\nAnswer:");
  assert.equal(
    renderPrompt({ id: "b", question: "Which?", choices: ["x", "{y}"] }),
    "Question: Which?\nOptions:\nA) x\nB) {y}\nAnswer:",
  );
  assert.equal(
    renderPrompt({ id: "c", question: "$&?" }, { system: "Be brief.", fewShot: [problem] }),
    "Be brief.\n\nQuestion: 2+3?\nAnswer: 2+3=<<2+3=5>>5\n#### 5\n\nQuestion: $&?\nAnswer:",
  );
  assert.equal(
    renderPrompt({ ...problem, prompt: "Exactly this", system: "S" }, { system: "T" }),
    "S\n\nExactly this",
  );
});

test("templates of one's own", () => {
  assert.equal(renderPrompt({ ...problem, level: 3 }, { template: "{{{question}}} {level}:" }), "{2+3?} 3:");
  assert.throws(() => renderPrompt(problem, { template: "{question" }), UsageError);
  assert.throws(
    () => renderPrompt(problem, { template: "{hint} {question}" }),
    (error: Error) => error instanceof InputError && /"a".*"hint", which it lacks/.test(error.message),
  );
  assert.throws(
    () => renderPrompt(problem, { fewShot: [{ id: "n", question: "Q" }] }),
    /problem "n" as an example/,
  );
});

test("no prompt ends in white space, and a response's space comes and goes", () => {
  assert.match(renderPrompt(problem), /\S$/);
  for (const text of ["He has", "\nHe has", "  two spaces", ""]) {
    assert.equal(responseText(renderResponse(text)).trimEnd(), text.trimEnd());
  }
  assert.equal(renderResponse("He"), " He");
  assert.equal(renderResponse(" He"), " He");
});

test("endings are brought into one form", () => {
  const cases: [string, string | null, string][] = [
    ["chain\nA: 18", "18", "chain\n#### 18"],
    ["chain\n#### 18", "18", "chain\n#### 18"],
    ["chain\n#### 1,800\n", "1800", "chain\n#### 1800"],
    ["chain\nA: -$5.50.", "-5.5", "chain\n#### -5.5"],
    ["chain\nThe answer is 18", "18", "chain\n#### 18"],
    ["so the answer is 18 apples in all", "18", "so the answer is 18 apples in all\n#### 18"],
    ["so 3 + 15 = 18", "18", "so 3 + 15 = 18\n#### 18"],
    ["the thing breaks o", null, "the thing breaks o"],
    ["A: 18", "18", "#### 18"],
    ["chain", "$&", "chain\n#### $&"],
  ];
  for (const [text, answer, expected] of cases) assert.equal(normalizeEnding(text, answer), expected, text);
  const option = (text: string) => normalizeEnding(text, "B", { ending: optionEnding });
  assert.equal(option("chain\nAnswer : B"), "chain\nThe answer is B.");
  assert.equal(option("chain\nCorrect answer - B"), "chain\nThe answer is B.");
  assert.equal(option("chain\nThe answer is B."), "chain\nThe answer is B.");
  assert.equal(option("Kentucky is a state."), "Kentucky is a state.\nThe answer is B.");
});

test("responses of a group: each ends in its own answer, marks drop by option", () => {
  const group = {
    ...problem,
    extra: 1,
    candidates: [
      { text: "x <<1+1=2>>2\nA: 2", answer: "2", correct: false },
      { text: "cut at 7", answer: "7", finish: "length" as const },
      { text: "unscored\nA: 5" },
    ],
  };
  assert.deepEqual(normalizeResponses(group, { calculator: "drop" }), {
    ...group,
    reference: "2+3=5\n#### 5",
    candidates: [
      { text: "x 2\n#### 2", answer: "2", correct: false },
      { text: "cut at 7", answer: "7", finish: "length" },
      { text: "unscored\nA: 5" },
    ],
  });
  assert.equal(
    normalizeResponses({ ...problem, choices: ["4", "5"], answer: "B" }).reference,
    "2+3=<<2+3=5>>5\nThe answer is B.",
  );
});

const candidates = new URL(
  "../../../shared/data/candidates/gsm8k_test_candidates_mit.jsonl",
  import.meta.url,
);
test("real candidates of four sources end alike, with their answers unchanged", {
  skip: existsSync(candidates) ? false : "the shared data are not beside the project",
}, () => {
  let total = 0;
  readFileSync(candidates, "utf8").trim().split("\n").forEach((line, i) => {
    const group = parseGroup(JSON.parse(line), { source: "candidates", record: i + 1 });
    for (const { text, answer } of normalizeResponses(group).candidates) {
      if (answer === null || answer === undefined) continue;
      total++;
      assert.match(text, /\n#### -?[\d.]+$/);
      assert.equal(extractAnswer(text, { strict: true }), answer);
      assert.doesNotMatch(text, /^A: -?[$\d]/m);
    }
  });
  assert.equal(total, 5265);
});

test("what was said before stands before the question", () => {
  const problem = {
    id: "c",
    question: "1+1?",
    system: "Be brief.",
    earlier: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Hello" }],
  } as const;
  assert.equal(
    renderPrompt(problem),
    "Be brief.\n\nQuestion: Hi\nAnswer: Hello\n\nQuestion: 1+1?\nAnswer:",
  );
});
