/** Measurements that `deno bench` does not make: medians of two programs taken in turn, bytes, launches. */
import process from "node:process";
import * as tf from "@tensorflow/tfjs";
import type { Device } from "../lib/backend/device.ts";
import { profile } from "../lib/backend/profile.ts";
import { benchDevice } from "./_device.ts";

/** The middle of a list of times. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Milliseconds: of the clock, or with AFT_BENCH_CLOCK=cpu of this process on its processors, for machines that others
 * use meanwhile. With AFT_THREADS=1 the two are the same on a quiet one.
 */
function now(): number {
  if (process.env.AFT_BENCH_CLOCK !== "cpu") return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Times programs in turn, so that what else the machine does falls on all of them alike.
 *
 * @param runs how often each, after one run that is not counted
 * @returns the median time of each in milliseconds
 */
export async function inTurn<Name extends string>(
  runs: number,
  programs: Readonly<Record<Name, () => Promise<void> | void>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(programs) as Name[];
  const times = Object.fromEntries(names.map((n) => [n, [] as number[]])) as Record<Name, number[]>;
  for (let run = 0; run <= runs; run++) {
    for (const name of names) {
      const start = now();
      await programs[name]();
      if (run > 0) times[name].push(now() - start);
    }
  }
  return Object.fromEntries(names.map((n) => [n, median(times[n])])) as Record<Name, number>;
}

/** The most bytes of tensors alive at once while a program runs, ours and TF.js's, above what was alive before. */
export async function peakBytes(program: () => Promise<void> | void): Promise<number> {
  const state = (tf.engine() as unknown as { state: { numBytes: number } }).state;
  const device = benchDevice() as { take: Device["take"] }, { take } = device, ours = benchDevice();
  let bytes = state.numBytes, peak = 0;
  const before = bytes + ours.use().used;
  const look = () => peak = Math.max(peak, bytes + ours.use().used - before);
  device.take = (size, values) => {
    const slot = take(size, values);
    look();
    return slot;
  };
  Object.defineProperty(state, "numBytes", {
    configurable: true,
    get: () => bytes,
    set: (value: number) => {
      bytes = value;
      look();
    },
  });
  try {
    await program();
  } finally {
    device.take = take;
    Object.defineProperty(state, "numBytes", {
      configurable: true,
      enumerable: true,
      writable: true,
      value: bytes,
    });
  }
  return peak;
}

/** Launches of our kernels while a program runs. */
export async function launches(program: () => Promise<void> | void): Promise<number> {
  const before = profile.total();
  await program();
  return profile.total() - before;
}
