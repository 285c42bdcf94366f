/** A task that several processes do together: the same command in all of them, one that reads and writes for all. */

import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { UsageError } from "../../lib/runtime/errors.ts";
import { alone, launched, openWorld, type World } from "../../lib/runtime/world.ts";
import { type EndingOutput, openInput, type TaskInput } from "./streams.ts";
import type { TaskConfiguration } from "./task_configuration.ts";

/**
 * The world of a task, whose ranks were asked for the same.
 *
 * @throws {UsageError} when a launcher started several processes of a task that is the work of one, or they were started
 * with other options, another version or another runtime than rank 0
 */
export async function joinRanks(
  configuration: TaskConfiguration,
  { together }: { readonly together: boolean },
): Promise<World> {
  const { size = 1, by } = launched() ?? {}, { task } = configuration;
  if (!together) {
    if (size === 1 || process.env.AFT_MPI === "none") return alone;
    throw new UsageError(
      `Cannot run ${task} as the ${size} processes that ${by} started: it is the work of one`,
    );
  }
  const world = await openWorld();
  if (world.size === 1) return world;
  const own = flat(configuration);
  const bytes = await world.broadcast(new TextEncoder().encode(JSON.stringify(own)));
  const first: typeof own = JSON.parse(new TextDecoder().decode(bytes));
  for (const name of new Set([...Object.keys(first), ...Object.keys(own)])) {
    if (first[name] === own[name]) continue;
    throw new UsageError(
      `Cannot run together: ${name} is ${own[name] ?? "none"}, and ${first[name] ?? "none"} in rank 0`,
    );
  }
  await world.barrier(); // nobody begins before all have compared
  return world;
}

/** What a task was asked to do, each part as a text under the name that a person knows it by. */
function flat({ task, version, runtime, options }: TaskConfiguration): Record<string, string> {
  const values = Object.entries(options).map(([name, value]): [string, string] => [
    `--${name}`,
    typeof value === "string" ? value : value === null ? "none" : JSON.stringify(value),
  ]);
  return { "the task": task, "the version": version, "the runtime": runtime, ...Object.fromEntries(values) };
}

/** The input at `path`, as `openInput` gives it, that rank 0 reads for all: standard input comes to it alone, or to all at once. */
export async function openInputOfAll(world: World, path: string, signal: AbortSignal): Promise<TaskInput> {
  if (world.rank > 0) return { name: path, bytes: heard(world) };
  const input = await openInput(path, signal);
  return world.size === 1 ? input : { name: input.name, bytes: told(world, input.bytes) };
}

async function* told(world: World, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const bytes of chunks) {
    if (bytes.length === 0) continue;
    await world.broadcast(bytes);
    yield bytes;
  }
  await world.broadcast(); // the end
}

async function* heard(world: World): AsyncGenerator<Uint8Array> {
  while (true) {
    const bytes = await world.broadcast();
    if (bytes.length === 0) return;
    yield bytes;
  }
}

/** The output of a rank that has none: rank 0 writes. */
export const noOutput: EndingOutput = {
  write: () => Promise.resolve(),
  writeRecord: () => Promise.resolve(),
  keeps: false,
  kept: 0,
  async *keptRecords() {},
  keepWhile: () => Promise.resolve(),
  replaceBy() {},
  finish: () => Promise.resolve(),
  fail: () => Promise.resolve(),
  abandon: () => Promise.resolve(undefined),
};

/** Milliseconds that rank 0 has to say first what fails in every rank alike, or to keep what it has when all are interrupted. */
const PATIENCE = 2000;

/**
 * Whether a rank that failed has something to say: rank 0 does at once; another waits, and does unless the job is being
 * ended meanwhile, since rank 0 failed too and said so.
 */
export async function hasToSay(rank: number, interrupted: AbortSignal): Promise<boolean> {
  if (rank === 0) return true;
  await delay(PATIENCE);
  return !interrupted.aborted;
}
