/** Data-parallel training: N ranks are one process. Ranks live in this process; `test/tasks/mpi_test.ts` has real ones. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Group } from "../../lib/data/records.ts";
import { attachAdapter } from "../../lib/model/adapter.ts";
import { parseLora } from "../../lib/checkpoint/lora.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import type { Model } from "../../lib/model/model.ts";
import { objectives } from "../../lib/objectives/objectives.ts";
import type { AnswerProbe } from "../../lib/train/evaluation_options.ts";
import type { EvaluationLine } from "../../lib/train/evaluation_figures.ts";
import type { Metrics } from "../../lib/train/metrics.ts";
import { compareTensors } from "../../lib/train/rank_tensors.ts";
import { dealByCost } from "../../lib/train/ranks.ts";
import { train, type TrainOptions } from "../../lib/train/trainer.ts";
import { assertNoLeak, onBothBackends, upload } from "../_backends.ts";
import { collect, freshPath, parametersOf, setParameter, writeSmallModel } from "../_models.ts";
import { toyGroups } from "../_toys.ts";
import { worldOf } from "../_worlds.ts";

/** Groups with all that any objective asks for. */
function groups(count: number): Group[] {
  return toyGroups(count).map((group, g) => ({
    ...group,
    candidates: group.candidates.slice(0, 2 + g % 2).map((candidate, i) => ({
      ...candidate,
      logprob: -9 - i - g % 4,
      rank: 1 + i,
      reward: 1 - i / 2,
    })),
  }));
}

/** What a training leaves: its lines, and the parameters of each rank. */
interface Outcome {
  readonly lines: readonly Metrics[];
  readonly parameters: readonly Map<string, Float32Array>[];
}

/** Trains with so many ranks, and checks that all see the same metrics and end with the same bytes. */
async function trained(
  path: string,
  ranks: number,
  options: TrainOptions & {
    readonly records?: readonly Group[];
    readonly lora?: string;
    readonly backend?: "webgpu";
  },
): Promise<Outcome> {
  const { records = groups(7), lora, backend = "wasm", ...settings } = options;
  const worlds = ranks === 1 ? [undefined] : worldOf(ranks);
  const each = await Promise.all(worlds.map(async (world) => {
    const model = await loadModel(path, { backend });
    if (lora !== undefined) attachAdapter(model.decoder, parseLora(lora), { seed: 1 });
    try {
      const lines = await collect(train(model, records, { logEvery: 1, ...settings, world }));
      return { lines, parameters: await parametersOf(model) };
    } finally {
      model.dispose();
    }
  }));
  const [first] = each as [(typeof each)[number]];
  for (const { lines, parameters } of each.slice(1)) {
    assert.deepEqual(lines.map(timeless), first.lines.map(timeless), "every rank has the metrics of all");
    for (const [name, values] of parameters) {
      assert.ok(
        values.every((v, i) => Object.is(v, first.parameters.get(name)![i])),
        `${name} has come apart`,
      );
    }
  }
  return { lines: first.lines, parameters: each.map(({ parameters }) => parameters) };
}

/** How each of two ranks ends that were given other things: the error's message. */
async function endings(
  optionsOf: (rank: number) => TrainOptions & { readonly records?: readonly Group[]; readonly path: string },
): Promise<string[]> {
  return await Promise.all(
    worldOf(2).map(async (world) => {
      const { records = groups(7), path, ...options } = optionsOf(world.rank);
      using model = await loadModel(path, { backend: "wasm" });
      try {
        await collect(train(model, records, { steps: 2, ...options, world }));
        return "";
      } catch (error) {
        world.abort(1); // as a task does
        return `${error}`;
      }
    }),
  );
}

/** A line without what a clock or a heap says. */
function timeless({ tokens_per_second: _, allocated_bytes: __, ...line }: Metrics): Partial<Metrics> {
  return line;
}

/** Losses and other figures within 1e-6, float32 weights within 1e-5. */
function assertEqual(actual: Outcome, expected: Outcome, what: string): void {
  assert.equal(actual.lines.length, expected.lines.length);
  actual.lines.forEach((line, i) => {
    const want = timeless(expected.lines[i]!) as Readonly<Record<string, number>>;
    const got = timeless(line) as Readonly<Record<string, number>>;
    assert.deepEqual(Object.keys(got).sort(), Object.keys(want).sort());
    for (const [name, value] of Object.entries(got)) {
      const off = Math.abs(value - want[name]!), scale = Math.max(1, Math.abs(want[name]!));
      assert.ok(
        !(off > 1e-6 * scale * (name === "gradient_norm" ? 10 : 1)),
        `${what}, step ${line.step}, ${name}: ${value}, not ${want[name]}`,
      );
    }
  });
  for (const [name, values] of actual.parameters[0]!) {
    const want = expected.parameters[0]!.get(name)!;
    values.forEach((v, i) =>
      assert.ok(Math.abs(v - want[i]!) <= 1e-5, `${what}, ${name}[${i}]: ${v}, not ${want[i]}`)
    );
  }
}

test("questions are dealt by cost: the dearest first, each to the rank with the least", () => {
  // 9 | 7 | 5, 5 | 5, 3 | then 2 to rank 1 (7 against 9 and 10).
  assert.deepEqual(dealByCost([5, 9, 2, 7, 5], 3), [[1], [2, 3], [0, 4]]);
  assert.deepEqual(dealByCost([4, 4], 3), [[0], [1], []]);
  assert.deepEqual(dealByCost([], 2), [[], []]);
  // Every item once, and no rank has more than the least loaded one and one item.
  const costs = Array.from({ length: 50 }, (_, i) => 1 + (i * 37) % 91);
  const dealt = dealByCost(costs, 4),
    loads = dealt.map((items) => items.reduce((sum, i) => sum + costs[i]!, 0));
  assert.deepEqual(dealt.flat().sort((a, b) => a - b), costs.map((_, i) => i));
  assert.ok(Math.max(...loads) - Math.min(...loads) <= 91 / 4, `${loads}`);
});

for (const { name } of Object.values(objectives)) {
  test(`${name}: two and three ranks are one process`, async () => {
    const path = await writeSmallModel();
    const options = { objective: name, steps: 3, batchSize: 4, learningRate: 1e-4 } as const;
    const one = await trained(path, 1, options);
    assertEqual(await trained(path, 2, options), one, "two ranks");
    assertEqual(await trained(path, 3, options), one, "three ranks");
  });
}

test("a batch smaller than the world, an adapter, pieces of a question: still one process", async () => {
  const path = await writeSmallModel();
  const cases: [string, TrainOptions & { readonly lora?: string }][] = [
    ["fewer questions than ranks", { batchSize: 2, steps: 4 }],
    ["a last batch of one question", { batchSize: 3, epochs: 1 }],
    ["LoRA", { lora: "r=4,alpha=8,targets=q,v,up", batchSize: 4, steps: 3 }],
    ["questions in pieces", { batchSize: 4, steps: 3, microBatchTokens: 20, recompute: true }],
    ["metrics every third step", { batchSize: 4, steps: 5, logEvery: 3, objective: "vft" }],
  ];
  for (const [what, options] of cases) {
    const one = await trained(path, 1, { learningRate: 1e-4, ...options });
    assertEqual(await trained(path, 3, { learningRate: 1e-4, ...options }), one, what);
  }
});

onBothBackends("on both devices; nothing is left behind", async (backend) => {
  if (backend === "wasm") return;
  const path = await writeSmallModel(),
    options = { backend, steps: 2, batchSize: 3, learningRate: 1e-4 } as const;
  assertEqual(await trained(path, 2, options), await trained(path, 1, options), "WebGPU");
});

test("evaluations are of all ranks, and the best model comes to all", async () => {
  const path = await writeSmallModel();
  const lines: EvaluationLine[][] = [];
  const run = async (ranks: number) => {
    const heard: EvaluationLine[] = [], out = freshPath();
    const asked: number[] = [];
    const answers: AnswerProbe = {
      questions: 3,
      ask: (_model, problems) => {
        asked.push(problems.length);
        return Promise.resolve({
          accuracy: problems.filter(({ id }) => id !== "toy-1").length / problems.length,
          samples: problems.map(({ id, question }) => ({
            id,
            question,
            response: id,
            correct: id !== "toy-1",
          })),
        });
      },
    };
    const outcome = await trained(path, ranks, {
      ...{ steps: 6, batchSize: 3, learningRate: 5e-3, out, saveEvery: 2 },
      evaluation: {
        data: groups(5),
        every: 2,
        keepBest: "loss",
        answers,
        heard: (line) => void heard.push(line),
      },
    });
    lines.push(heard);
    assert.equal(asked.reduce((sum, n) => sum + n, 0), 3 * 4, "each question once in each evaluation");
    const written = await loadModel(out, { backend: "wasm" });
    const best = await parametersOf(written);
    written.dispose();
    for (const parameters of outcome.parameters) {
      for (const [name, values] of best) {
        assert.ok(
          values.every((v, i) => Object.is(v, parameters.get(name)![i])),
          `${name} is not the best model's`,
        );
      }
    }
    return outcome;
  };
  const one = await run(1);
  assertEqual(await run(2), one, "two ranks");
  const [alone, both] = lines as [EvaluationLine[], EvaluationLine[]];
  const distinct = [...new Map(both.map((line) => [line.step, line])).values()];
  assert.deepEqual(distinct.map(({ step }) => step), alone.map(({ step }) => step));
  distinct.forEach((line, i) => {
    assert.ok(Math.abs(line.eval_loss - alone[i]!.eval_loss) < 1e-6);
    assert.ok(Math.abs(line.eval_accuracy! - 2 / 3) < 1e-12);
    assert.deepEqual(line.eval_samples!.map(({ id }) => id), ["toy-0", "toy-1", "toy-2"]);
  });
});

test("a run goes on with another number of ranks, and ends as one that was not stopped", async () => {
  const path = await writeSmallModel();
  const options = { steps: 6, batchSize: 4, learningRate: 1e-3, saveEvery: 2 } as const;
  const whole = await trained(path, 1, options);
  for (const [before, after] of [[2, 3], [3, 1], [1, 2]] as const) {
    const out = freshPath(), controller = new AbortController();
    // One rank alone is asked to stop, in its fourth step: all stop behind that step, and rank 0 keeps it.
    const ends = await Promise.all((before === 1 ? [undefined] : worldOf(before)).map(async (world) => {
      const model = await loadModel(path, { backend: "wasm" });
      const isLast = (world?.rank ?? 0) === before - 1;
      const progress = ({ done }: { readonly done: number }) =>
        done === 3 && isLast ? controller.abort() : undefined;
      try {
        const signal = isLast ? controller.signal : undefined;
        await collect(
          train(model, groups(7), { ...options, logEvery: 1, out, world, signal, listener: { progress } }),
        );
        return "done";
      } catch (error) {
        return (error as Error).name;
      } finally {
        model.dispose();
      }
    }));
    assert.ok(ends.every((name) => name === "InterruptedError" || name === "AbortError"), `${ends}`);
    assert.ok(readdirSync(join(out, "checkpoints")).some((name) => /^step-0*[34]$/.test(name)));
    const rest = await trained(path, after, { ...options, out, resume: true, learningRate: 1e-3 });
    const at = rest.lines[0]!.step;
    assert.ok(at === 4 || at === 5, `goes on at ${at}`);
    assertEqual(rest, { ...whole, lines: whole.lines.slice(at - 1) }, `${before} ranks, then ${after}`);
    const written = readFileSync(join(out, "metrics.jsonl"), "utf8").trimEnd().split("\n");
    assert.deepEqual(written.map((line) => JSON.parse(line).step), [1, 2, 3, 4, 5, 6]);
    assert.ok(!existsSync(join(out, "checkpoints")));
    // A finished run gives its model to every rank.
    const told = await trained(path, 2, { ...options, out, resume: true });
    assert.equal(told.lines.length, 0);
    assertEqual(told, { ...rest, lines: [] }, "finished");
  }
});

test("ranks with other options, records or another model are refused before any work", async () => {
  const path = await writeSmallModel(), other = await writeSmallModel({ seed: 2 });
  const cases: [
    (rank: number) => Partial<Parameters<typeof endings>[0] extends (rank: number) => infer R ? R : never>,
    RegExp,
  ][] = [
    [(rank) => ({ batchSize: 4 + rank }), /batchSize is 5, and 4 in rank 0$/],
    [(rank) => ({ seed: rank }), /seed is 1, and 0 in rank 0$/],
    [(rank) => ({ options: { beta: 0.1 + rank } }), /objective\.beta is 1\.1, and 0\.1 in rank 0$/],
    [
      (rank) => ({ records: groups(7 - rank) }),
      /records is 6 records with checksum \d+, and 7 records with checksum \d+ in rank 0$/,
    ],
    [(rank) => rank ? { path: other } : {}, /model is [0-9a-f]{16}, and [0-9a-f]{16} in rank 0$/],
  ];
  for (const [optionsOf, message] of cases) {
    const out = freshPath();
    const [first, second] = await endings((rank) => ({ path, out, constraint: "bc", ...optionsOf(rank) }));
    assert.match(second!, /^UsageError: Cannot train together: /);
    assert.match(second!, message);
    assert.equal(first, "Error: Rank 1 aborts with 1", "rank 0 has done nothing but wait");
    assert.ok(!existsSync(out), "nothing is written");
  }
});

test("a rank whose parameters have come apart ends the training, which names them", async () => {
  const path = await writeSmallModel();
  const [first, second] = await endings((rank) => {
    let model: Model | undefined;
    // A bit that flips in rank 1's memory, in step 3: seen behind step 50.
    const evaluation = {
      data: groups(2),
      every: 3,
      answers: {
        questions: 2,
        ask: (of: Model) => {
          model = of;
          return Promise.resolve({ accuracy: 0, samples: [] });
        },
      },
    };
    const flip = async ({ done }: { readonly done: number }) => {
      if (rank !== 1 || done !== 4) return;
      const norm = (await parametersOf(model!)).get("norm")!;
      norm[3] = Math.fround(norm[3]! * (1 + 2 ** -23));
      setParameter(model!, "norm", norm);
    };
    return { path, steps: 60, batchSize: 1, evaluation, listener: { progress: (event) => void flip(event) } };
  });
  const message = /^InputError: Cannot go on: the ranks' parameters differ at step 50, first in "/;
  assert.match(first!, message);
  assert.match(second!, message);
});

onBothBackends("the first tensor that differs is named, on whichever side of a large one it is", async () => {
  await assertNoLeak(async () => {
    const values = { a: 3, large: 2 ** 20, b: 5 };
    const tensors = Object.entries(values).map(([name, size]) =>
      [name, upload(new Float32Array(size), [size])] as const
    );
    const apart = upload(Float32Array.of(0, 0, 0, 0, -0), [5]);
    const compare = async (other: typeof tensors) =>
      await Promise.all(
        worldOf(2).map((world) =>
          compareTensors(world, new Map(world.rank ? other : tensors), 7).catch((error) =>
            error.message as string
          )
        ),
      );
    assert.deepEqual(await compare(tensors), [undefined, undefined]);
    for (const message of await compare([...tensors.slice(0, 2), ["b", apart]])) {
      assert.match(message!, /at step 7, first in "b"/);
    }
    for (const [, tensor] of tensors) tensor.dispose();
    apart.dispose();
  });
});
