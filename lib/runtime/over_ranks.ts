/** Work on records that is dealt over the ranks of a world, and heard of as if one process did it. */

import { deal } from "./deal.ts";
import type { Listener } from "./listener.ts";
import type { World } from "./world.ts";

/** How records are dealt, and what the progress is called. */
export interface OverRanks {
  /** The name of the progress. */
  readonly part: string;
  /** How many records go to a rank together. */
  readonly block: number;
  /** How many more records than another a rank may have to do (default `block`). */
  readonly ahead?: number | undefined;
  /** Whether each block is worked on by itself (default false: a rank's blocks are one stream). */
  readonly apart?: boolean | undefined;
}

/**
 * What `work` makes of records, in their order: dealt over all ranks, of which rank 0 has the results. Progress is that of
 * all together; what another rank warns of is said with its number. In a world of one it is `work` itself.
 */
export function overRanks<R, T>(
  { world, listener }: { readonly world: World; readonly listener: Listener },
  { part, apart = false, ...dealing }: OverRanks,
  work: (records: AsyncIterable<R>, listener: Listener) => AsyncIterable<T>,
): (records: AsyncIterable<R>) => AsyncIterable<T> {
  if (world.size === 1) return (records) => work(records, listener);
  const each = async function* (records: AsyncIterable<R>, tell: (line: string) => void) {
    const { note, detail } = listener, warn = world.rank === 0 ? listener.warn : tell;
    if (!apart) return yield* work(records, { note, detail, warn });
    for await (const some of inBlocks(records, dealing.block)) yield* work(some, { note, detail, warn });
  };
  const heard = (line: string, rank: number) => listener.warn?.(`${line} (rank ${rank})`);
  return async function* (records) {
    let done = 0;
    for await (const result of deal(world, records, { ...dealing, work: each, heard })) {
      listener.progress?.({ part, done: ++done });
      yield result;
    }
  };
}

/** So many records at a time; the last may be fewer. */
async function* inBlocks<R>(records: AsyncIterable<R>, size: number): AsyncGenerator<AsyncIterable<R>> {
  let some: R[] = [];
  for await (const record of records) {
    some.push(record);
    if (some.length < size) continue;
    yield each(some);
    some = [];
  }
  if (some.length > 0) yield each(some);
}

async function* each<R>(records: readonly R[]): AsyncGenerator<R> {
  yield* records;
}
