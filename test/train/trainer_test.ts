import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assign, read } from "../../lib/backend/tensors.ts";
import type { Group } from "../../lib/data/records.ts";
import { evaluate } from "../../lib/evaluate/evaluate.ts";
import { summarize } from "../../lib/evaluate/summary.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import type { Model } from "../../lib/model/model.ts";
import type { ObjectiveSpec } from "../../lib/objectives/objective.ts";
import { objectives } from "../../lib/objectives/objectives.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { Optimizer } from "../../lib/train/optimizer.ts";
import { learningRateAt } from "../../lib/train/schedule.ts";
import { resolveSettings } from "../../lib/train/settings.ts";
import { train, type TrainOptions } from "../../lib/train/trainer.ts";
import { assertClose, assertNoLeak, onBothBackends, upload } from "../_backends.ts";
import { collect, freshPath, parametersOf, setParameter, smallModel, writeSmallModel } from "../_models.ts";
import { toyGroups, toyProblems } from "../_toys.ts";

const vft = { objective: "vft", learningRate: 1e-2, batchSize: 4, warmup: 0.1 } as const;

/** Message and kind of the error that a training ends with. */
async function failure(model: Model, records: Iterable<Group>, options: TrainOptions): Promise<Error> {
  try {
    await collect(train(model, records, options));
  } catch (error) {
    return error as Error;
  }
  throw new Error("The training went well");
}

function assertSameBytes(a: Map<string, Float32Array>, b: Map<string, Float32Array>, what: string): void {
  for (const [name, values] of a) {
    assert.ok(values.every((v, i) => Object.is(v, b.get(name)![i])), `${what}: ${name} differs`);
  }
}

function linesOf(out: string): { step: number; loss: number }[] {
  return readFileSync(join(out, "metrics.jsonl"), "utf8").trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
}

test("learningRateAt by hand: linear warm-up, then cosine, linear or constant", () => {
  const at = (step: number, decay: "cosine" | "linear" | "constant", floor?: number) =>
    learningRateAt(step, { learningRate: 2, warmupSteps: 4, totalSteps: 12, decay, floor });
  assertClose([0, 1, 2, 3].map((s) => at(s, "cosine")), [0.5, 1, 1.5, 2], 1e-12, "warm-up");
  assertClose([4, 6, 8, 12, 20].map((s) => at(s, "cosine")), [2, 1 + Math.SQRT1_2, 1, 0, 0], 1e-12, "cosine");
  assertClose([4, 6, 8, 12].map((s) => at(s, "linear")), [2, 1.5, 1, 0], 1e-12, "linear");
  assertClose([4, 11].map((s) => at(s, "constant")), [2, 2], 1e-12, "constant");
  assertClose([4, 8, 12].map((s) => at(s, "linear", 0.1)), [2, 1.1, 0.2], 1e-12, "floor");
  assert.equal(learningRateAt(0, { learningRate: 3, warmupSteps: 0, totalSteps: 5, decay: "cosine" }), 3);
});

onBothBackends("AdamW by hand: clipping by the global norm, decay of matrices alone", async (backend) => {
  const model = await smallModel(backend);
  const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.5, clip: 3 };
  await assertNoLeak(async () => {
    const optimizer = new Optimizer(model.decoder, options), before = await parametersOf(model);
    // Only "norm" gets a gradient: 32 elements of 3, so the norm is 3√32 and each element is clipped to 3/√32.
    assign(optimizer.gradients.get("norm")!, upload(new Float32Array(32).fill(3), [32]));
    const squares = optimizer.update(0.1);
    assertClose(await read(squares), [9 * 32], 1e-5, "squares");
    squares.dispose();
    const { m, v } = optimizer.moments.get("norm")!, g = 3 / Math.sqrt(32);
    assertClose(await read(m), Array(32).fill(0.1 * g), 1e-6, "m");
    assertClose(await read(v), Array(32).fill(0.001 * g * g), 1e-6, "v");
    const after = await parametersOf(model);
    // First update: m̂/√v̂ = sign(g); a vector, so no decay.
    assertClose(after.get("norm")!, before.get("norm")!.map((p) => p - 0.1), 1e-5, "norm");
    for (const { name, decay } of model.decoder.plan) {
      if (name === "norm") continue;
      // without a gradient a matrix loses 0.1 · 0.5 of itself, a vector nothing
      assertClose(after.get(name)!, before.get(name)!.map((p) => decay ? 0.95 * p : p), 1e-6, name);
    }
    assertClose(await read(optimizer.gradients.get("norm")!), Array(32).fill(0), 0, "gradients are zeroed");
    assert.equal(optimizer.updates, 1);
    optimizer.dispose();
  });
  model.dispose();
});

onBothBackends("vft lowers the loss by a lot, and its lines have their fields", async (backend) => {
  const model = await smallModel(backend, { scale: 3 });
  await assertNoLeak(async () => {
    const told: number[] = [];
    const lines = await collect(train(model, toyProblems(8), {
      ...vft,
      epochs: 15,
      logEvery: 10,
      listener: { progress: ({ done, total, tokens }) => told.push(done, total!, tokens!) },
    }));
    assert.deepEqual(lines.map((l) => l.step), [1, 10, 20, 30]);
    assert.ok(lines[0].loss > 5 && lines[0].loss < 7, `about ln 290 = 5.67 at first: ${lines[0].loss}`);
    assert.ok(lines[3].loss < 1.5, `${lines[3].loss} at last`);
    const [, line] = lines;
    assert.deepEqual([line.steps, line.epoch], [30, 5]);
    assert.equal(line.objective_loss, line.loss);
    assert.ok(
      line.gradient_norm > 0 && line.tokens_per_second > 0 && line.allocated_bytes > model.size * 4 * 4,
    );
    assert.ok(Math.abs(line.reference! + line.loss) < 0.5 && line.response_length! > 5);
    assert.equal(line.no_end_token, 0);
    // 3 of 30 steps warm up
    assertClose(
      lines.map((l) => l.learning_rate),
      [1, 10, 20, 30].map((s) =>
        learningRateAt(s - 1, { learningRate: 1e-2, warmupSteps: 3, totalSteps: 30, decay: "cosine" })
      ),
      1e-12,
    );
    assert.deepEqual(told.slice(0, 2), [1, 30]);
    assert.equal(told.length, 90);
  });
  model.dispose();
});

for (const constraint of ["dc", "bc"] as const) {
  onBothBackends(`aft ${constraint} raises margin and assessment accuracy of a toy set`, async (backend) => {
    const model = await smallModel(backend, { scale: 1 }), groups = toyGroups(8);
    const measure = async () => summarize(await collect(evaluate(model, groups, { greedy: false })));
    const before = await measure();
    const lines = await collect(train(model, groups, {
      objective: "aft",
      constraint,
      learningRate: 1e-2,
      batchSize: 4,
      steps: 30,
      logEvery: 30,
    }));
    const after = await measure();
    assert.equal(before.mixed_questions, 8);
    assert.ok(after.margin! > before.margin! + 0.1, `margin ${before.margin} → ${after.margin}`);
    assert.ok(
      after.assessment_accuracy! > before.assessment_accuracy! + 0.05,
      `assessment accuracy ${before.assessment_accuracy} → ${after.assessment_accuracy}`,
    );
    const last = lines.at(-1)!;
    for (
      const field of [
        "margin",
        "assessment_accuracy",
        "active_pairs",
        "negatives_at_boundary",
        "vft_loss",
      ] as const
    ) {
      assert.ok(Number.isFinite(last[field]), field);
    }
    assert.ok(Math.abs(last.objective_loss! + last.vft_loss! - last.loss) < 1e-9);
    assert.ok(Math.abs(last.positives! - last.negatives! - last.margin!) < 1e-9);
    model.dispose();
  });
}

onBothBackends("same seed, same bytes; another seed, others", async (backend) => {
  const directory = await writeSmallModel(), runs: Map<string, Float32Array>[] = [];
  for (const seed of [3, 3, 4]) {
    const model = await loadModel(directory, { backend });
    await collect(
      train(model, toyGroups(7), { seed, learningRate: 1e-3, batchSize: 3, steps: 8, constraint: "bc" }),
    );
    runs.push(await parametersOf(model));
    model.dispose();
  }
  assertSameBytes(runs[0], runs[1], "same seed");
  assert.ok(
    runs[0].get("norm")!.some((v, i) => v !== runs[2].get("norm")![i]),
    "the order of questions differs",
  );
});

/** Losses of single questions in the order in which they are trained on, at a rate that changes nothing. */
async function orderOfLosses(seed: number): Promise<string[]> {
  const model = await loadModel(await writeSmallModel(), { backend: "wasm" });
  const problems = toyProblems(9).map((p, i) => ({ ...p, reference: "a".repeat(i + 1) }));
  const options = { ...vft, batchSize: 1, epochs: 3, seed, logEvery: 1, learningRate: 1e-30 };
  const lines = await collect(train(model, problems, options));
  model.dispose();
  return lines.map((l) => l.loss.toFixed(6));
}

test("each epoch has every question once, in an order of its own that the seed gives", async () => {
  const losses = await orderOfLosses(1);
  const epochs = [losses.slice(0, 9), losses.slice(9, 18), losses.slice(18)];
  assert.equal(new Set(epochs[0]).size, 9, "all losses differ");
  for (const epoch of epochs) assert.deepEqual(epoch.toSorted(), epochs[0].toSorted());
  assert.equal(new Set(epochs.map((e) => e.join())).size, 3, "three orders");
  assert.deepEqual(await orderOfLosses(1), losses);
  assert.notDeepEqual(await orderOfLosses(2), losses);
});

test("the last batch of an epoch may be smaller", async () => {
  const model = await smallModel("wasm");
  const lines = await collect(train(model, toyProblems(7), { ...vft, batchSize: 3, epochs: 2, logEvery: 1 }));
  assert.deepEqual(lines.map((l) => [l.step, l.epoch]), [[1, 0.333], [2, 0.667], [3, 1], [4, 1.333], [
    5,
    1.667,
  ], [6, 2]]);
  const some = await collect(train(model, toyProblems(7), { ...vft, batchSize: 3, steps: 4, logEvery: 100 }));
  assert.deepEqual(some.map((l) => [l.step, l.steps]), [[1, 4], [4, 4]]);
  model.dispose();
});

test("recompute and micro-batches change how a run is computed, not where it ends", async () => {
  const directory = await writeSmallModel(), ends: Map<string, Float32Array>[] = [];
  for (const how of [{}, { recompute: true, microBatchTokens: 20 }]) {
    const model = await loadModel(directory, { backend: "wasm" });
    await collect(
      train(model, toyGroups(6), { steps: 5, batchSize: 3, learningRate: 1e-3, epochs: 1, ...how }),
    );
    ends.push(await parametersOf(model));
    model.dispose();
  }
  for (const [name, values] of ends[0]) assertClose(ends[1].get(name)!, values, 2e-4, name);
});

test("responses beyond the context are counted and reported before the first step, or refused", async () => {
  const model = await smallModel("wasm", { context: 40 }), told: string[] = [];
  const long = toyProblems(5).map((p, i) => i === 2 ? { ...p, reference: "b".repeat(60) } : p);
  let steps = 0;
  const options = {
    ...vft,
    batchSize: 2,
    epochs: 1,
    logEvery: 1,
    listener: { warn: (line: string) => told.push(line) },
  };
  const progress = () => assert.equal(told.length, ++steps > 0 ? 1 : 0);
  const lines = await collect(
    train(model, long, { ...options, listener: { ...options.listener, progress } }),
  );
  assert.deepEqual(told, [
    "1 response is left out: with its prompt it exceeds the context of 40 tokens",
  ]);
  assert.equal(lines.at(-1)!.step, 2, "four questions are left, so two steps");
  const refused = await failure(model, long as unknown as Group[], {
    ...options,
    tooLong: "refuse",
    out: freshPath(),
  });
  assert.equal(
    refused.message,
    'Cannot train on "toy-2": prompt and response exceed the context of 40 tokens',
  );
  const all = long.map((p) => ({ ...p, reference: "b".repeat(60) })) as unknown as Group[];
  const none = await failure(model, all, options);
  assert.ok(
    none instanceof InputError && /all 5 records exceed the model's context of 40 tokens/.test(none.message),
  );
  // exactly at the context: the last token needs no position
  const prompt = model.tokenizer.encodePrompt("1+1=").length, fits = "b".repeat(40 - prompt - 1);
  const exact = { ...toyProblems(1)[0], reference: fits };
  assert.equal((await collect(train(model, [exact], { ...options, tooLong: "refuse" }))).length, 1);
  await failure(model, [{ ...exact, reference: `${fits}b` }] as unknown as Group[], {
    ...options,
    tooLong: "refuse",
  });
  model.dispose();
});

test("a group of one side adds only its VFT term", async () => {
  const model = await smallModel("wasm"), [group] = toyGroups(1);
  for (const correct of [true, false]) {
    const side = { ...group, candidates: group.candidates.map((c) => ({ ...c, correct })) };
    // The reference is a positive, so with wrong candidates there are both sides unless it is left out.
    const { reference, ...without } = side, told: string[] = [];
    const records = [correct ? side : without as Group];
    if (!correct) {
      await assert.rejects(
        collect(train(model, records, { objective: "aft", steps: 1 })),
        /^InputError: Cannot train aft: none of the 1 groups has a better and a worse candidate: got 3 responses, all marked wrong/,
      );
      continue;
    }
    const listener = { warn: (line: string) => told.push(line) };
    const [line] = await collect(
      train(model, records, { objective: "aft", steps: 1, constraint: "bc", listener }),
    );
    assert.match(told[0], /^1 of 1 groups have no better and worse candidate: .*nothing but the likelihood/);
    assert.equal(line.objective_loss, 0);
    assert.equal(line.assessment_accuracy, undefined);
    assert.equal(line.loss, line.vft_loss);
    assert.ok(line.loss > 0, "the VFT term of a reference that is there");
    assert.ok(reference !== undefined && Math.abs(line.loss + line.reference!) < 1e-9);
  }
  model.dispose();
});

test("bad input has one line each and leaks nothing", async () => {
  const model = await smallModel("wasm"), groups = toyGroups(3);
  const cases: [Iterable<unknown>, TrainOptions, string, typeof InputError][] = [
    [[], {}, "Cannot train: the input has no records", InputError],
    [
      groups,
      { objective: "afft" },
      'Objective must be one of vft, rft, aft, aft-rank, .*: got "afft"',
      UsageError,
    ],
    [
      groups,
      { objective: "rrhf", constraint: "xy" as "dc" },
      'Cannot use constraint "xy" with objective rrhf: expected none, dc, bc',
      UsageError,
    ],
    [
      groups,
      { batchSize: 0 },
      "Training option batchSize must be a whole number of at least 1: got 0",
      UsageError,
    ],
    [groups, { learningRate: NaN }, "Training option learningRate must be above 0: got NaN", UsageError],
    [groups, { warmup: 5 }, "Training option warmup must be from 0 to 1: got 5", UsageError],
    [
      groups.map(({ reference: _, ...g }) => g),
      { objective: "vft" },
      'Cannot train vft on "toy-0": field "reference" is missing',
      InputError,
    ],
    [
      [groups[0], { ...groups[1], candidates: [{ text: "x" }] }],
      { objective: "aft" },
      'Cannot train aft on "toy-1": every candidate must have "correct": got none of that',
      InputError,
    ],
    [
      groups,
      { objective: "dpo" },
      'Cannot train dpo on "toy-\\d": every candidate must have "logprob"',
      InputError,
    ],
  ];
  await assertNoLeak(async () => {
    for (const [records, options, message, kind] of cases) {
      const error = await failure(model, records as Group[], options);
      assert.match(error.message, new RegExp(message));
      assert.equal(error.constructor, kind, message);
      assert.ok(!error.message.includes("\n"));
    }
  });
  model.dispose();
});

onBothBackends("a loss that is not a number stops the run and names a question", async (backend) => {
  const model = await smallModel(backend), out = freshPath();
  await assertNoLeak(async () => {
    for (const bad of [NaN, Infinity]) {
      const norm = new Float32Array(32).fill(1);
      norm[5] = bad;
      setParameter(model, "norm", norm);
      for (const objective of ["vft", "aft"]) {
        const error = await failure(model, toyGroups(4), { objective, steps: 3, out, overwrite: true });
        assert.ok(error instanceof InputError, `${error}`);
        assert.match(error.message, /question "toy-\d"|Question "toy-\d"/i);
        assert.match(error.message, /NaN|Infinity/);
      }
    }
  });
  assert.ok(!existsSync(join(out, "config.json")), "no model is written");
  model.dispose();
});

test("an out directory: written whole, refused when it exists, replaced with overwrite", async () => {
  const model = await smallModel("wasm"), out = freshPath();
  const options = { ...vft, steps: 5, saveEvery: 2, logEvery: 2, out };
  const lines = await collect(train(model, toyProblems(6), options));
  assert.deepEqual(linesOf(out), JSON.parse(JSON.stringify(lines)));
  assert.deepEqual(readdirSync(out).filter((f) => !/tokenizer|generation/.test(f)).sort(), [
    "README.md",
    "config.json",
    "metrics.jsonl",
    "model.safetensors",
    "run.json",
  ]);
  assert.equal(JSON.parse(readFileSync(join(out, "run.json"), "utf8")).steps, 5);
  const again = await loadModel(out, { backend: "wasm" });
  assertSameBytes(await parametersOf(again), await parametersOf(model), "written and read again");
  const taken = await failure(model, toyGroups(2), options);
  assert.ok(taken instanceof UsageError);
  assert.equal(
    taken.message,
    `Cannot write ${out}: it already exists; use option \`overwrite\`, option \`resume\` or another option \`out\``,
  );
  // The model that is trained lies in the folder that would be removed.
  const own = await failure(again, toyGroups(2), { ...options, overwrite: true });
  assert.ok(own instanceof UsageError && /Cannot overwrite/.test(own.message), own.message);
  const above = await failure(again, toyGroups(2), { ...options, out: join(out, ".."), overwrite: true });
  assert.ok(above instanceof UsageError && existsSync(join(out, "config.json")));
  await collect(train(model, toyProblems(6), { ...options, steps: 2, overwrite: true }));
  assert.deepEqual(linesOf(out).map((l) => l.step), [1, 2]);
  again.dispose();
  model.dispose();
});

const resumable = {
  objective: "aft",
  constraint: "bc",
  learningRate: 2e-3,
  batchSize: 2,
  epochs: 6, // 7 questions: 24 steps
  logEvery: 1,
  saveEvery: 3,
  weightDecay: 0.1,
  seed: 11,
} as const;

onBothBackends("a run that SIGKILL ends goes on to the same parameters", async (backend) => {
  const directory = await writeSmallModel(), out = freshPath();
  const child = spawn(process.execPath, [
    ...("Deno" in globalThis ? ["run", "-A", "--no-check"] : []),
    fileURLToPath(new URL("./_train_until_killed.ts", import.meta.url)),
    backend,
    directory,
    out,
    JSON.stringify(resumable),
  ], { stdio: ["ignore", "pipe", "pipe"] });
  let errors = "", last = 0;
  child.stderr.on("data", (chunk) => errors += chunk);
  const killed = new Promise<string | null>((resolve) => child.on("close", (_, signal) => resolve(signal)));
  child.stdout.on("data", (chunk) => {
    last = Math.max(last, ...String(chunk).trim().split("\n").map(Number));
    if (last >= 8) child.kill("SIGKILL");
  });
  assert.equal(await killed, "SIGKILL", errors);
  assert.ok(
    existsSync(join(out, "checkpoints")) && !existsSync(join(out, "config.json")),
    "it was under way",
  );
  assert.ok(linesOf(out).length >= 8, `${last} steps`);

  const resumed = await loadModel(directory, { backend });
  const lines = await collect(train(resumed, toyGroups(7), { ...resumable, out, resume: true }));
  assert.ok(
    lines[0].step > 1 && lines[0].step <= last + 2,
    `went on at step ${lines[0].step}, killed at ${last}`,
  );
  const whole = await loadModel(directory, { backend });
  const all = await collect(train(whole, toyGroups(7), resumable));
  assert.deepEqual(linesOf(out).map((l) => l.step), all.map((l) => l.step), "each step once");
  assertClose(linesOf(out).map((l) => l.loss), all.map((l) => l.loss), backend === "wasm" ? 0 : 1e-5, "loss");
  const [a, b] = [await parametersOf(resumed), await parametersOf(whole)];
  if (backend === "wasm") assertSameBytes(a, b, "resumed");
  else for (const [name, values] of a) assertClose(values, b.get(name)!, 1e-5, name);
  const read = await loadModel(out, { backend });
  assertSameBytes(await parametersOf(read), a, "written");
  [resumed, whole, read].forEach((m) => m.dispose());
});

/** A run that is aborted behind step 10, whose newest checkpoint is step 9's. */
async function aborted(directory: string, out: string, records = toyGroups(7)): Promise<void> {
  const model = await loadModel(directory, { backend: "wasm" }), controller = new AbortController();
  const progress = ({ done }: { done: number }) => void (done === 10 && controller.abort());
  await assert.rejects(
    collect(train(model, records, { ...resumable, out, signal: controller.signal, listener: { progress } })),
    {
      name: "AbortError",
    },
  );
  model.dispose();
}

test("what a kill between two writes leaves behind does not matter", async () => {
  const directory = await writeSmallModel(), out = freshPath();
  await aborted(directory, out);
  const checkpoints = join(out, "checkpoints");
  assert.deepEqual(readdirSync(checkpoints).sort(), ["step-00000009", "step-00000010"], "two are kept");
  // As killed writers leave them: by name and by mark. Without one, or with another's, they are somebody else's.
  const left = (path: string, writes?: string) => {
    mkdirSync(path);
    writeFileSync(join(path, "state.safetensors"), "half");
    if (writes !== undefined) writeFileSync(join(path, "writes.json"), JSON.stringify({ writes }));
    return path;
  };
  const ours = [
    left(join(checkpoints, ".step-00000012.0a1b2c3d.aft-tmp"), "step-00000012"),
    left(join(out, ".model.0a1b2c3d.aft-tmp"), "model"),
  ];
  const others = [
    left(join(out, "model.partial")),
    left(join(out, ".model.0a1b2c3d.tmp")),
    left(join(out, ".model.1a1b2c3d.aft-tmp")),
    left(join(out, ".model.2a1b2c3d.aft-tmp"), "config"),
  ];
  appendFileSync(join(out, "metrics.jsonl"), '{"step":11,"steps":24,"lo');
  const model = await loadModel(directory, { backend: "wasm" });
  const lines = await collect(train(model, toyGroups(7), { ...resumable, out, resume: true }));
  assert.equal(lines[0].step, 11);
  assert.deepEqual(linesOf(out).map((l) => l.step), Array.from({ length: 24 }, (_, i) => i + 1));
  const whole = await loadModel(directory, { backend: "wasm" });
  await collect(train(whole, toyGroups(7), resumable));
  assertSameBytes(await parametersOf(model), await parametersOf(whole), "resumed");
  assert.ok(![checkpoints, ...ours].some((path) => existsSync(path)));
  for (const path of others) assert.equal(readFileSync(join(path, "state.safetensors"), "utf8"), "half");
  // A finished run has nothing left to do; the model in memory becomes the one that was written.
  const told: string[] = [], third = await loadModel(directory, { backend: "wasm" });
  const again = { ...resumable, out, resume: true, listener: { warn: (line: string) => told.push(line) } };
  assert.deepEqual(await collect(train(third, toyGroups(7), again)), []);
  assert.deepEqual(told, [`${out} is finished: nothing is left to resume`]);
  assert.equal(linesOf(out).length, 24);
  assertSameBytes(await parametersOf(third), await parametersOf(whole), "finished");
  [model, whole, third].forEach((m) => m.dispose());
});

test("a run killed before its first checkpoint starts anew", async () => {
  const directory = await writeSmallModel(),
    out = freshPath(),
    model = await loadModel(directory, { backend: "wasm" });
  mkdirSync(out);
  writeFileSync(join(out, "run.json"), "{}");
  writeFileSync(join(out, "metrics.jsonl"), '{"step":1,"loss":9}\n{"step":2,"lo');
  await collect(train(model, toyGroups(7), { ...resumable, out, resume: true }));
  assert.deepEqual(linesOf(out).map((l) => l.step), Array.from({ length: 24 }, (_, i) => i + 1));
  model.dispose();
});

test("resuming with other records, settings, models or without a run is refused, and changes nothing", async () => {
  const directory = await writeSmallModel(), out = freshPath();
  await aborted(directory, out);
  const before = linesOf(out).length, model = await loadModel(directory, { backend: "wasm" });
  const start = await parametersOf(model), options = { ...resumable, out, resume: true };
  const other = toyGroups(7).map((g, i) => i === 3 ? { ...g, reference: g.reference!.replace("+", "-") } : g);
  const cases: [Group[], TrainOptions, RegExp][] = [
    [toyGroups(8), { ...options, steps: 24 }, /it was trained on 7 other records; the input has 8/],
    [other, options, /it was trained on 7 other records; the input has 7/],
    [toyGroups(7), { ...options, seed: 12 }, /it was started with seed 11, not 12/],
    [toyGroups(7), { ...options, epochs: 7 }, /it was started with steps 24, not 28/],
    [toyGroups(7), { ...options, options: { beta: 0.3 } }, /it was started with objective.beta 0.2, not 0.3/],
    [toyGroups(7), { ...options, out: `${out}-none` }, /no such run directory/],
    [toyGroups(7), { ...options, out: directory }, /it has no run.json/],
  ];
  for (const [records, changed, message] of cases) {
    const error = await failure(model, records, changed);
    assert.ok(error instanceof UsageError, `${error}`);
    assert.match(error.message, message);
  }
  assert.equal(linesOf(out).length, before);
  assertSameBytes(await parametersOf(model), start, "refused");
  const wider = await loadModel(await writeSmallModel({ config: { intermediate_size: 64 } }), {
    backend: "wasm",
  });
  const shape = await failure(wider, toyGroups(7), options);
  assert.match(shape.message, /must have shape .*: found .*; the run was started with another model/);
  [model, wider].forEach((m) => m.dispose());
});

test("an objective that is in no table is trained with; one whose loss is wrong names itself and the question", async () => {
  using model = await smallModel("wasm");
  const mine: ObjectiveSpec<"target"> = {
    name: "distance",
    title: "Squared distance of every score from a target",
    feedback: [],
    options: { target: { default: -1, help: "Where scores should go" } },
    loss: ({ scores }, { target }) => ({
      value: Array.from(scores).reduce((sum, s) => sum + (s - target) ** 2, 0),
      gradient: Float64Array.from(scores, (s) => 2 * (s - target)),
    }),
  };
  const settings = {
    objective: mine,
    options: { target: -2 },
    steps: 30,
    batchSize: 4,
    learningRate: 1e-2,
    logEvery: 1,
  };
  const lines = await collect(train(model, toyGroups(4), settings));
  assert.ok(lines.at(-1)!.loss < 0.1 * lines[0]!.loss, `${lines[0]!.loss} → ${lines.at(-1)!.loss}`);
  const broken = { ...mine, loss: () => ({ value: 1, gradient: new Float64Array(1) }) };
  const error = await failure(model, toyGroups(4), { ...settings, objective: broken });
  assert.match(
    error.message,
    /^Question "[^"]+": Cannot use objective distance: its gradient must have \d numbers, one a candidate: got 1$/,
  );
});

test("whatever an objective reads reaches it from the options of a training", () => {
  for (const [objective, spec] of Object.entries(objectives)) {
    for (const [name, { default: value, oneOf, below }] of Object.entries(spec.options)) {
      const more = below === undefined ? value + 1 : (value + below) / 2;
      const another = oneOf?.find((one) => one !== value) ?? more;
      const { objectiveOptions } = resolveSettings({ objective, options: { [name]: another } }).loss;
      assert.equal(objectiveOptions[name], another, `${objective} ${name}`);
    }
  }
  const clipped = { ...objectives["dpo"]!, options: { clip: { default: 0.2, help: "Of ratios" } } };
  const settings = resolveSettings({ objective: clipped, clip: 2 });
  assert.deepEqual([settings.optimizer.clip, settings.loss.objectiveOptions["clip"]], [2, 0.2]);
  assert.throws(() => resolveSettings({ objective: "aft", beta: 0.3 } as TrainOptions), {
    name: "UsageError",
    message:
      /^Cannot use beta beside the options of a training: it is one of aft's and goes into its options/,
  });
  assert.throws(() => resolveSettings({ objective: "vft", options: { beta: 1 } }), {
    name: "UsageError",
    message: "Cannot use option `beta` with objective vft: it has none",
  });
});
