/** The rows of a local file, whichever of JSONL, JSON, CSV and Parquet it is, packed or not. */

import { InputError } from "../runtime/errors.ts";
import { openFile } from "../runtime/files.ts";
import { readUnpacked, unpackedName } from "../runtime/packed_files.ts";
import { csvRows } from "./_csv_rows.ts";
import { listIn } from "./_json_outline.ts";
import { readJsonArray } from "./json_array.ts";
import { readJsonl, type Row } from "./jsonl.ts";
import { parquetRows } from "./parquet.ts";

/** Endings of the file names that `readRows` takes; `.gz` or `.zst` may follow. */
export const rowFileEndings: readonly string[] = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"];

/** Bytes that a file's kind, and CSV's header, are seen in. */
const HEAD = 64 * 1024;

/** A file's name without its folder and endings: `train` of `data/train.jsonl.gz`. */
export function stemOf(path: string): string {
  return path.replace(/^.*[/\\]/, "").replace(/\.(gz|zst)$/i, "").replace(/\.\w+$/, "");
}

/** Whether a name ends as the files that `readRows` takes. */
export function isRowFile(path: string): boolean {
  return rowFileEndings.some((ending) => unpackedName(path).endsWith(ending));
}

/**
 * The rows of a file, in bounded memory (of Parquet, one row group). JSON files may hold a list, an object with a list
 * under `data` or the like (`listIn`), or, as AQuA's do, one value a line. CSV's cells are parted as its header shows.
 * Throws InputError for a file that is not what its ending says, that has no row, or that is malformed.
 */
export async function* readRows(path: string, signal?: AbortSignal): AsyncGenerator<Row> {
  const name = unpackedName(path), packed = name.length < path.length;
  const ending = name.match(/\.[a-z]+$/)?.[0] ?? "";
  if (ending !== "" && !rowFileEndings.includes(ending)) {
    throw new InputError(
      `Cannot read ${path}: its name must end in ${
        rowFileEndings.join(", ")
      }, and .gz or .zst where it is packed: ` +
        `got ${ending}`,
    );
  }
  const wanted = ending === ".parquet" ? "Parquet" : ending === ".csv" || ending === ".tsv" ? "CSV" : "JSON";
  if (wanted === "Parquet" && packed) {
    throw new InputError(`Cannot read ${path}: Parquet is read from its end: unpack the file first`);
  }
  const head = await headOf(path), found = sniff(head);
  if (found === "empty") {
    throw new InputError(`Cannot read ${path}: it must have at least one record: got an empty file`);
  }
  // Text that is not JSON may be CSV, or else JSONL with a fault: its reader will say which line.
  if (found !== wanted && !(found === "text" && wanted !== "Parquet")) {
    throw new InputError(
      `Cannot read ${path}: ${ending || "a file without ending"} must hold ${wanted}: got ${found}`,
    );
  }
  if (wanted === "Parquet") yield* parquetRows(path, await sizeOf(path), signal);
  else if (wanted === "CSV") {
    yield* csvRows(path, { header: textOf(head), tabs: ending === ".tsv" });
  } else if (found === "text") yield* readJsonl(readUnpacked(path), { source: path });
  else if (textOf(head).trimStart().startsWith("[")) {
    yield* readJsonArray(readUnpacked(path), { source: path });
  } else {
    const list = await listIn(readUnpacked(path), path);
    if (list === undefined) yield* readJsonl(readUnpacked(path), { source: path });
    else yield* readJsonArray(readUnpacked(path), { source: path, ...list });
  }
}

async function headOf(path: string): Promise<Uint8Array> {
  const head = new Uint8Array(HEAD);
  let length = 0;
  for await (const chunk of readUnpacked(path)) {
    const part = chunk.subarray(0, HEAD - length);
    head.set(part, length);
    length += part.length;
    if (length === HEAD) break;
  }
  return head.subarray(0, length);
}

async function sizeOf(path: string): Promise<number> {
  await using file = await openFile(path);
  return file.size;
}

function textOf(head: Uint8Array): string {
  return new TextDecoder().decode(head);
}

/** What a file's first bytes show it to be. */
function sniff(head: Uint8Array): string {
  if (head.length === 0) return "empty";
  const starts = (...bytes: number[]) => bytes.every((byte, i) => head[i] === byte);
  if (starts(0x50, 0x41, 0x52, 0x31)) return "Parquet"; // PAR1
  if (starts(0x1f, 0x8b)) return "gzip data (its name must end in .gz)";
  if (starts(0x28, 0xb5, 0x2f, 0xfd)) return "Zstandard data (its name must end in .zst)";
  if (starts(0xff, 0xfe) || starts(0xfe, 0xff)) return "UTF-16 text (UTF-8 is read)";
  if (starts(0x50, 0x4b, 3, 4)) return "a ZIP archive (unpack it first)";
  const text = new TextDecoder().decode(head).trimStart();
  if (text === "") return "empty";
  if (text.startsWith("version https://git-lfs")) return "a Git LFS pointer (download the file itself)";
  if (/^<(!doctype|html|\?xml)/i.test(text)) return "a web page";
  if (head.includes(0)) return "binary data";
  return /^[[{]/.test(text) ? "JSON" : "text";
}
