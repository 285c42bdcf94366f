import assert from "node:assert/strict";
import { test } from "node:test";
import { formatRecord } from "../../lib/data/jsonl.ts";
import { normalizeRecord } from "../../lib/data/normalize_record.ts";
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
    [{ question: "Q", answer: true }, 'field "answer" must be a string: got true'],
    [{ question: ["Q"] }, 'field "question" must be a string: got a list'],
    [{ question: "Q", choices: ["a", {}] }, 'field "choices[1]" must be a string: got an object'],
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

test("a record that has none of the shapes: the fields it has and the shapes that are read", () => {
  assert.match(
    message(() => parseProblem({ answer: "1", note: null }, where)),
    /^Cannot read record 17 of problems\.jsonl: field "question" is missing: got the fields answer, note \(null\); records are \{question, reference, answer\}, .*\{text\}; option `fields` maps other names$/,
  );
  const fields = { question: "task" };
  assert.equal(parseProblem({ task: "Q", question: "other" }, where, { fields }).question, "Q");
  assert.match(message(() => parseProblem({ q: "Q" }, where, { fields })), /field "task", which stands for/);
});

test("null is absent", () => {
  for (const name of ["id", "system", "candidates", "choices", "answer", "dataset", "prompt", "label"]) {
    assert.deepEqual(parseProblem({ question: "Q", reference: "r", [name]: null }, where), {
      id: "line-17",
      question: "Q",
      reference: "r",
    });
  }
  const scored = parseGroup({ query: "Q", responses: ["a", "b"], scores: [1, null] }, where);
  assert.deepEqual(scored.candidates, [{ text: "a", reward: 1 }, { text: "b" }]);
});

const user = { role: "user", content: "1+1?" }, said = (content: string) => [{ role: "assistant", content }];
const pair = [{ text: "2", correct: true }, { text: "3", correct: false }];
const shapes: readonly [record: Record<string, unknown>, fields: Record<string, unknown>][] = [
  [{ messages: [user, ...said("2")] }, { question: "1+1?", reference: "2" }],
  [
    {
      messages: [
        { role: "system", content: "S" },
        { role: "user", content: "Hi" },
        ...said("Hello"),
        user,
        ...said("2"),
      ],
    },
    {
      system: "S",
      earlier: [{ role: "user", content: "Hi" }, ...said("Hello")],
      question: "1+1?",
      reference: "2",
    },
  ],
  [
    { conversations: [{ from: "human", value: "1+1?" }, { from: "gpt", value: "2" }] },
    { question: "1+1?", reference: "2" },
  ],
  [{ instruction: "Add.", input: "1+1", output: "2" }, { question: "Add.\n\n1+1", reference: "2" }],
  [{ instruction: "Add.", input: "", output: "2" }, { question: "Add.", reference: "2" }],
  [{ prompt: [user], completion: said("2") }, { question: "1+1?", reference: "2" }],
  [{ prompt: [user], chosen: said("2"), rejected: said("3") }, {
    question: "1+1?",
    reference: "2",
    candidates: pair,
  }],
  [
    { prompt: "1+1?", chosen: [user, ...said("2")], rejected: [user, ...said("3")] },
    { question: "1+1?", reference: "2", candidates: pair },
  ],
  [
    { chosen: "Human: 1+1? Assistant: 2", rejected: "Human: 1+1? Assistant: 3" },
    {
      question: "Human: 1+1? Assistant:",
      prompt: "Human: 1+1? Assistant:",
      reference: " 2",
      candidates: [{ text: " 2", correct: true }, { text: " 3", correct: false }],
    },
  ],
  [
    { prompt: "P", completion: "c", label: true },
    { question: "P", prompt: "P", reference: "c", candidates: [{ text: "c", correct: true }] },
  ],
  [
    { prompt: "P", completion: "c", label: "False" },
    { question: "P", prompt: "P", candidates: [{ text: "c", correct: false }] },
  ],
  [{ problem: "1+1?", solution: "so \\boxed{2}" }, {
    question: "1+1?",
    reference: "so \\boxed{2}",
    answer: "2",
  }],
  [
    { query: "1+1?", response: "The answer is: 2" },
    { question: "1+1?", reference: "The answer is: 2", answer: "2" },
  ],
  [{ input: "1+1?", output: "2" }, { question: "1+1?", reference: "2" }],
  [{ prompt: "P", response: "2" }, { question: "P", prompt: "P", reference: "2" }],
  [{ text: "all of it" }, { question: "", prompt: "", reference: "all of it" }],
  [{ Question: "1+1?", Reference: "2" }, { question: "1+1?", reference: "2" }],
];
for (const [record, fields] of shapes) {
  test(`the shape {${Object.keys(record).join(", ")}} of ${JSON.stringify(record).slice(0, 60)}`, () => {
    const problem = parseProblem(record, where);
    assert.deepEqual(problem, { id: "line-17", ...fields });
    assert.deepEqual(parseProblem(problem, where), problem); // what a step wrote reads as it is
  });
}

test("what a conversation cannot hold is refused by its place", () => {
  const cases: [Record<string, unknown>, string][] = [
    [
      { messages: [user, { role: "narrator", content: "2" }] },
      '"messages[1].role" must be system, user, assistant or tool: got "narrator"',
    ],
    [
      { messages: [user, { role: "tool", content: "2" }] },
      '"messages[1]" must be from the assistant, since they take turns: got one from tool',
    ],
    [
      { messages: [user, user] },
      '"messages[1]" must be from the assistant, since they take turns: got one from user',
    ],
    [
      { messages: [user, { role: "assistant", content: null, tool_calls: [{}] }] },
      '"messages[1].tool_calls[0]" must be a call of a function by its name',
    ],
    [
      { messages: [user, { role: "assistant", tool_calls: [{ name: "f", arguments: "x=1" }] }] },
      '"messages[1].tool_calls[0].arguments" must be a JSON object: got "x=1"',
    ],
    [
      { messages: [user, { role: "assistant", tool_calls: [{ name: "f" }] }, user] },
      '"messages[2]" must be from a tool, since they take turns: got one from user',
    ],
    [
      {
        messages: [user, {
          role: "assistant",
          function_call: { name: "f", arguments: '{"id": [9007199254740993]}' },
        }],
      },
      '"messages[1].function_call.arguments" must not have whole numbers beyond 2^53, which are not read exactly',
    ],
    [{ messages: [user], tools: "a calculator" }, '"tools" must be a list of functions: got "a calculator"'],
    [{ messages: [user], tools: [{}] }, '"tools[0]" must be a function with a name: got an object'],
    [
      { messages: [{ role: "user", content: [{ type: "image" }] }] },
      '"messages[0].content" must be a text: got a part of type "image"',
    ],
    [{ prompt: "P", completion: "c", label: "good" }, '"label" must be true or false: got "good"'],
    [
      { chosen: "a b", rejected: "c d" },
      '"prompt" is missing, and "chosen" and "rejected" do not begin alike',
    ],
    [{ query: "Q", responses: ["a"], scores: ["1"] }, '"scores[0]" must be a number: got "1"'],
  ];
  for (const [record, problem] of cases) {
    assert.equal(
      message(() => parseProblem(record, where)),
      `Cannot read record 17 of problems.jsonl: field ${problem}`,
    );
  }
});

test("an index is never guessed; letters and texts are read", () => {
  const choices = ["8", "7", "6"],
    of = (answer: unknown, answerIndex?: "0" | "1" | "letter" | "text") =>
      parseProblem({ question: "Q", choices, answer }, where, { answerIndex }).answer;
  assert.deepEqual(["B", "b", "(B)", "b) 7", "7", 7].map((answer) => of(answer)), [
    "B",
    "B",
    "B",
    "B",
    "B",
    "B",
  ]);
  assert.deepEqual([of(1, "0"), of("1", "1"), of(0, "0"), of("7", "text")], ["B", "A", "A", "B"]);
  assert.equal(
    message(() => of(1)),
    'Cannot read record 17 of problems.jsonl: field "answer" must be a letter from A to C or the text of one of the ' +
      "choices: got 1; of an index, option `answerIndex` says whether it counts from 0 or 1",
  );
  for (const answer of ["E", "none of them", 3, "2", "C) 7"]) {
    assert.match(message(() => of(answer)), /"answer" must be/);
  }
  for (const answer of [3, "-1"]) assert.match(message(() => of(answer, "0")), /"answer" must be/);
  const labelled = { text: ["x", "y"], label: ["1", "2"] };
  assert.equal(parseProblem({ question: "Q", choices: labelled, answerKey: "2" }, where).answer, "B");
});

test("an object around a list of records, where a record must be, says what reads it", () => {
  assert.equal(
    message(() => parseProblem({ version: 1, data: [{ question: "Q" }] }, where)),
    'Cannot read record 17 of problems.jsonl: field "question" is missing: got the fields version, data; option `data` ' +
      "reads a file whose object holds a list of records",
  );
  assert.match(
    message(() => parseProblem({ data: [1] }, where)),
    /got the field data; records are \{question,/,
  );
});

test("a whole number that JSON cannot hold is refused by its field, and one that it can is read to its last digit", () => {
  const at = { source: "a.jsonl", record: 3, line: 3 };
  for (
    const [field, record] of [
      ["answer", '{"question":"q","answer":12345678901234567891}'],
      ["answer", '{"question":"q","answer":-9007199254740992}'],
      ["id", '{"id":9007199254740993,"question":"q"}'],
      ["candidates[1].answer", '{"question":"q","candidates":["1",{"text":"1","answer":1e19}]}'],
      ["choices[0]", '{"question":"q","choices":[9007199254740993,"b"],"answer":"B"}'],
    ] as const
  ) {
    assert.throws(
      () => normalizeRecord(JSON.parse(record), at),
      (error: Error) =>
        error.message.startsWith(
          `Cannot read record 3 of a.jsonl: field "${field}" must be text where it has more than 15 digits`,
        ),
      record,
    );
  }
  assert.deepEqual(normalizeRecord(JSON.parse('{"id":7,"question":"q","answer":9007199254740991}'), at), {
    id: "7",
    question: "q",
    answer: "9007199254740991",
  });
  // Parquet's are exact.
  assert.deepEqual(normalizeRecord({ question: "q", answer: 9007199254740993n }, at), {
    id: "line-3",
    question: "q",
    answer: "9007199254740993",
  });
  assert.equal(
    formatRecord({ id: "x", own: 9007199254740993n, small: 5n }),
    '{"id":"x","own":"9007199254740993","small":5}\n',
  );
});
