import assert from "node:assert/strict";
import { test } from "node:test";
import { parseProblem, type Problem } from "../../lib/data/records.ts";
import { turnsOf } from "../../lib/data/train_turns.ts";
import { encodePrompt, encodeResponse } from "../../lib/model/encode.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import type { Model } from "../../lib/model/model.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import type { TrainOptions } from "../../lib/train/trainer.ts";
import { train } from "../../lib/train/trainer.ts";
import { chatml, writeChatModel } from "../_chat_models.ts";
import { collect, parametersOf } from "../_models.ts";

const where = { source: "c.jsonl", record: 1 };
const talk = (...contents: (string | object)[]) =>
  parseProblem({
    id: "c",
    messages: contents.map((content, i) =>
      typeof content === "string" ? { role: i % 2 === 0 ? "user" : "assistant", content } : content
    ),
  }, where);

async function withModel(template: string | undefined, body: (model: Model) => Promise<void>): Promise<void> {
  using model = await loadModel(await writeChatModel(template, { context: 256 }), { backend: "wasm" });
  await body(model);
}

/** The loss of the first step, at a rate that moves nothing. */
async function firstLoss(
  model: Model,
  problems: readonly Problem[],
  options: TrainOptions = {},
): Promise<number> {
  const [line] = await collect(
    train(model, problems, { objective: "vft", steps: 1, learningRate: 1e-12, ...options }),
  );
  return line!.loss;
}

/** Σ log P of a text's ids behind a prompt's, and their number, by the model's own log-probs. */
async function nll(model: Model, prompt: readonly number[], response: readonly number[]) {
  const logprobs = await model.logprobs([...prompt, ...response]);
  return -logprobs.slice(prompt.length - 1).reduce((sum, one) => sum + one, 0);
}

test("both answers of a conversation are trained: the loss is the mean over their tokens", async () => {
  await withModel(chatml, async (model) => {
    const { tokenizer } = model, ids = (text: string) => tokenizer.encode(text, { special: false });
    const problem = talk("2+3?", "It is 5 pens", "4+6?", "10");
    // By hand: the template's text up to each answer; an answer is its text and <|im_end|> (301).
    const first = [1, ...ids("<|im_start|>user\n2+3?<|im_end|>\n<|im_start|>assistant\n")];
    const second = [
      ...first,
      ...ids("It is 5 pens<|im_end|>\n<|im_start|>user\n4+6?<|im_end|>\n<|im_start|>assistant\n"),
    ];
    const answers = [[...ids("It is 5 pens"), 301], [...ids("10"), 301]];
    const sums = [await nll(model, first, answers[0]!), await nll(model, second, answers[1]!)];
    const tokens = answers.map(({ length }) => length);
    assert.notEqual(tokens[0], tokens[1]); // or a mean of means would do
    const all = (sums[0]! + sums[1]!) / (tokens[0]! + tokens[1]!);
    const close = (found: number, wanted: number) =>
      assert.ok(Math.abs(found - wanted) < 1e-5, `${found} ${wanted}`);
    close(await firstLoss(model, [problem]), all);
    close(await firstLoss(model, [problem], { trainTurns: "all", batchSize: 1 }), all);
    close(await firstLoss(model, [problem], { trainTurns: "last" }), sums[1]! / tokens[1]!);
    // An answer of weight 0 is history and nothing else.
    const weighted = parseProblem({
      messages: [
        { role: "user", content: "2+3?" },
        { role: "assistant", content: "It is 5 pens", weight: 0 },
        { role: "user", content: "4+6?" },
        { role: "assistant", content: "10" },
      ],
    }, where);
    close(await firstLoss(model, [weighted]), sums[1]! / tokens[1]!);
    // One that ends in a question has the answers before it; a completion marked wrong takes its history along.
    const [asked, answered] = [talk("2+3?", "It is 5 pens", "4+6?"), talk("2+3?", "It is 5 pens")];
    close(await firstLoss(model, [asked]), sums[0]! / tokens[0]!);
    const wrong = { ...asked, id: "w", candidates: [{ text: "11", correct: false }] };
    close(await firstLoss(model, [wrong, answered]), sums[0]! / tokens[0]!);
    await assert.rejects(firstLoss(model, [wrong]), /none of the 1 records has a response to train on/);
    // Beside another record, each token counts the same: not each record, nor each turn.
    const other = { id: "o", question: "1?", reference: "9" };
    const alone = [...ids("9"), 301], before = encodePrompt(model, other);
    const joint = (sums[0]! + sums[1]! + await nll(model, before, alone)) /
      (tokens[0]! + tokens[1]! + alone.length);
    close(await firstLoss(model, [problem, other], { batchSize: 2 }), joint);
  });
});

test("plain text: earlier answers are trained behind their questions, and a batch counts records", async () => {
  await withModel(undefined, async (model) => {
    const problem = talk("A?", "one", "B?", "two");
    const [first, last] = turnsOf(problem) as [Problem, Problem];
    assert.deepEqual(first, { id: "c (answer 1)", question: "A?", reference: "one" });
    assert.equal(last, problem);
    const ends = [first, last].map((one) => ({
      prompt: encodePrompt(model, one),
      response: encodeResponse(model, { text: one.reference! }, { problem: one }),
    }));
    assert.equal(
      model.tokenizer.decode(ends[1]!.prompt),
      "Question: A?\nAnswer: one\n\nQuestion: B?\nAnswer:",
    );
    let sum = 0, count = 0;
    for (const { prompt, response } of ends) {
      sum += await nll(model, prompt, response);
      count += response.length;
    }
    const lines = await collect(
      train(model, [problem, problem, problem], {
        objective: "vft",
        epochs: 1,
        batchSize: 2,
        logEvery: 1,
        learningRate: 1e-12,
      }),
    );
    assert.equal(lines.length, 2); // three records in batches of two, whatever they hold
    for (const { loss } of lines) assert.ok(Math.abs(loss - sum / count) < 1e-5);
  });
});

test("three turns, a turn of one's own choices, and what has one answer", () => {
  assert.deepEqual(
    turnsOf(talk("a", "b", "c", "d", "e", "f")).map(({ id, earlier = [], question, reference }) => [
      ...[id, earlier.map(({ content }) => content).join(), question, reference],
    ]),
    [["c (answer 1)", "", "a", "b"], ["c (answer 2)", "a,b", "c", "d"], ["c", "a,b,c,d", "e", "f"]],
  );
  const single = { id: "s", question: "Q", reference: "R", answer: "1", candidates: [{ text: "R" }] };
  assert.deepEqual(turnsOf(single), [single]);
  const choices = ["x", "y"], asked = { ...talk("a", "b", "c"), choices, answer: "B", reference: "y" };
  assert.deepEqual(turnsOf(asked)[0], { id: "c (answer 1)", question: "a", reference: "b" });
});

test("a prompt–completion list with several answers; the answers of a long history that do not fit", async () => {
  const [user, said] = [
    (content: string) => ({ role: "user", content }),
    (content: string) => ({ role: "assistant", content }),
  ];
  const record = { prompt: [user("a")], completion: [said("b"), user("c"), said("d")] };
  assert.deepEqual(
    turnsOf(parseProblem(record, where)).map(({ question, reference }) => [question, reference]),
    [
      ["a", "b"],
      ["c", "d"],
    ],
  );
  assert.throws(
    () => parseProblem({ prompt: [user("a")], completion: [said("b"), user("c")] }, where),
    /field "completion" must end with a message of the assistant/,
  );
  await withModel(chatml, async (model) => {
    const long = talk("2+3?", "5", "x ".repeat(300), "10"), warnings: string[] = [];
    const short = talk("2+3?", "5");
    const listener = { warn: (line: string) => warnings.push(line) };
    const loss = await firstLoss(model, [long], { listener });
    assert.match(warnings.join(), /^1 response is left out: with its prompt it exceeds the context/);
    assert.ok(Math.abs(loss - await firstLoss(model, [short])) < 1e-6);
  });
});

test("what trainTurns may be", async () => {
  await withModel(chatml, async (model) => {
    const fails = (options: object, pattern: RegExp) =>
      assert.rejects(collect(train(model, [talk("a", "b")], options as TrainOptions)), (error: Error) => {
        assert.ok(error instanceof UsageError, String(error));
        assert.match(error.message, pattern);
        return true;
      });
    await fails(
      { objective: "vft", trainTurns: "first" },
      /`trainTurns`: it must be all or last: got "first"/,
    );
    await fails(
      { objective: "aft", trainTurns: "all" },
      /`trainTurns: all` with aft: its candidates answer the last/,
    );
    await assert.rejects(collect(train(model, [], { objective: "vft", trainTurns: "last" })), InputError);
    // A resumed run and a parameter's way: one step on both turns differs from one on the last.
    const moved = async (trainTurns: "all" | "last") => {
      using own = await loadModel(model.directory, { backend: "wasm" });
      await collect(
        train(own, [talk("2+3?", "5", "4+6?", "10")], { objective: "vft", steps: 1, warmup: 0, trainTurns }),
      );
      return (await parametersOf(own)).get("norm")!;
    };
    assert.notDeepEqual(await moved("all"), await moved("last"));
  });
});
