/** Evaluation while a model trains: what is measured, what is held out, which model is kept, when a training stops. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Group, Problem } from "../../lib/data/records.ts";
import { parseLora } from "../../lib/checkpoint/lora.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import type { Model } from "../../lib/model/model.ts";
import { greedyAnswers } from "../../lib/pipeline/greedy_answers.ts";
import { BestWatch } from "../../lib/train/best_watch.ts";
import type { EvaluationLine } from "../../lib/train/evaluation_figures.ts";
import { HoldingOut } from "../../lib/train/split.ts";
import { train, type TrainOptions } from "../../lib/train/trainer.ts";
import { assertClose, assertNoLeak, onBothBackends } from "../_backends.ts";
import { collect, freshPath, parametersOf, smallModel, writeSmallModel } from "../_models.ts";
import { toyGroups, toyProblems } from "../_toys.ts";

/** Questions that differ, with labelled candidates. */
function groupsOf(count: number): Group[] {
  return toyGroups(count).map((group, i) => ({
    ...group,
    question: `${i}: ${group.question}`,
    prompt: `${i}=`,
  }));
}

/** Everything that a training told its evaluation's listener and its own. */
async function told(
  model: Model,
  records: Iterable<Group | Problem>,
  { evaluation, ...options }: TrainOptions,
): Promise<{ lines: EvaluationLine[]; notes: string[]; warnings: string[] }> {
  const lines: EvaluationLine[] = [], notes: string[] = [], warnings: string[] = [];
  await collect(train(model, records, {
    ...options,
    evaluation: { ...evaluation, heard: (line) => void lines.push(line) },
    listener: { note: (line) => notes.push(line), warn: (line) => warnings.push(line) },
  }));
  return { lines, notes, warnings };
}

function linesIn(out: string): Record<string, unknown>[] {
  return readFileSync(join(out, "metrics.jsonl"), "utf8").trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
}

for (const objective of ["vft", "aft", "dpo"] as const) {
  onBothBackends(`${objective}: an evaluation set that is the first batch has its loss`, async (backend) => {
    const model = await smallModel(backend, { scale: 3 });
    await assertNoLeak(async () => {
      // More than an evaluation scores at once, of unequal lengths: means of means would differ.
      const groups = groupsOf(40).map((group, i) => ({
        ...group,
        reference: `${group.reference}${" so".repeat(i % 7)}`,
        candidates: group.candidates.map((candidate, c) => ({ ...candidate, logprob: -5 - c })),
      }));
      const lines: EvaluationLine[] = [];
      const [step] = await collect(train(model, groups, {
        objective,
        steps: 1,
        batchSize: 40,
        microBatchTokens: 300,
        evaluation: { data: groups, heard: (line) => void lines.push(line) },
      }));
      assert.deepEqual(lines.map((line) => [line.step, line.eval_records]), [[0, 40], [1, 40]]);
      assertClose([lines[0].eval_loss], [step.loss], 1e-5, "loss");
      assertClose([lines[0].eval_objective_loss!], [step.objective_loss!], 1e-5, "objective");
      assert.equal(lines[0].eval_vft_loss === undefined, step.vft_loss === undefined);
      if (objective !== "vft") {
        assertClose([lines[0].eval_margin!], [step.margin!], 1e-5, "margin");
        assertClose([lines[0].eval_assessment_accuracy!], [step.assessment_accuracy!], 1e-12, "assessment");
      } else assert.equal(lines[0].eval_margin, undefined);
    });
    model.dispose();
  });
}

test("a share is held out by question: the same whatever else is there, and never trained on", () => {
  const split = (records: Problem[], share: number, seed = 0) => {
    const holding = new HoldingOut(share, seed);
    records.forEach((record) => holding.take(record));
    return holding.split();
  };
  const ids = (records: Problem[], indices: readonly number[]) => indices.map((i) => records[i].id);
  const many = Array.from(
    { length: 2000 },
    (_, i): Problem => ({ id: `p${i}`, question: `How much is ${i}?` }),
  );
  const { trained, heldOut } = split(many, 0.05);
  assert.ok(heldOut.length > 70 && heldOut.length < 130, `${heldOut.length} of 2000`);
  assert.deepEqual([...trained, ...heldOut].sort((a, b) => a - b), many.map((_, i) => i));
  const some = many.filter((_, i) => i % 3 > 0).reverse();
  const before = new Set(ids(many, heldOut));
  assert.deepEqual(
    new Set(ids(some, split(some, 0.05).heldOut)),
    new Set(some.filter(({ id }) => before.has(id)).map(({ id }) => id)),
  );
  assert.notDeepEqual(split(many, 0.05, 1).heldOut, heldOut);
  // Records of one question go together, whatever their ids and white space.
  const twice = [
    ...many,
    ...many.map(({ question }, i) => ({ id: `q${i}`, question: question.replace(" ", "\n ") })),
  ];
  assert.deepEqual(split(twice, 0.05).heldOut, [...heldOut, ...heldOut.map((i) => i + 2000)]);
  for (const count of [2, 3, 5]) {
    for (const share of [1e-9, 0.5, 0.999]) {
      const sides = split(many.slice(0, count), share);
      assert.ok(sides.heldOut.length > 0 && sides.trained.length > 0, `${count} ${share}`);
    }
  }
  assert.throws(
    () => split([many[0], many[0]], 0.5),
    /^InputError: Cannot hold out a question: the records ask only one$/,
  );
});

test("the best and the patience, by hand", () => {
  const line = (step: number, loss: number, margin?: number) =>
    ({ step, steps: 9, epoch: 0, eval_records: 1, eval_loss: loss, eval_margin: margin }) as EvaluationLine;
  const loss = new BestWatch("loss", 2);
  const seen = [3, 2, 2, 2.5, 1].map((value, step) => loss.take(line(step, value)));
  assert.deepEqual(
    seen.map(({ isBest }) => isBest),
    [true, true, false, false, true],
    "an equal one is no better",
  );
  assert.deepEqual(seen.map(({ spent }) => spent), [false, false, false, true, false]);
  assert.deepEqual(loss.best, { step: 4, value: 1, waited: 0 });
  const margin = new BestWatch("margin"); // higher is better
  [0.1, 0.3, 0.2].forEach((value, step) => margin.take(line(step, 0, value)));
  assert.deepEqual(margin.best, { step: 1, value: 0.3, waited: 1 });
  assert.throws(
    () => margin.take(line(4, 1)),
    /^InputError: Cannot go by margin: the evaluation set does not give it; it gives loss$/,
  );
  const start = new BestWatch("accuracy");
  const equal = [0.5, 0.5, 0.5].map((value, step) =>
    start.take({ ...line(step, 1), eval_accuracy: value }).isBest
  );
  assert.deepEqual(equal, [true, true, false], "an untrained model is kept only where none is as good");
  const resumed = new BestWatch("loss", 2, { step: 1, value: 2, waited: 1 });
  assert.deepEqual(resumed.take(line(2, 2)), { isBest: false, spent: true });
});

test("the best model is kept, a training that gets no better stops, and every checkpoint is a model", async () => {
  const directory = await writeSmallModel(), out = freshPath();
  using model = await loadModel(directory, { backend: "wasm" });
  const options = {
    objective: "vft",
    learningRate: 0.03, // so high that what is held out gets worse soon
    decay: "constant",
    warmup: 0,
    batchSize: 4,
    epochs: 30,
    saveEvery: 5,
    keepLast: 3,
    out,
    evaluation: { share: 0.3, every: 2, keepBest: "loss", patience: 3 },
  } as const;
  const { lines, notes } = await told(model, toyLong(), options);
  const losses = lines.map((line) => line.eval_loss), best = losses.indexOf(Math.min(...losses));
  assert.equal(lines.length, best + 4, "three more after the best");
  assert.ok(best > 0 && lines.at(-1)!.step < lines[0].steps, `${losses}`);
  assert.match(
    notes.at(-2)!,
    /^Stops at step \d+ of \d+: 3 evaluations in a row were no better than that of step \d+ by loss$/,
  );
  assert.equal(
    notes.at(-1),
    `Keeps the model of step ${lines[best].step}, the best by loss (${Number(losses[best].toPrecision(4))})`,
  );
  assert.match(
    readFileSync(join(out, "README.md"), "utf8"),
    new RegExp(`the model of step ${lines[best].step},`),
  );
  // In memory and on disk it is the model that had that loss: a run that ends there, evaluated once more.
  using again = await loadModel(out, { backend: "wasm" });
  const { out: _, ...inMemory } = options;
  for (const kept of [model, again]) {
    const { lines: [first] } = await told(kept, toyLong(), {
      ...inMemory,
      steps: 1,
      evaluation: { share: 0.3 },
    });
    assertClose([first.eval_loss], [losses[best]], 1e-6, "kept");
  }
  const checkpoints = readdirSync(join(out, "checkpoints")).toSorted(); // Bun lists as the disk has them
  assert.ok(
    checkpoints.length === 3 && checkpoints.every((name) => name.startsWith("step-")),
    `${checkpoints}`,
  );
  assert.equal(Number(checkpoints[2].slice(5)), lines.at(-1)!.step, "the last step has one");
  for (const name of checkpoints) {
    using one = await loadModel(join(out, "checkpoints", name), { backend: "wasm" });
    assert.equal(one.size, model.size);
  }
  assert.deepEqual(linesIn(out).filter((line) => "eval_loss" in line), JSON.parse(JSON.stringify(lines)));
});

test("an adapter's best is kept and its checkpoints are adapters; the base stays as it is", async () => {
  const directory = await writeSmallModel(), out = freshPath();
  const lora = { ...parseLora("r=2"), dropout: 0.5 };
  using model = await loadModel(directory, { backend: "wasm", lora, seed: 1 });
  const before = await parametersOf(model);
  const evaluation = { share: 0.3, every: 1, keepBest: "loss", patience: 2 } as const;
  const options = {
    objective: "vft",
    learningRate: 0.3,
    decay: "constant",
    steps: 12,
    batchSize: 4,
  } as const;
  const { lines } = await told(model, toyLong(), { ...options, saveEvery: 2, keepLast: 1, out, evaluation });
  const best = lines.reduce((a, b) => b.eval_loss < a.eval_loss ? b : a);
  using again = await loadModel(out, { backend: "wasm" });
  const [step] = readdirSync(join(out, "checkpoints"));
  using last = await loadModel(join(out, "checkpoints", step), { backend: "wasm" });
  const lossOf = async (one: Model) =>
    (await told(one, toyLong(), { ...options, steps: 1, evaluation: { share: 0.3 } })).lines[0].eval_loss;
  // Dropout is off while it is measured, so that the same model has the same loss.
  assertClose([await lossOf(model), await lossOf(again)], [best.eval_loss, best.eval_loss], 1e-6, "the best");
  assertClose([await lossOf(last)], [lines.at(-1)!.eval_loss], 1e-6, "the last");
  using base = await loadModel(directory, { backend: "wasm" });
  for (const [name, values] of await parametersOf(base)) {
    if (!name.includes("lora")) assert.deepEqual(before.get(name), values, name);
  }
});

/** Problems that differ, of which those held out cannot be known. */
function toyLong(): Problem[] {
  return toyProblems(16).map((problem, i) => ({
    ...problem,
    prompt: `${i * 7919 % 97}+${i}=`,
    reference: `#### ${i * i}`,
  }));
}

test("a run that was stopped evaluates at the same steps and ends with the same bytes", async () => {
  const directory = await writeSmallModel();
  const options = (out: string) => ({
    objective: "aft",
    learningRate: 1e-2,
    batchSize: 2,
    epochs: 6,
    saveEvery: 4,
    logEvery: 1,
    out,
    evaluation: {
      share: 0.3,
      every: 3,
      keepBest: "margin",
      patience: 6,
      answers: greedyAnswers(2, { maxTokens: 6 }),
    },
  } as const);
  const whole = freshPath(), cut = freshPath();
  using model = await loadModel(directory, { backend: "wasm" });
  await told(model, groupsOf(9), options(whole));
  for (const at of [2, 7, 11]) {
    const stop = new AbortController();
    using trainee = await loadModel(directory, { backend: "wasm" });
    const resume = existsSync(cut);
    await assert.rejects(async () => {
      const { out, ...rest } = options(cut);
      for await (
        const { step } of train(trainee, groupsOf(9), { ...rest, out, resume, signal: stop.signal })
      ) {
        if (step === at) stop.abort(new Error("Enough"));
      }
    }, /Enough/);
  }
  using trainee = await loadModel(directory, { backend: "wasm" });
  await told(trainee, groupsOf(9), { ...options(cut), resume: true });
  assert.deepEqual(
    readFileSync(join(cut, "model.safetensors")),
    readFileSync(join(whole, "model.safetensors")),
  );
  const path = (out: string) =>
    linesIn(out).map(({ tokens_per_second: _, allocated_bytes: __, ...line }) => line);
  assert.deepEqual(path(cut), path(whole));
  const evaluations = path(whole).filter((line) => "eval_loss" in line);
  assert.deepEqual([evaluations[0].step, evaluations[1].step, evaluations[0].eval_answers], [0, 3, 2]);
  assert.ok(!existsSync(join(cut, "checkpoints")));
  const weights = await parametersOf(trainee);
  for (const [name, values] of await parametersOf(model)) assert.deepEqual(weights.get(name), values, name);
});

test("a run that is stopped in an evaluation keeps its steps, and makes that evaluation when it goes on", async () => {
  const directory = await writeSmallModel(), whole = freshPath(), cut = freshPath();
  let asked = 0, stopAt = -1, stop = new AbortController();
  const answers = {
    questions: 1,
    ask: (_model: Model, _problems: readonly Problem[], signal?: AbortSignal) => {
      if (asked++ === stopAt) stop.abort(new Error("Enough"));
      signal?.throwIfAborted();
      return Promise.resolve({ accuracy: 0.5, samples: [] });
    },
  };
  const options = (out: string): TrainOptions => ({
    ...{ objective: "vft", steps: 7, batchSize: 2, saveEvery: 5, logEvery: 1, tensorboard: true, out },
    evaluation: { share: 0.3, every: 3, keepBest: "loss", answers },
  });
  using model = await loadModel(directory, { backend: "wasm" });
  await told(model, groupsOf(9), options(whole));
  // Evaluations are those of steps 0, 3, 6 and 7: the third is cut off, and once more when it is made again.
  for (const [at, resume, kept] of [[0, false], [2, true, 6], [0, true, 6], [1, true, 7]] as const) {
    stop = new AbortController();
    [asked, stopAt] = [0, at];
    using trainee = await loadModel(directory, { backend: "wasm" });
    const warned: string[] = [];
    const training = train(trainee, groupsOf(9), {
      ...{ ...options(cut), resume, signal: stop.signal },
      listener: { warn: (line) => warned.push(line) },
    });
    await assert.rejects(collect(training), /Enough/);
    const line = `Kept step ${kept} of 7 in ${cut}: option \`resume\` goes on from there`;
    assert.deepEqual(warned, kept === undefined ? [] : [line]);
  }
  stopAt = -1;
  using trainee = await loadModel(directory, { backend: "wasm" });
  await told(trainee, groupsOf(9), { ...options(cut), resume: true });
  const path = (out: string) =>
    linesIn(out).map(({ tokens_per_second: _, allocated_bytes: __, ...line }) => line);
  assert.deepEqual(path(cut), path(whole));
  const [a, b] = [cut, whole].map((out) => readFileSync(join(out, "model.safetensors")));
  assert.deepEqual(a, b);
});

test("a checkpoint that counts on a best model which is gone is refused; overwriting takes all of a run away", async () => {
  const directory = await writeSmallModel(), out = freshPath(), stop = new AbortController();
  using model = await loadModel(directory, { backend: "wasm" });
  const options: TrainOptions = {
    ...{ objective: "vft", steps: 4, batchSize: 2, saveEvery: 1, logEvery: 1, tensorboard: true, out },
    evaluation: { share: 0.3, every: 1, keepBest: "loss" },
  };
  const training = train(model, groupsOf(9), { ...options, signal: stop.signal });
  await assert.rejects(async () => {
    for await (const { step } of training) if (step === 3) stop.abort(new Error("Enough"));
  }, /Enough/);
  const folder = join(out, "checkpoints");
  for (const name of readdirSync(folder).filter((name) => name.startsWith("best"))) {
    rmSync(join(folder, name), { recursive: true });
  }
  await assert.rejects(
    collect(train(model, groupsOf(9), { ...options, resume: true })),
    /^InputError: Cannot resume from \S+step-00000003: it counts on \S+best-0000000\d, .*, which is not there$/,
  );
  writeFileSync(join(out, "notes.txt"), "mine");
  mkdirSync(join(folder, "best-00000002"));
  writeFileSync(join(folder, "best-00000002", "config.json"), "{}");
  await told(model, groupsOf(9), { ...options, tensorboard: false, saveEvery: 0, overwrite: true });
  const left = readdirSync(out);
  assert.ok(
    left.includes("notes.txt") && !left.some((name) => /^(checkpoints|events)/.test(name)),
    left.join(),
  );
});

test("resuming with another evaluation is refused; one that shares questions with the training says how many", async () => {
  const directory = await writeSmallModel(), out = freshPath(), stop = new AbortController();
  using model = await loadModel(directory, { backend: "wasm" });
  const options = { objective: "vft", steps: 6, saveEvery: 1, logEvery: 1, batchSize: 2, out } as const;
  const data = groupsOf(6).slice(3), evaluation = { data, every: 2 };
  await assert.rejects(async () => {
    const training = train(model, groupsOf(5), { ...options, evaluation, signal: stop.signal });
    for await (const { step } of training) if (step === 3) stop.abort(new Error("Enough"));
  }, /Enough/);
  const cases: [TrainOptions["evaluation"], RegExp][] = [
    [{ data, every: 3 }, /it was started with evaluation\.every 2, not 3$/],
    [
      { data: data.slice(1), every: 2 },
      /it was started with evaluation\.data 3 records, \d+, not 2 records, \d+$/,
    ],
    [undefined, /it was started with evaluation\.every 2, not none$/],
    [{ share: 0.3, every: 2 }, /it was started with evaluation\.share none, not 0\.3$/],
  ];
  for (const [changed, message] of cases) {
    await assert.rejects(
      collect(train(model, groupsOf(5), { ...options, resume: true, evaluation: changed })),
      message,
    );
  }
  const { lines, warnings } = await told(model, groupsOf(5), { ...options, resume: true, evaluation });
  assert.deepEqual(lines.map(({ step }) => step), [4, 6]);
  assert.deepEqual(warnings, [
    "2 of 3 records of the evaluation set ask what the training set asks too: its figures flatter",
  ]);
});

test("answers are asked in the evaluation set's order, each question once; what cannot be measured is refused", async () => {
  using model = await smallModel("wasm");
  const data = [groupsOf(1)[0], { ...groupsOf(1)[0], id: "same" }, ...groupsOf(4).slice(1)];
  const options = { objective: "vft", steps: 1 } as const;
  const asking = { data, answers: greedyAnswers(3, { maxTokens: 2 }) };
  const { lines: [line] } = await told(model, toyProblems(3), { ...options, evaluation: asking });
  assert.deepEqual([line.eval_answers, line.eval_samples!.map(({ id }) => id)], [3, [
    "toy-0",
    "toy-1",
    "toy-2",
  ]]);
  const unanswered = data.map(({ answer: _, ...record }) => record);
  const refused: [TrainOptions["evaluation"], RegExp][] = [
    [
      { ...asking, data: unanswered },
      /^InputError: Cannot measure answers: no record of the evaluation set has an answer$/,
    ],
    [{ data, keepBest: "margin" }, /option `evaluation.keepBest` needs option `out`$/],
    [
      { data, keepBest: "losss" as "loss" },
      /must be one of loss \(lower is better\), .*: got "losss": did you mean loss\?$/,
    ],
    [{ data, keepBest: "positives" }, /got "positives", which has no better side$/],
    [{ patience: 2 }, /^UsageError: Cannot use option `evaluation.patience` without an evaluation set/],
    [{ data, share: 0.1 }, /^UsageError: Only one of/],
    [{ share: 1 }, /must be above 0 and below 1$/],
    [{ data, every: 0 }, /^UsageError: Evaluation option every must be a whole number of at least 1: got 0$/],
    [
      { data, evry: 2 } as TrainOptions["evaluation"],
      /^UsageError: Unknown option evaluation.evry of train: did you mean every\?$/,
    ],
    [{ data: [] }, /^InputError: Cannot evaluate while vft trains: the evaluation set has no records$/],
    [{ data: [{ id: "a", question: "b" }] }, /field "reference" is missing$/],
  ];
  for (const [evaluation, message] of refused) {
    await assert.rejects(collect(train(model, toyProblems(3), { ...options, evaluation })), message);
  }
  const out = freshPath(), margin = { data, keepBest: "margin" } as const;
  await assert.rejects(
    collect(train(model, toyProblems(3), { ...options, out, evaluation: margin })),
    /^InputError: Cannot go by margin: the evaluation set does not give it; it gives loss, objective_loss$/,
  );
});
