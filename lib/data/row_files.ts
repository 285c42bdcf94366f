/** The rows of a local file, whichever of JSONL, JSON, CSV and Parquet it is. */

import { InputError } from "../runtime/errors.ts";
import { openFile, type RandomAccessFile, readBytes } from "../runtime/files.ts";
import { readJsonArray } from "./json_array.ts";
import { readJsonl, type Row } from "./jsonl.ts";
import { parquetRows } from "./parquet.ts";

/** Endings of the file names that `readRows` takes. */
export const rowFileEndings: readonly string[] = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"];

/**
 * The rows of a file, in bounded memory (of Parquet, one row group). JSON files may hold a list or, as AQuA's do, one
 * value a line. Throws InputError for a file that is not what its ending says, that has no row, or that is malformed.
 */
export async function* readRows(path: string, signal?: AbortSignal): AsyncGenerator<Row> {
  const ending = path.toLowerCase().match(/\.[a-z]+$/)?.[0] ?? "";
  if (ending !== "" && !rowFileEndings.includes(ending)) {
    throw new InputError(
      `Cannot read ${path}: its name must end in ${rowFileEndings.join(", ")}: got ${ending}`,
    );
  }
  await using file = await openFile(path);
  const found = sniff(await file.read(0, Math.min(file.size, 1024)));
  const wanted = ending === ".parquet" ? "Parquet" : ending === ".csv" || ending === ".tsv" ? "CSV" : "JSON";
  if (found === "empty") {
    throw new InputError(`Cannot read ${path}: it must have at least one record: got an empty file`);
  }
  // Text that is not JSON may be CSV, or else JSONL with a fault: its reader will say which line.
  if (found !== wanted && !(found === "text" && wanted !== "Parquet")) {
    throw new InputError(
      `Cannot read ${path}: ${ending || "a file without ending"} must hold ${wanted}: got ${found}`,
    );
  }
  if (wanted === "Parquet") yield* parquetRows(path, file.size, signal);
  else if (wanted === "CSV") yield* csvRows(path, ending === ".tsv" ? "\t" : ",");
  else if (found === "JSON" && await startsWithBracket(file)) {
    yield* readJsonArray(readBytes(path), { source: path });
  } else yield* readJsonl(readBytes(path), { source: path });
}

/** What a file's first bytes show it to be. */
function sniff(head: Uint8Array): string {
  if (head.length === 0) return "empty";
  const starts = (...bytes: number[]) => bytes.every((byte, i) => head[i] === byte);
  if (starts(0x50, 0x41, 0x52, 0x31)) return "Parquet"; // PAR1
  if (starts(0x1f, 0x8b)) return "gzip data (unpack it first)";
  if (starts(0x50, 0x4b, 3, 4)) return "a ZIP archive (unpack it first)";
  const text = new TextDecoder().decode(head).trimStart();
  if (text === "") return "empty";
  if (text.startsWith("version https://git-lfs")) return "a Git LFS pointer (download the file itself)";
  if (/^<(!doctype|html|\?xml)/i.test(text)) return "a web page";
  if (head.includes(0)) return "binary data";
  return /^[[{]/.test(text) ? "JSON" : "text";
}

async function startsWithBracket(file: RandomAccessFile): Promise<boolean> {
  const head = new TextDecoder().decode(await file.read(0, Math.min(file.size, 1024)));
  return head.trimStart().startsWith("[");
}

async function* csvRows(path: string, delimiter: string): AsyncGenerator<Row> {
  const { parse } = await import("csv-parse"); // here: JSONL, the common case, need not wait for it
  let record = 0;
  let rows: Row[] = [];
  let failure: Error | undefined;
  // Rows are taken from the callback: as a stream the parser drops those before a fault, and miscounts it.
  const parser = parse({
    columns: true,
    bom: true,
    delimiter,
    skip_empty_lines: true,
    on_record: (value: unknown, { lines }) => {
      rows.push({ value, where: { source: path, record: ++record, line: lines } });
      return null;
    },
  });
  const ended = new Promise<void>((resolve) => {
    parser.on("error", (error) => {
      failure ??= error;
      resolve();
    }).on("end", resolve).resume();
  });
  for await (const chunk of readBytes(path)) {
    await Promise.race([new Promise<void>((resolve) => parser.write(chunk, () => resolve())), ended]);
    yield* rows;
    rows = [];
    if (failure) break;
  }
  if (!failure) parser.end();
  await ended;
  yield* rows;
  if (failure) {
    const reason = failure.message.replace(/\s+/g, " ");
    throw new InputError(`Cannot read record ${record + 1} of ${path}: ${reason}`, { cause: failure });
  }
  if (record === 0) {
    throw new InputError(`Cannot read ${path}: it must have at least one record below its header`);
  }
}
