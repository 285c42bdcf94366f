/**
 * What several processes cost and bring: the time of a sum, and of a training step at an equal global batch.
 *
 *   mpirun --bind-to none -n 2 deno run -A bench/ranks.ts sum [MB…]
 *   AFT_THREADS=1 mpirun --bind-to none -n 2 deno run -A bench/ranks.ts step [QUESTIONS] [TURNS]
 *
 * Rank 0 prints a line of JSON with medians, in milliseconds of the slowest rank. A step is done in turns by rank 0 alone
 * and by all, so that whatever else the machine does weighs on both; efficiency is T1/(N·TN), the median over turns.
 */

import process from "node:process";
import { alone, openWorld } from "../lib/runtime/world.ts";
import { Optimizer } from "../lib/train/optimizer.ts";
import { sumTensors } from "../lib/train/rank_tensors.ts";
import { accumulateTogether } from "../lib/train/ranks.ts";
import { groupsOf, stepCases } from "./_cases.ts";
import { alignmentLoss, parameterCount, randomDecoder } from "./_decoder.ts";
import { benchDevice, openBench } from "./_device.ts";

const world = await openWorld(), [what = "step", questions = "8", turns = "5"] = process.argv.slice(2);

/** Milliseconds that the slowest rank took. */
async function timed(call: () => Promise<void>): Promise<number> {
  await world.barrier();
  const start = performance.now();
  await call();
  const slowest = Float64Array.of(performance.now() - start);
  await world.max(slowest);
  return slowest[0]!;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

const round = (value: number, digits: number) => Number(value.toFixed(digits));

/** Sums of so many MB of float32. */
async function sums(): Promise<Record<string, number>> {
  const result: Record<string, number> = {};
  const asked = process.argv.slice(3).map(Number);
  for (const megabytes of asked.length > 0 ? asked : [4, 64, 540]) {
    const values = new Float32Array(megabytes * 250_000);
    const took: number[] = [], sum = () => world.sum(values);
    await sum(); // the first one connects
    for (let i = 0; i < 7; i++) took.push(await timed(sum));
    result[`sum of ${megabytes} MB`] = round(median(took), 1);
  }
  return result;
}

/** The AFT step of docs/performance.md, dealt over the ranks, and its sum alone. */
async function steps(): Promise<Record<string, number>> {
  const { size, batch } = stepCases["aft-wasm"];
  await openBench("wasm");
  const decoder = randomDecoder(size);
  const groups = groupsOf({ ...batch, questions: Number(questions) }, size.vocabulary);
  const adamw = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clip: 1 };
  const optimizer = new Optimizer(decoder, adamw), { gradients } = optimizer;
  const options = { ...alignmentLoss, microBatchTokens: 4096, keep: "products", report: false } as const;
  const stepOf = (ranks: typeof world) => async () => {
    await accumulateTogether(decoder, groups, { ...options, gradients, world: ranks, interrupted: false });
    optimizer.update(1e-5).dispose();
    await benchDevice().finish();
  };
  const one: number[] = [], all: number[] = [], sum: number[] = [];
  for (let turn = 0; turn < Number(turns); turn++) {
    one.push(await timed(world.rank === 0 ? stepOf(alone) : () => Promise.resolve()));
    all.push(await timed(stepOf(world)));
    sum.push(await timed(() => sumTensors(world, gradients.values())));
  }
  const efficiency = median(one.map((t, i) => t / (world.size * all[i]!)));
  return {
    ...{ questions: groups.length, turns: one.length, parameters: parameterCount(decoder) },
    ...{ one: round(median(one), 0), all: round(median(all), 0), sum: round(median(sum), 1) },
    efficiency: round(efficiency, 3),
  };
}

const result = await (what === "sum" ? sums() : steps());
if (world.rank === 0) {
  console.log(JSON.stringify({ ranks: world.size, by: world.description, ...result }));
}
await world[Symbol.asyncDispose]();
process.exit();
