import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { loadDataset } from "../../lib/data/load_dataset.ts";
import type { Problem } from "../../lib/data/records.ts";
import { evaluate } from "../../lib/evaluate/evaluate.ts";
import { optionLogprobs } from "../../lib/evaluate/option_logprobs.ts";
import { summarize } from "../../lib/evaluate/summary.ts";
import { encodePrompt } from "../../lib/model/encode.ts";
import type { Model } from "../../lib/model/model.ts";
import { assertClose, assertNoLeak, onBothBackends } from "../_backends.ts";
import { collect, setParameter, smallModel } from "../_models.ts";

const problem = (answer: string | undefined, choices: string[] | undefined): Problem => ({
  id: `p-${answer}`,
  question: "?",
  prompt: "2 + 3 =",
  ...(answer !== undefined && { answer }),
  ...(choices && { choices }),
});

/**
 * A model whose logits do not depend on the text: its layers are zero, every embedding is a vector of ones, whose RMS
 * norm is itself, so logit v is the sum of row v of the head, here `logits[v]`.
 */
async function constantModel(
  backend: "wasm" | "webgpu",
  logits: (model: Model) => Map<number, number>,
): Promise<Model> {
  const model = await smallModel(backend, { config: { tie_word_embeddings: false, rms_norm_eps: 1e-12 } });
  const wanted = logits(model);
  for (const { name, shape } of model.decoder.plan) {
    const size = shape.reduce((a, b) => a * b, 1), values = new Float32Array(size);
    if (/norm/i.test(name) || name === "embedding") values.fill(1);
    if (name === "head") {
      for (const [id, value] of wanted) values.fill(value / shape[1], id * shape[1], (id + 1) * shape[1]);
    }
    setParameter(model, name, values, [...shape]);
  }
  return model;
}

onBothBackends("the likeliest letter answers: by hand", async (backend) => {
  let letters: number[] = [];
  const model = await constantModel(backend, (m) => {
    letters = ["A", "B", "C", "D"].map((l) => m.tokenizer.encodeResponse(` ${l}`).at(-1)!);
    assert.equal(new Set(letters).size, 4);
    // Of 290 tokens three have logits other than 0: e^0 · 287 + 3 + 2 + 8 = 300.
    return new Map([[letters[1], Math.log(3)], [letters[2], Math.log(2)], [letters[3], Math.log(8)]]);
  });
  // A letter may be two tokens, a blank and itself: the blank costs 1/300 for every letter alike.
  const blank = model.tokenizer.encodeResponse(" B").length - 1;
  assert.ok(blank === 0 || blank === 1);
  const expected = [1, 3, 2, 8].map((e) => Math.log(e / 300) + blank * Math.log(1 / 300));
  await assertNoLeak(async () => {
    const [two, three, four, free, open] = await collect(optionLogprobs(model, [
      problem("B", ["five", "six"]),
      problem("C", ["five", "six", "seven"]),
      problem("D", ["five", "six", "seven", "eight"]),
      problem("5", undefined),
      problem(undefined, ["five", "six"]),
    ]));
    assert.deepEqual([two!.answer, two!.correct], ["B", true]);
    assertClose([...two!.logprobs], expected.slice(0, 2), 1e-5, "two");
    assert.deepEqual([three!.answer, three!.correct], ["B", false]);
    assert.deepEqual([four!.answer, four!.correct], ["D", true]);
    assertClose([...four!.logprobs], expected, 1e-5, "four");
    assert.deepEqual([free, open], [undefined, undefined]);
  });
  model.dispose();
});

onBothBackends("equal letters: the first; and evaluate sums it up", async (backend) => {
  const model = await constantModel(backend, () => new Map());
  const problems = [
    problem("A", ["x", "y"]),
    problem("B", ["x", "y"]),
    problem("A", ["x", "y", "z"]),
    problem("7", undefined),
  ];
  const measure = async (options: "letter" | "logprob" | "both") =>
    await collect(evaluate(model, problems, { options, maxTokens: 2 }));
  const [byLogprob, byBoth, byLetter] = [
    await measure("logprob"),
    await measure("both"),
    await measure("letter"),
  ];
  assert.deepEqual(byLogprob.map((r) => r.option?.answer), ["A", "A", "A", undefined]);
  // Two of three questions with options.
  assert.equal(summarize(byLogprob).option_accuracy, 2 / 3);
  // Nothing is generated where letters answer, but a free answer needs it.
  assert.deepEqual(byLogprob.map((r) => r.greedy !== undefined), [false, false, false, true]);
  assert.deepEqual(byBoth.map((r) => r.greedy !== undefined), [true, true, true, true]);
  assert.deepEqual(byBoth.map((r) => r.option), byLogprob.map((r) => r.option));
  assert.ok(byLetter.every((r) => r.option === undefined && r.greedy !== undefined));
  assert.equal(summarize(byLetter).option_accuracy, undefined);
  model.dispose();
});

onBothBackends("the same numbers as one plain sequence a letter", async (backend) => {
  const model = await smallModel(backend, { context: 96 });
  const asked: Problem = { ...problem("B", ["1", "2", "3"]), prompt: undefined };
  const [{ logprobs } = { logprobs: [] }] = await collect(optionLogprobs(model, [asked]));
  const prompt = encodePrompt(model, asked);
  for (const [i, letter] of ["A", "B", "C"].entries()) {
    const ids = model.tokenizer.encodeResponse(` ${letter}`);
    const all = await model.logprobs([...prompt, ...ids]);
    assertClose([logprobs[i]], [all.slice(prompt.length - 1).reduce((a, b) => a + b, 0)], 1e-5, letter);
  }
  // A prompt that fills the context has no result and is told of.
  const told: string[] = [];
  const long = { ...asked, prompt: "12 ".repeat(96) };
  const results = await collect(
    optionLogprobs(model, [long, asked], { listener: { warn: (line) => told.push(line) } }),
  );
  assert.equal(results[0], undefined);
  assertClose([...results[1]!.logprobs], [...logprobs], 1e-5, "beside one that is too long");
  assert.match(told.join(), /exceeds? the context of 96 tokens/);
  model.dispose();
});

const mmlu = fileURLToPath(new URL("../../../shared/data/mmlu", import.meta.url));
test("every question of MMLU has options to compare", { skip: !existsSync(mmlu) }, async () => {
  const problems = await collect(loadDataset(mmlu + ":test", { limit: 50 }));
  assert.equal(problems.length, 50);
  for (const { choices, answer } of problems) {
    assert.equal(choices?.length, 4);
    assert.match(answer!, /^[A-D]$/);
  }
});
