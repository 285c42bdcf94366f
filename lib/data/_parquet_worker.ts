/** Reads Parquet in a thread of its own, whose reader ends on corrupt files too (`_parquet_bounds.ts`). */

import { type FileMetaData, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { openFile } from "../runtime/files.ts";
import { answerRequests } from "../runtime/worker_requests.ts";
import { boundThread } from "./_parquet_bounds.ts";

/** Either the sizes of a file's row groups, or the rows of one. */
export type ParquetRequest =
  | { readonly open: string }
  | { readonly rowStart: number; readonly rowEnd: number };

let file: Awaited<ReturnType<typeof openFile>> | undefined;
let metadata: FileMetaData | undefined;

/** What hyparquet reads a file by. */
function bufferOf(source: NonNullable<typeof file>) {
  return {
    byteLength: source.size,
    slice: async (start: number, end = source.size) => (await source.read(start, end - start)).buffer,
  };
}

boundThread();
answerRequests(async (request: ParquetRequest) => {
  if ("open" in request) {
    file = await openFile(request.open);
    metadata = await parquetMetadataAsync(bufferOf(file));
    return metadata.row_groups.map((group) => Number(group.num_rows));
  }
  const { rowStart, rowEnd } = request;
  const rows = await parquetReadObjects({
    file: bufferOf(file!),
    metadata: metadata!,
    compressors,
    rowStart,
    rowEnd,
  });
  return rows.map(plain);
});

/** Parquet's 64-bit integers as numbers, within what a row nests; those that a number cannot hold stay as they are. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || value.constructor !== Object) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}
