/** Records whose results an earlier run has written already. */

import type { Problem } from "../../lib/data/records.ts";
import { blockRecords } from "../../lib/data/shards.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import { toggle } from "./option.ts";
import type { TaskIo } from "./run_task.ts";

/** The option of a task that goes on with its output. */
export const resumeOption = {
  resume: toggle("--resume", { help: "Go on with what a run that was cut off left of --output" }),
} as const;

/**
 * The records, of which those at the beginning must be the ones that the kept lines are of: by their ids, and their questions
 * where lines have them. Throws UsageError, before anything is made of the others, for other records or too few.
 */
export async function* checkKept<P extends Problem>(
  records: AsyncIterable<P>,
  { output, listener }: Pick<TaskIo, "output" | "listener">,
): AsyncGenerator<P> {
  const { kept } = output;
  if (kept === 0) return yield* records;
  listener.note(`Going on behind ${kept} ${kept === 1 ? "record" : "records"} that are there already`);
  const lines = output.keptRecords()[Symbol.asyncIterator]();
  let at = 0;
  try {
    for await (const record of records) {
      if (at < kept) {
        checkLine((await lines.next()).value, record, ++at);
        if (at === kept) await lines.return?.(); // the file is closed before the long work begins
      }
      yield record;
    }
  } finally {
    await lines.return?.();
  }
  if (at < kept) {
    throw new UsageError(
      `Cannot resume: ${kept} records are there already, and the input has ${at}; --overwrite begins anew`,
    );
  }
}

/** Throws UsageError for a line that is not of this record, the `at`-th. */
function checkLine(line: unknown, record: Problem, at: number): void {
  const { id, question } = (line ?? {}) as { readonly id?: unknown; readonly question?: unknown };
  if (id === record.id && (question === undefined || question === record.question)) return;
  const other = id === record.id ? "the same id and another question" : `id ${JSON.stringify(id)}`;
  throw new UsageError(
    `Cannot resume: record ${at} of the input is ${
      JSON.stringify(record.id)
    }, and line ${at} of what is there has ` +
      `${other}; --overwrite begins anew`,
  );
}

/**
 * Where a run begins whose records are computed in blocks: with the whole block of the first record that is not there yet, so
 * that its numbers are those of a run that was not cut off.
 *
 * @returns `from`, the records to leave out, and `again`, the results behind them that are there already
 */
export function fromBlock(kept: number): { readonly from: number; readonly again: number } {
  const again = kept % blockRecords;
  return { from: kept - again, again };
}

/** The records behind the first `count`. */
export async function* behind<T>(records: AsyncIterable<T>, count: number): AsyncGenerator<T> {
  let at = 0;
  for await (const record of records) if (at++ >= count) yield record;
}
