import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Group, Problem } from "../../lib/data/records.ts";
import { nextQuestionMarks } from "../../lib/data/stop_marks.ts";
import { encodeResponse } from "../../lib/model/encode.ts";
import { evaluate } from "../../lib/evaluate/evaluate.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import { train } from "../../lib/train/trainer.ts";
import { generate, type GenerateOptions } from "../../lib/model/generate.ts";
import { stopTextsOf, watchStops } from "../../lib/model/stop_texts.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import { loadTokenizer, type Tokenizer } from "../../lib/tokenizer/tokenizer.ts";
import { assertNoLeak, onBothBackends } from "../_backends.ts";
import { collect, smallModel } from "../_models.ts";

test("where a template's next question would begin", () => {
  const cases: [string, string[]][] = [
    ["Question: {question}\nAnswer:", ["Question:"]],
    ["Q: {question}\nA:", ["Q:"]],
    ["Below is a task.\n\n### Instruction:\n{instruction}\n\n### Response:\n", ["### Instruction:"]],
    ["{context}\nQuestion: {question}\nAnswer:", ["Question:"]],
    ["Context: {context}\nQuestion: {question}\nAnswer:", ["Context:", "Question:"]],
    ["[INST] {question} [/INST]", ["[INST]"]],
    ["Solve {{x}} for: {question}", ["Solve {x} for:"]],
    ["Problem {question}\nSolution", ["Problem "]],
    // What a chain of thought may well hold is no mark: "#### 72", "1. First", "Q = 5".
    ["{question}", []],
    ["# {question}\n", []],
    ["1. {question}", []],
    ["- {question}", []],
    ["Q{id}: {question}", []],
    ["Q {question}", []],
  ];
  for (const [template, marks] of cases) {
    assert.deepEqual(nextQuestionMarks(template), marks.flatMap((m) => [`\n\n${m}`, `\n${m}`]), template);
  }
});

/** Ids that spell a text one character (or byte) a token, as far as the vocabulary has such tokens. */
function inPieces(tokenizer: Tokenizer, text: string): number[] {
  return [...text].flatMap((char) => tokenizer.encodeResponse(char));
}

/** The stopped ids of a text whose tokens come one by one, and the text before. */
function stopAt(tokenizer: Tokenizer, ids: readonly number[], texts: readonly string[]): string | undefined {
  const watch = watchStops(tokenizer, texts);
  for (let count = 1; count <= ids.length; count++) {
    if (!watch.stopped(ids.slice(0, count))) continue;
    const kept = watch.cut(ids.slice(0, count))!;
    return tokenizer.decodeResponse(kept);
  }
  assert.equal(watch.cut(ids), undefined);
  return undefined;
}

/** Byte-level BPE, and SentencePiece's kind with bytes to fall back on. */
const models = ["fixtures/base", "../shared/models/stories260K"];

for (const name of models) {
  const path = fileURLToPath(new URL(`../../${name}`, import.meta.url));
  test(`stop texts are found wherever they begin and end in tokens: ${name}`, {
    skip: !existsSync(path) && "no ../shared beside the repository",
  }, async () => {
    const tokenizer = await loadTokenizer(path);
    const text = " So 2 + 3 = 5 – naïve 🦆.\n#### 5\n\nQuestion: Ann has 4 pens, and Bob?\nAnswer: 9";
    const whole = tokenizer.encodeResponse(text), pieces = inPieces(tokenizer, text);
    for (const ids of [whole, pieces]) {
      const spelled = tokenizer.decodeResponse(ids);
      // Every text of 1 to 9 characters that occurs: before it stands what stands before its first occurrence.
      const chars = [...spelled];
      for (let start = 0; start < chars.length; start++) {
        for (const length of [1, 2, 5, 9]) {
          const stop = chars.slice(start, start + length).join("");
          assert.equal(stopAt(tokenizer, ids, [stop]), spelled.slice(0, spelled.indexOf(stop)), stop);
        }
      }
      assert.equal(
        stopAt(tokenizer, ids, ["\nQuestion:", "\n\nQuestion:"]),
        spelled.slice(0, spelled.indexOf("\n\nQ")),
      );
      assert.equal(stopAt(tokenizer, ids, ["Zebra", "Question: Bob"]), undefined);
    }
  });
}

test("the kept ids are the drawn ones, up to a token in which the stop text begins", async () => {
  const tokenizer = await loadTokenizer(fileURLToPath(new URL("../../fixtures/base", import.meta.url)));
  // Drawn in an order that the tokenizer would not have chosen.
  const drawn = inPieces(tokenizer, "So the answer is 5");
  const watch = watchStops(tokenizer, [" is"]);
  const cut = watch.cut(drawn)!;
  assert.deepEqual(cut, drawn.slice(0, cut.length));
  assert.notDeepEqual(cut, tokenizer.encodeResponse("So the answer"));
  // A token that holds more than the stop text's beginning is spelled anew up to it.
  const ids = tokenizer.encodeResponse(" The answer"), inside = watchStops(tokenizer, ["nswer"]).cut(ids)!;
  assert.equal(tokenizer.decodeResponse(inside), " The a");
});

const problems: Problem[] = [
  { id: "a", question: "Tom has 5 pens and buys 3. How many has he?", answer: "8" },
  { id: "b", question: "Ann has 9 pens and sells 2. How many has she?", answer: "7" },
];

onBothBackends("a response ends before the stop text, the same in blocks of any length", async (backend) => {
  const model = await smallModel(backend, { context: 128 });
  await assertNoLeak(async () => {
    const common: GenerateOptions = {
      samples: 2,
      maxTokens: 26,
      seed: 3,
      keepDuplicates: true,
      tokenIds: true,
    };
    const free = await collect(generate(model, problems, { ...common, stop: [] }));
    const texts = free.flatMap(({ candidates }) => candidates.map(({ text }) => text));
    // Two characters from the middle of the first response are the stop text.
    const stop = texts[0]!.slice(18, 20);
    const byBlock: Group[][] = [];
    for (const block of [1, 16]) {
      byBlock.push(await collect(generate(model, problems, { ...common, stop: [stop], block })));
    }
    assert.deepEqual(byBlock[1], byBlock[0]);
    const stopped = byBlock[0]!.flatMap(({ candidates }) => candidates);
    let cut = 0;
    stopped.forEach(({ text, finish, tokens, token_ids }, i) => {
      const at = texts[i]!.indexOf(stop);
      assert.equal(text, at < 0 ? texts[i] : texts[i]!.slice(0, at));
      if (at < 0) return;
      cut++;
      assert.equal(finish, "stop");
      assert.equal(tokens, token_ids!.length);
      assert.equal(token_ids!.at(-1), 2); // the end token, which the stop text stands for
      assert.deepEqual(encodeResponse(model, { text, finish, token_ids }), token_ids);
    });
    assert.ok(cut > 0);
  });
  model.dispose();
});

test("which texts stop a problem's response by default, and which lists are none", async () => {
  const model = await smallModel("wasm");
  const marks = ["\n\nQuestion:", "\nQuestion:"], [problem] = problems;
  assert.deepEqual(stopTextsOf(model, problem!, {}), marks);
  assert.deepEqual(stopTextsOf(model, { ...problem!, choices: ["1", "2"] }, {}), marks);
  assert.deepEqual(stopTextsOf(model, problem!, { prompt: { template: "Q: {question}\nA:" } }), [
    "\n\nQ:",
    "\nQ:",
  ]);
  assert.deepEqual(stopTextsOf(model, { ...problem!, prompt: "Question: 1?\nAnswer:" }, {}), []);
  assert.deepEqual(stopTextsOf(model, problem!, { stop: [] }), []);
  assert.deepEqual(stopTextsOf(model, problem!, { stop: ["x"] }), ["x"]);
  for (const stop of [[""], "x", [1]]) {
    await assert.rejects(
      collect(generate(model, problems, { stop: stop as string[] })),
      (error: Error) =>
        error instanceof UsageError && /^Option stop must be a list of texts/.test(error.message),
    );
  }
  model.dispose();
});

test("by default a response ends where the model begins the next question of its template", async () => {
  const model = await loadModel(fileURLToPath(new URL("../../fixtures/base", import.meta.url)), {
    backend: "wasm",
  });
  const [problem] = problems, runsOn = "5 + 3 = 8\n#### 8\n\nQuestion: Ann has 4 pens.";
  const runningOn = /^5 \+ 3 = 8\n#### 8\n\nQuestion: /;
  const record = { ...problem!, reference: runsOn };
  await collect(train(model, [record], { objective: "vft", steps: 40, learningRate: 3e-3, warmup: 0 }));
  const answers = async (options: GenerateOptions) => {
    const [group] = await collect(generate(model, [problem!], { temperature: 0, maxTokens: 60, ...options }));
    return group!.candidates.map(({ text, finish }) => [text, finish]);
  };
  assert.match(String((await answers({ stop: [] }))[0]![0]), runningOn);
  assert.deepEqual(await answers({}), [["5 + 3 = 8\n#### 8", "stop"]]);
  assert.deepEqual(await answers({ stop: ["\n####"] }), [["5 + 3 = 8", "stop"]]);
  // A template of one's own has its own mark, and a greedy answer is stopped when it is measured too.
  const template = "Question: {question}\nAnswer:", asked = { maxTokens: 60, prompt: { template } };
  const [measured] = await collect(evaluate(model, [problem!], asked));
  assert.equal(measured!.greedy!.text, "5 + 3 = 8\n#### 8");
  const [free] = await collect(evaluate(model, [problem!], { ...asked, stop: [] }));
  assert.match(free!.greedy!.text, runningOn);
  model.dispose();
});
