/** The rows of a Parquet file, read in a thread that can be ended: corrupt files keep the library busy for ever. */

import { openBoundedWorker } from "../runtime/bounded_worker.ts";
import { InputError } from "../runtime/errors.ts";
import type { ParquetRequest } from "./_parquet_worker.ts";
import type { Row } from "./jsonl.ts";

/** Rows of one group, all of which are in memory at once: writers make groups of some 100,000. */
const MOST_ROWS = 2_000_000;

/** Seconds that opening or a row group may take, and bytes of the file for which there is one more. */
const SECONDS = 8, BYTES_PER_SECOND = 10e6;

/**
 * The rows of a Parquet file, a row group at a time.
 *
 * @param size the file's bytes: a large file may take longer
 * @throws {InputError} for a file that is malformed, has no row, or takes longer than a whole one of its size would
 */
export async function* parquetRows(
  path: string,
  size: number,
  signal?: AbortSignal,
): AsyncGenerator<Row> {
  await using worker = openBoundedWorker(new URL("./_parquet_worker.ts", import.meta.url));
  const seconds = SECONDS + Math.ceil(size / BYTES_PER_SECOND);
  let record = 0;
  const failed = (reason: string) =>
    new InputError(`Cannot read record ${record + 1} of ${path}: it must be a whole Parquet file: ${reason}`);
  const ask = async (request: ParquetRequest) => {
    try {
      return await worker.call(request, {
        milliseconds: seconds * 1000,
        overdue: () => `no end of it was found in ${seconds} seconds`,
        signal,
      });
    } catch (error) {
      throw error instanceof InputError && !error.message.startsWith(`Cannot read ${path}`)
        ? failed(error.message)
        : error;
    }
  };
  for (const rows of await ask({ open: path }) as number[]) {
    if (!(rows >= 0 && rows <= MOST_ROWS)) {
      throw failed(`a row group of ${rows} rows, where at most ${MOST_ROWS.toLocaleString("en")} are read`);
    }
    const values = await ask({ rowStart: record, rowEnd: record + rows }) as unknown[];
    for (const value of values) yield { value, where: { source: path, record: ++record } };
  }
  if (record === 0) throw new InputError(`Cannot read ${path}: it must have at least one record`);
}
