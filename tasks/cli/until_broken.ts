/** A filter whose input may break off. */

import { InputError } from "../../lib/runtime/errors.ts";
import type { TaskIo } from "./run_task.ts";

/**
 * Writes what `filter` makes of the records. When one cannot be read, the filter is told that they end there, so that
 * everything before it is worked off and written, and only then the error ends the task.
 */
export async function writeUntilBroken<T>(
  records: AsyncIterable<T>,
  filter: (records: AsyncIterable<T>) => AsyncIterable<object>,
  io: Pick<TaskIo, "output">,
): Promise<void> {
  let broken: InputError | undefined;
  const whole = async function* () {
    try {
      yield* records;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      broken = error;
    }
  };
  try {
    for await (const record of filter(whole())) await io.output.writeRecord(record);
  } catch (error) {
    throw broken ?? error; // what the filter makes of too few records is not the cause
  }
  if (broken) throw broken;
}
