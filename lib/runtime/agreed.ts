/** What all ranks of a world know alike: one that went another way than the others would wait for them for ever. */

import { heard, told, type ToldError } from "./told_error.ts";
import type { World } from "./world.ts";

/** Gives every rank what rank 0 passes, as JSON keeps it. */
export async function fromFirst<T>(world: World, value: T): Promise<T> {
  if (world.size === 1) return value;
  const bytes = new TextEncoder().encode(JSON.stringify({ value }));
  return JSON.parse(new TextDecoder().decode(await world.broadcast(bytes))).value;
}

/** What each rank passes, by rank, as JSON keeps it: in every rank. */
export async function gathered<T>(world: World, value: T): Promise<T[]> {
  if (world.size === 1) return [value];
  const all = await world.gather(new TextEncoder().encode(JSON.stringify(value)));
  return await fromFirst(world, all.map((bytes) => JSON.parse(new TextDecoder().decode(bytes))));
}

/**
 * Does something in rank 0 alone, for all: a look at the file system, a file to write. Every rank gets what came of it, as
 * JSON keeps it, when it is done; so what is written is there for all. What fails in rank 0 fails in all, by the same line.
 * The others wait meanwhile: the work must not need them.
 */
export async function byFirst<T>(world: World, work: () => Promise<T>): Promise<T> {
  if (world.size === 1) return await work();
  let failure: { readonly error: unknown } | undefined, made: Made<T> = {};
  if (world.rank === 0) {
    try {
      made = { value: await work() };
    } catch (error) {
      failure = { error };
      made = { failed: told(error) };
    }
  }
  const { value, failed } = await fromFirst(world, made);
  if (failure) throw failure.error;
  if (failed) throw heard(failed);
  return value as T;
}

/** What came of rank 0's work. */
interface Made<T> {
  readonly value?: T;
  readonly failed?: ToldError;
}
