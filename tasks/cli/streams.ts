/**
 * The streams of a task: records in, records out, notes to standard error.
 */

import { stat } from "node:fs/promises";
import { formatRecord } from "../../lib/data/jsonl.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import { exists, openAppend, remove, rename } from "../../lib/runtime/files.ts";
import { readUnpacked } from "../../lib/runtime/packed_files.ts";
import {
  ClosedOutputError,
  isTerminal,
  readInput,
  writeError,
  writeOutput,
} from "../../lib/runtime/stdio.ts";

/** Where records come from. */
export interface TaskInput {
  /** The file's path, or "standard input": for error messages. */
  readonly name: string;
  /** The content, once. Ends with the signal's reason when the task is interrupted. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Where records go. */
export interface TaskOutput {
  /** Writes one line and waits until the reader has room for more. */
  write(line: string): Promise<void>;
  /** Writes a record as one line of JSON. Throws InputError for a number that JSON cannot hold. */
  writeRecord(record: object): Promise<void>;
}

/** How to open an output. */
export interface OutputOptions {
  /** Whether a file that exists is replaced (true or undefined) or refused (false). */
  readonly overwrite?: boolean | undefined;
  /** Called when the reader of standard output has gone away. */
  readonly closed?: (error: ClosedOutputError) => void;
}

/** An output that ends well (`finish`) or not (`abandon`). */
export interface EndingOutput extends TaskOutput {
  /** Gives the file its final name. */
  finish(): Promise<void>;
  /** Keeps what was written, under the name `FILE.partial`, and says so in the line it returns. */
  abandon(): Promise<string | undefined>;
}

async function* untilAborted(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  // Without a reader nobody waits for this promise, which is no error.
  aborted.catch(() => {});
  const iterator = chunks[Symbol.asyncIterator]();
  try {
    while (true) {
      signal.throwIfAborted();
      const { done, value } = await Promise.race([iterator.next(), aborted]);
      if (done) return;
      yield value;
    }
  } finally {
    // Not awaited: a read from a terminal or a pipe ends only when the other side writes.
    iterator.return?.().catch(() => {});
  }
}

/** The input at `path`; `-` is standard input. The file must exist, though it is opened only when it is read. */
export async function openInput(path: string, signal: AbortSignal): Promise<TaskInput> {
  if (path !== "-") {
    if (!await exists(path)) throw new UsageError(`Cannot read ${path}: no such file or directory`);
    return { name: path, bytes: untilAborted(readUnpacked(path), signal) };
  }
  async function* standardInput() {
    if (isTerminal("input")) writeError("Reading records from the terminal: end with Ctrl-D");
    yield* readInput();
  }
  return { name: "standard input", bytes: untilAborted(standardInput(), signal) };
}

function jsonLines(write: (line: string) => Promise<void>): TaskOutput {
  return { write, writeRecord: async (record) => await write(formatRecord(record).trimEnd()) };
}

/**
 * The output at `path`; `-` is standard output. A file gets its name when the task is done; until then, and after
 * an error, the lines written so far are in `FILE.partial`. Devices and named pipes are written directly.
 */
export async function openOutput(path: string, options: OutputOptions): Promise<EndingOutput> {
  if (path === "-") {
    const write = async (line: string) => {
      try {
        await writeOutput(`${line}\n`);
      } catch (error) {
        if (error instanceof ClosedOutputError) options.closed?.(error);
        throw error;
      }
    };
    return { ...jsonLines(write), finish: async () => {}, abandon: () => Promise.resolve(undefined) };
  }
  const status = await stat(path).catch(() => undefined);
  if (status?.isDirectory()) throw new UsageError(`Cannot write ${path}: it is a directory`);
  if (status?.isFile() && options.overwrite === false) {
    throw new UsageError(`Cannot write ${path}: it already exists: use --overwrite to replace it`);
  }
  const direct = status !== undefined && !status.isFile();
  const place = direct ? path : `${path}.partial`;
  const file = await openAppend(place, { truncate: !direct });
  let lines = 0;
  const write = async (line: string) => {
    await file.write(`${line}\n`);
    lines++;
  };
  const finish = async () => {
    await file.close();
    if (!direct) await rename(place, path);
  };
  const abandon = async () => {
    await file.close();
    if (direct) return;
    if (lines === 0) return await remove(place).then(() => undefined);
    return `Kept the ${lines} ${lines === 1 ? "line" : "lines"} written so far in ${place}`;
  };
  return { ...jsonLines(write), finish, abandon };
}
