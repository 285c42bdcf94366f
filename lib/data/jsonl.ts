/** JSONL streams: bytes → lines → records, and a record → its line. Nothing holds more than one line. */

import { InputError } from "../runtime/errors.ts";
import { type Group, parseGroup, parseProblem, type Problem } from "./records.ts";
import { type ShardMark, shardMarkIn } from "./shards.ts";
import { describeWhere, type Where } from "./where.ts";

/** Bytes in pieces of any size, as a file or standard input gives them. */
export type Bytes = AsyncIterable<Uint8Array>;

/** How to read JSONL. */
export interface JsonlOptions {
  /** Name for messages: a path, or "standard input" (default). */
  readonly source?: string;
  /** Whether input without a record is fine (default false: InputError). */
  readonly allowEmpty?: boolean;
  /** Longest line, in bytes (default 64 MiB). */
  readonly longestLine?: number;
  /** Told of the mark that the input ends in, where it is one shard of several; without it, a shard is refused. */
  readonly shard?: (mark: ShardMark) => void;
}

/** One line, with its number from 1. */
export interface Line {
  /** The text, without line end. */
  readonly text: string;
  /** Number from 1, blank lines counted. */
  readonly line: number;
}

/** A parsed value and its place. */
export interface Row {
  /** Whatever JSON held. */
  readonly value: unknown;
  /** Its place. */
  readonly where: Where;
}

/**
 * Input that ends early: in the middle of its last line, or with the record of an error ({@linkcode errorRecord}). What came
 * before it is whole.
 */
export class BrokenOffError extends InputError {}

/** The last line of a writer that fails midway: readers of its records refuse what they then know to be a part. */
export function errorRecord(message: string): object {
  return { error: message };
}

/** The message in such a record; undefined for anything else. */
function errorIn(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 1) return undefined;
  const { error } = value as { error?: unknown };
  return typeof error === "string" ? error : undefined;
}

/**
 * The lines of UTF-8 bytes. LF and CRLF end a line, a byte order mark is dropped, the last line needs no end. Throws
 * InputError for a line over `longestLine` and for bytes that are not UTF-8.
 */
export async function* readLines(bytes: Bytes, options: JsonlOptions = {}): AsyncGenerator<Line> {
  for await (const { text, line } of endedLines(bytes, options)) yield { text, line };
}

/** The same, with whether a line has its end. */
async function* endedLines(
  bytes: Bytes,
  options: JsonlOptions,
): AsyncGenerator<Line & { readonly ended: boolean }> {
  const { source = "standard input", longestLine = 64 * 2 ** 20 } = options;
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let pending: Uint8Array[] = [];
  let length = 0;
  let line = 0;
  const take = (piece: Uint8Array, ended: boolean) => {
    line++;
    const whole = pending.length === 0 ? piece : concatenate([...pending, piece]);
    pending = [];
    length = 0;
    let text: string;
    try {
      text = decoder.decode(whole);
    } catch {
      const packed = line === 1 &&
        ((whole[0] === 0x1f && whole[1] === 0x8b) || (whole[0] === 0x28 && whole[1] === 0xb5));
      const what = `Cannot read line ${line} of ${source}: it must be UTF-8 text${
        packed ? ": got packed data (`gzip -dc` or `zstd -dc` unpacks it)" : ""
      }`;
      throw ended || line === 1 ? new InputError(what) : new BrokenOffError(`${what}, and has no end`);
    }
    if (line === 1 && text.startsWith("\ufeff")) text = text.slice(1);
    return { text: text.endsWith("\r") ? text.slice(0, -1) : text, line, ended };
  };
  for await (const chunk of bytes) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      assertLength(length + end - start, { longestLine, source, line });
      yield take(chunk.subarray(start, end), true);
      start = end + 1;
    }
    if (start === chunk.length) continue;
    length += chunk.length - start;
    assertLength(length, { longestLine, source, line });
    pending.push(chunk.slice(start)); // a copy: the reader may fill its buffer anew
  }
  if (length > 0) yield take(new Uint8Array(), false);
}

function assertLength(
  length: number,
  { longestLine, source, line }: { longestLine: number; source: string; line: number },
): void {
  if (length <= longestLine) return;
  throw new InputError(
    `Cannot read line ${line + 1} of ${source}: a line must have at most ${longestLine} bytes; is it JSONL?`,
  );
}

function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((total, piece) => total + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * The values of JSONL bytes; blank lines are skipped. Throws InputError that names line and source for a line that is
 * not JSON, its kind BrokenOffError where the input ended early, and InputError for input without a record unless
 * `allowEmpty`. A shard of several (`shards.ts`) is refused too, unless `shard` is there to be told.
 */
export async function* readJsonl(bytes: Bytes, options: JsonlOptions = {}): AsyncGenerator<Row> {
  const { source = "standard input", allowEmpty = false } = options;
  let record = 0, mark: ShardMark | undefined;
  const lines = endedLines(bytes, options);
  for await (const { text, line, ended } of { [Symbol.asyncIterator]: () => lines }) {
    if (text.trim() === "") continue;
    record++;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      const followed = !(await lines.next().catch(() => ({ done: true }))).done;
      const what = `Cannot read line ${line} of ${source}: it must be one JSON value: ${
        reason(text, error, followed)
      }`;
      throw !ended && record > 1 && text.trimStart().startsWith("{")
        ? new BrokenOffError(what)
        : new InputError(what);
    }
    const failed = errorIn(value);
    if (failed !== undefined) {
      throw new BrokenOffError(
        `Cannot read ${source} to its end: behind record ${record - 1} its writer failed: ${failed}`,
      );
    }
    if (mark) {
      throw new InputError(
        `Cannot read line ${line} of ${source}: it stands behind the mark that ends shard ${mark.part} of ${mark.of}`,
      );
    }
    mark = shardMarkIn(value);
    if (!mark) {
      yield { value, where: { source, record, line } };
      continue;
    }
    if (!options.shard) {
      throw new InputError(
        `Cannot read ${source}: it is shard ${mark.part} of ${mark.of}, ${mark.records} of ${mark.total} records: ` +
          "shards are to be merged first",
      );
    }
    options.shard(mark);
  }
  if (record === 0 && !allowEmpty) {
    throw new InputError(`Cannot read ${source}: it must have at least one record: got empty input`);
  }
}

/** The parser's complaint in one line; engines word it differently, what is usual is named as such by us. */
function reason(text: string, error: unknown, followed: boolean): string {
  const trimmed = text.trim();
  if (trimmed === "[") return "it begins a JSON list, not JSONL; option `data` reads a file that holds one";
  const start = trimmed.length > 40 ? trimmed.slice(0, 40) + "…" : trimmed;
  if (trimmed.endsWith(",") && isJson(trimmed.slice(0, -1))) {
    return `it ends in a comma, as in a JSON list; records stand alone, each on its line: ${start}`;
  }
  if (followed && /[{[,:]$/.test(trimmed)) {
    return `it begins one that is written over several lines; a record takes one (\`jq -c .\` writes it so): ${start}`;
  }
  if (/^\{\s*'/.test(trimmed)) {
    return `it has single quotes, as Python prints; JSON has double ones: ${start}`;
  }
  const cut = /^[{[]/.test(trimmed) && !/[}\]]$/.test(trimmed);
  const complaint = (error as Error).message.replace(/\s+/g, " ").replace(/^JSON Parse error: /, "");
  return cut ? `it breaks off after ${trimmed.length} characters: ${start}` : `${complaint}: ${start}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The problems of JSONL bytes; see `readJsonl` and `parseProblem` for what is thrown. */
export async function* readProblems(bytes: Bytes, options: JsonlOptions = {}): AsyncGenerator<Problem> {
  for await (const { value, where } of readJsonl(bytes, options)) yield parseProblem(value, where);
}

/** The groups of JSONL bytes; see `readJsonl` and `parseGroup` for what is thrown. */
export async function* readGroups(bytes: Bytes, options: JsonlOptions = {}): AsyncGenerator<Group> {
  for await (const { value, where } of readJsonl(bytes, options)) yield parseGroup(value, where);
}

/**
 * One record as a line of JSONL, with its line end; fields stay in their order, and whole numbers beyond 2⁵³ are texts. Throws InputError for a number that
 * JSON cannot hold: as null it would be refused by the next step, far from its cause.
 */
export function formatRecord(record: object, where?: Where): string {
  const wrong = (reason: string) => {
    const { id } = record as { id?: unknown };
    const place = where
      ? describeWhere(where)
      : id === undefined
      ? "a record"
      : `record ${JSON.stringify(id)}`;
    return new InputError(`Cannot write ${place}: ${reason}`);
  };
  try {
    return JSON.stringify(record, (name, field) => {
      if (typeof field === "bigint") {
        return Number.isSafeInteger(Number(field)) ? Number(field) : String(field);
      }
      if (typeof field !== "number" || Number.isFinite(field)) return field;
      throw wrong(`field "${name}" must be a finite number: got ${field}`);
    }) + "\n";
  } catch (error) {
    // The engine reads lists and objects of any depth, and writes some thousand.
    if (error instanceof RangeError) throw wrong("its lists or objects are nested too deeply");
    throw error;
  }
}
