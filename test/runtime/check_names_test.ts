/** What a script can mistype is refused by name, by every function that takes options. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  align,
  evaluate,
  generate,
  loadDataset,
  loadModel,
  lossOf,
  mergeAdapter,
  score,
  study,
  train,
} from "../../mod.ts";
import { at, base } from "../_commands.ts";

const drain = async (records: AsyncIterable<unknown>) => {
  for await (const _ of records);
};
// As a script without type checks passes them.
// deno-lint-ignore no-explicit-any -- the compiler refuses each of these, which is the other half of the guard
const any = (options: object): any => options;

test("a mistyped option is refused with the one that is near, before anything is done", async () => {
  using model = await loadModel(base, { backend: "wasm" });
  const problem = { id: "a", question: "1 + 1?", answer: "2", reference: "#### 2" };
  const cases: [string, () => Promise<unknown>][] = [
    [
      "Unknown option betta1 of train: did you mean beta1?",
      () => drain(train(model, [problem], any({ betta1: 1 }))),
    ],
    [
      "Unknown option sampels of generate: did you mean samples?",
      () => drain(generate(model, [problem], any({ sampels: 1 }))),
    ],
    [
      "Unknown option vote of evaluate: did you mean votes?",
      () => drain(evaluate(model, [problem], any({ vote: 1 }))),
    ],
    [
      "Unknown option stric of score: did you mean strict?",
      () => drain(score(model, [], any({ stric: true }))),
    ],
    [
      "Unknown option bakend of loadModel: did you mean backend?",
      () => loadModel(base, any({ bakend: "wasm" })),
    ],
    [
      "Unknown option limt of loadDataset: did you mean limit?",
      () => drain(loadDataset("arithmetic", any({ limt: 1 }))),
    ],
    ["Unknown option dtyp of save: did you mean dtype?", () => model.save(at("never"), any({ dtyp: "F16" }))],
    [
      "Unknown option adaptor of mergeAdapter: did you mean adapter?",
      () => mergeAdapter(at("never"), any({ base, adapter: base, adaptor: base })),
    ],
    ["Unknown option epoch of align: did you mean epochs?", () => align(any({ epoch: 1, out: at("never") }))],
    ["Unknown option quik of study: did you mean quick?", () => study(any({ quik: true, out: at("never") }))],
  ];
  for (const within of ["train", "generate", "evaluate", "score"] as const) {
    const run = { train, generate, evaluate, score }[within];
    cases.push([
      `Unknown option prompt.sytem of ${within}: did you mean system?`,
      () => drain(run(model, [{ ...problem, candidates: [] }], any({ prompt: { sytem: "x" } }))),
    ]);
  }
  for (const [message, run] of cases) await assert.rejects(run, { name: "UsageError", message });
});

test("a number without a meaning is refused where a script passes it too", async () => {
  using model = await loadModel(base, { backend: "wasm" });
  const problem = { id: "a", question: "1 + 1?", answer: "2" };
  const cases: [string, () => AsyncIterable<unknown>][] = [
    [
      "Option samples must be a whole number of at least 1: got 0",
      () => generate(model, [problem], { samples: 0 }),
    ],
    [
      "Option maxTokens must be a whole number of at least 1: got 2.5",
      () => generate(model, [problem], { maxTokens: 2.5 }),
    ],
    [
      "Option temperature must be at least 0: got NaN",
      () => generate(model, [problem], { temperature: NaN }),
    ],
    ["Option topP must be from 0 to 1: got 90", () => generate(model, [problem], { topP: 90 })],
    [
      "Option votes must be a whole number of at least 0: got -1",
      () => evaluate(model, [problem], { votes: -1 }),
    ],
    [
      "Option microBatchTokens must be a whole number of at least 1: got 0",
      () => score(model, [], { microBatchTokens: 0 }),
    ],
  ];
  for (const [message, run] of cases) {
    await assert.rejects(() => drain(run()), { name: "UsageError", message });
  }
});

test("a constraint among an objective's options is not dropped in silence; a switch takes 0 or 1", async () => {
  using model = await loadModel(base, { backend: "wasm" });
  await assert.rejects(() => drain(train(model, [], { options: any({ constraint: "bc" }) })), {
    name: "UsageError",
    message: "Cannot use constraint in the options of an objective: it stands beside them",
  });
  const group = { scores: [-1, -2], lengths: [1, 1], correct: [true, false], referenceLogprobs: [-1, -1] };
  assert.throws(() => lossOf("ipo", group, { perToken: 0.5 }), {
    name: "UsageError",
    message: "Cannot use perToken 0.5 with objective ipo: expected 0 or 1",
  });
});
