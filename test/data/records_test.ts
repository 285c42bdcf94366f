import assert from "node:assert/strict";
import { test } from "node:test";
import { parseGroup, parseProblem } from "../../lib/data/records.ts";
import { InputError } from "../../lib/runtime/errors.ts";

const where = { source: "problems.jsonl", record: 17 };

function message(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    assert.ok(error instanceof InputError, String(error));
    return error.message;
  }
  throw new Error("expected an InputError");
}

test("a canonical record comes back as it is, unknown fields and order included", () => {
  const text =
    '{"zeta":1,"question":"Q","id":"a","__proto__":{"x":1},"candidates":[{"extra":[1],"text":"t","score":-0.3,"logprob":-12.3,"rank":1,"finish":"stop"}],"answer":"72","more":{"b":null}}';
  assert.equal(JSON.stringify(parseGroup(JSON.parse(text), where)), text);
});

test("GSM8K's own record is split into reference and answer", () => {
  const chain = "48/2 = <<48/2=24>>24\n#### 1,072";
  assert.deepEqual(Object.entries(parseProblem({ question: "Q", answer: chain, level: 3 }, where)), [
    ["id", "line-17"],
    ["question", "Q"],
    ["reference", chain],
    ["answer", "1072"],
    ["level", 3],
  ]);
  assert.equal(parseProblem({ question: "Q", reference: "so 5\n#### 5" }, where).answer, "5");
  assert.equal(parseProblem({ question: "Q", answer: "Paris" }, where).reference, undefined);
  assert.equal(parseProblem({ question: "Q", choices: ["x", "y"], answer: "y" }, where).answer, "B");
  assert.equal(parseProblem({ question: "Q", choices: ["B", "y"], answer: "B" }, where).answer, "B");
});

test("records of RRHF, of completions and of preferences", () => {
  assert.deepEqual(
    parseGroup({ query: "Q", responses: ["a", "b"], scores: [0.5, -1] }, { ...where, id: "x-1" }),
    {
      id: "x-1",
      question: "Q",
      candidates: [{ text: "a", reward: 0.5 }, { text: "b", reward: -1 }],
    },
  );
  assert.deepEqual(parseProblem({ prompt: "P:", completion: " c", id: 5 }, where), {
    id: "5",
    question: "P:",
    prompt: "P:",
    reference: " c",
  });
  assert.deepEqual(parseGroup({ prompt: "P", chosen: "good", rejected: "bad" }, { ...where, line: 20 }), {
    id: "line-20",
    question: "P",
    prompt: "P",
    reference: "good",
    candidates: [{ text: "good", correct: true }, { text: "bad", correct: false }],
  });
});

test("numbers as answers, pred, and a score that is a rating", () => {
  const group = parseGroup(
    JSON.parse(
      '{"question":"Q","answer":72.0,"candidates":[{"source":"m","text":"t","pred":60.5,"correct":false},{"text":"u","pred":null},{"text":"v","score":0.9259,"ratings":27},{"text":"w","score":-0.2,"logprob":-4},{"text":"x","score":1,"reward":2}]}',
    ),
    where,
  );
  assert.equal(group.answer, "72");
  assert.deepEqual(group.candidates, [
    { source: "m", text: "t", answer: "60.5", correct: false },
    { text: "u", answer: null },
    { text: "v", reward: 0.9259, ratings: 27 },
    { text: "w", score: -0.2, logprob: -4 },
    { text: "x", score: 1, reward: 2 },
  ]);
});

test("a wrong record is named with its place, its field, what was expected and what was found", () => {
  const cases: [unknown, string][] = [
    [{ question: "Q", answer: null }, 'field "answer" must be a string: got null'],
    [{ answer: "1" }, 'field "question" must be a string: got nothing'],
    [{ question: ["Q"] }, 'field "question" must be a string: got a list'],
    [{ question: "Q", choices: ["a", 2] }, 'field "choices[1]" must be a string: got 2'],
    [
      { question: "Q", candidates: [{ text: "a" }, {}] },
      'field "candidates[1].text" must be a string: got nothing',
    ],
    [
      { question: "Q", candidates: [{ text: "a", finish: "eos" }] },
      'field "candidates[0].finish" must be "stop" or "length": got "eos"',
    ],
    [
      { question: "Q", candidates: [{ text: "a", correct: "yes" }] },
      'field "candidates[0].correct" must be true or false: got "yes"',
    ],
    [
      { question: "Q", candidates: [{ text: "a", tokens: 1.5 }] },
      'field "candidates[0].tokens" must be a whole number: got 1.5',
    ],
    [{ question: "Q", candidates: {} }, 'field "candidates" must be a list: got an object'],
    [[1], "it must be an object: got a list"],
    ["Q", 'it must be an object: got "Q"'],
    [null, "it must be an object: got null"],
    [
      { query: "Q", responses: ["a", "b"], scores: [1] },
      'field "scores" must have one number for each of 2 responses: got 1 scores',
    ],
  ];
  for (const [value, expected] of cases) {
    assert.equal(
      message(() => parseProblem(value, where)),
      `Cannot read record 17 of problems.jsonl: ${expected}`,
    );
  }
  assert.equal(
    message(() => parseGroup({ question: "Q" }, { ...where, line: 18 })),
    'Cannot read record 17 of problems.jsonl (line 18): field "candidates" must be a list: got nothing',
  );
});
