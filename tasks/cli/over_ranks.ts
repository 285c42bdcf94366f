/** Filters whose records are dealt over the ranks that a launcher started. */

import { deal } from "../../lib/runtime/deal.ts";
import type { Listener } from "../../lib/runtime/listener.ts";
import type { TaskIo } from "./run_task.ts";

/**
 * What `work` makes of records, in their order: dealt over all ranks, of which rank 0 has the results. Progress is that of
 * all together; what another rank warns of is said with its number.
 *
 * @param options `part` is the name of the progress; `block` how many records go to a rank together, `ahead` how many more than another it may have
 */
export function overRanks<R, T>(
  { world, listener }: Pick<TaskIo, "world" | "listener">,
  { part, ...dealing }: { readonly part: string; readonly block: number; readonly ahead?: number },
  work: (records: AsyncIterable<R>, listener: Listener) => AsyncIterable<T>,
): (records: AsyncIterable<R>) => AsyncIterable<T> {
  if (world.size === 1) return (records) => work(records, listener);
  const each = (records: AsyncIterable<R>, tell: (line: string) => void) =>
    work(records, {
      note: listener.note,
      detail: listener.detail,
      warn: world.rank === 0 ? listener.warn : tell,
    });
  const heard = (line: string, rank: number) => listener.warn(`${line} (rank ${rank})`);
  return async function* (records) {
    let done = 0;
    for await (const result of deal(world, records, { ...dealing, work: each, heard })) {
      listener.progress({ part, done: ++done });
      yield result;
    }
  };
}
