/**
 * What several processes cost and bring: the time of a sum, and steps a second at an equal global batch.
 *
 *   mpirun -n 2 --bind-to none deno run -A bench/ranks.ts sum
 *   deno run -A bench/ranks.ts step && mpirun -n 2 --bind-to none deno run -A bench/ranks.ts step
 *
 * Each prints one line of JSON from rank 0: medians, in milliseconds, of the slowest rank.
 */

import process from "node:process";
import { openWorld } from "../lib/runtime/world.ts";
import { Optimizer } from "../lib/train/optimizer.ts";
import { sumTensors } from "../lib/train/rank_tensors.ts";
import { accumulateTogether } from "../lib/train/ranks.ts";
import { groupsOf, stepCases } from "./_cases.ts";
import { alignmentLoss, parameterCount, randomDecoder } from "./_decoder.ts";
import { benchDevice, openBench } from "./_device.ts";

const world = await openWorld(), [what = "step"] = process.argv.slice(2);

/** The median over some calls of the milliseconds of the slowest rank. */
async function timed(times: number, call: () => Promise<void>): Promise<number> {
  const took: number[] = [];
  for (let i = -1; i < times; i++) {
    await world.barrier();
    const start = performance.now();
    await call();
    const slowest = Float64Array.of(performance.now() - start);
    await world.max(slowest);
    if (i >= 0) took.push(slowest[0]!); // the first warms up
  }
  return Math.round(100 * took.sort((a, b) => a - b)[Math.floor(times / 2)]!) / 100;
}

/** Sums of 4, 64 and 540 MB of float32. */
async function sums(): Promise<Record<string, number>> {
  const result: Record<string, number> = {};
  for (const megabytes of [4, 64, 540]) {
    const values = new Float32Array(megabytes * 250_000);
    result[`sum of ${megabytes} MB`] = await timed(7, () => world.sum(values));
  }
  return result;
}

/** The AFT step of docs/performance.md, whose 8 questions are dealt over the ranks, and its sum alone. */
async function steps(): Promise<Record<string, number>> {
  const { size, batch } = stepCases["aft-wasm"];
  await openBench("wasm");
  const decoder = randomDecoder(size), groups = groupsOf(batch, size.vocabulary);
  const adamw = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clip: 1 };
  const optimizer = new Optimizer(decoder, adamw), { gradients } = optimizer;
  const options = { ...alignmentLoss, microBatchTokens: 4096, keep: "products", report: false } as const;
  const step = await timed(5, async () => {
    await accumulateTogether(decoder, groups, { ...options, gradients, world, interrupted: false });
    optimizer.update(1e-5).dispose();
    await benchDevice().finish();
  });
  const sum = world.size === 1 ? 0 : await timed(5, () => sumTensors(world, gradients.values()));
  return { parameters: parameterCount(decoder), step, "its sum": sum };
}

const result = await (what === "sum" ? sums() : steps());
if (world.rank === 0) {
  console.log(JSON.stringify({ ranks: world.size, by: world.description, ...result }));
}
await world[Symbol.asyncDispose]();
process.exit();
