/**
 * The streams of a task: records in, records out, notes to standard error.
 */

import { stat } from "node:fs/promises";
import { errorRecord, formatRecord, readJsonl } from "../../lib/data/jsonl.ts";
import type { ShardMark } from "../../lib/data/shards.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import { nearPath } from "../../lib/runtime/near_path.ts";
import { lockFile, refuseLockedFile } from "../../lib/runtime/run_lock.ts";
import { exists, inWords, openAppend, openFile, remove, rename, writeText } from "../../lib/runtime/files.ts";
import { readUnpacked } from "../../lib/runtime/packed_files.ts";
import {
  ClosedOutputError,
  isTerminal,
  readInput,
  writeError,
  writeOutputText,
} from "../../lib/runtime/stdio.ts";

import {
  cutBehind,
  dropConfiguration,
  findPartial,
  keepConfiguration,
  type PartialOutput,
  partialPath,
  removeNameless,
  takeUp,
} from "./partial_output.ts";
import type { TaskConfiguration } from "./task_configuration.ts";

/** Where records come from. */
export interface TaskInput {
  /** The file's path, or "standard input": for error messages. */
  readonly name: string;
  /** The content, once. Ends with the signal's reason when the task is interrupted. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** The mark that its records ended in, where they are one shard of several; known when all of them are read. */
  shard?: ShardMark;
}

/** Where records go. */
export interface TaskOutput {
  /** Writes one line and waits until the reader has room for more. */
  write(line: string): Promise<void>;
  /** Writes a record as one line of JSON. Throws InputError for a number that JSON cannot hold. */
  writeRecord(record: object): Promise<void>;
  /** Whether lines are kept when the task is cut off: of a file. */
  readonly keeps: boolean;
  /** Lines that an earlier run wrote: the records at the beginning, which are not to be made again. */
  readonly kept: number;
  /** Those lines, read again. */
  keptRecords(): AsyncIterable<unknown>;
  /** Leaves of the kept lines those before the first that does not hold: an earlier run may have come further. */
  keepWhile(holds: (record: Readonly<Record<string, unknown>>) => boolean): Promise<void>;
  /** Makes this record the whole output of a file, in place of the lines that were written to be kept. */
  replaceBy(record: object): void;
}

/** How to open an output. */
export interface OutputOptions {
  /** Whether a file that exists is replaced (true or undefined) or refused (false). */
  readonly overwrite?: boolean | undefined;
  /** Whether the task goes on with what an earlier run left (`resume`), and what it was asked for, where that is to be the same. */
  readonly resuming?: { readonly resume: boolean; readonly configuration?: TaskConfiguration };
  /** Told what the user should know of what is taken up. */
  readonly warn?: (line: string) => void;
  /** Called when the reader of standard output has gone away. */
  readonly closed?: (error: ClosedOutputError) => void;
}

/** An output that is complete: nothing is left to do. */
export class FinishedOutput {
  constructor(readonly path: string) {}
}

/** An output that ends well (`finish`) or not (`abandon`). */
export interface EndingOutput extends TaskOutput {
  /** Gives the file its final name. */
  finish(): Promise<void>;
  /**
   * Tells whoever reads standard output that what was written is a part: a last line `{"error": …}`. Nothing where nothing was
   * written, on a terminal, and of a file, which has not got its name.
   */
  fail(message: string): Promise<void>;
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

/** The input at `path`; `-` is standard input, and a pipe or a device is read as it comes. The file must exist, though it is opened only when it is read. */
export async function openInput(path: string, signal: AbortSignal): Promise<TaskInput> {
  // Of what is under /dev Deno asks for all permissions.
  if (path !== "-" && path !== "/dev/stdin") {
    if (!await exists(path)) {
      throw new UsageError(`Cannot read ${path}: no such file or directory${await nearPath(path)}`);
    }
    return { name: path, bytes: untilAborted(readUnpacked(path, { streams: true }), signal) };
  }
  async function* standardInput() {
    if (isTerminal("input")) writeError("Reading records from the terminal: end with Ctrl-D");
    yield* readInput();
  }
  return { name: "standard input", bytes: untilAborted(standardInput(), signal) };
}

function jsonLines(write: (line: string) => Promise<void>): Pick<TaskOutput, "write" | "writeRecord"> {
  return { write, writeRecord: async (record) => await write(formatRecord(record).trimEnd()) };
}

/**
 * The output at `path`; `-` is standard output. A file gets its name when the task is done; until then, and after
 * an error, the lines written so far are in `FILE.partial`. Devices and named pipes are written directly.
 *
 * What an earlier run left there is never cut in silence: it is taken up (`resume`), replaced (`overwrite`) or refused.
 */
export async function openOutput(
  path: string,
  options: OutputOptions,
): Promise<EndingOutput | FinishedOutput> {
  if (path === "-" || path === "/dev/stdout") return standardOutput(options);
  const status = await stat(path).catch((error) => {
    if (error.name === "NotCapable") throw inWords(error, "write", path);
  });
  if (status?.isDirectory()) throw new UsageError(`Cannot write ${path}: it is a directory`);
  if (status !== undefined && !status.isFile()) return await deviceOutput(path, options);
  // What another run writes just now is no leftover.
  await refuseLockedFile(path);
  const before = await partialToTakeUp(path, options);
  if (before === "finished") return new FinishedOutput(path);
  const lock = await lockFile(path), unlock = async () => await lock[Symbol.asyncDispose]();
  try {
    // Another run may have ended since we looked.
    const resumed = await partialToTakeUp(path, options);
    if (resumed !== "finished") return await fileOutput(path, { options, resumed, unlock });
    await unlock();
    return new FinishedOutput(path);
  } catch (error) {
    await unlock();
    throw error;
  }
}

/**
 * What to go on with of what an earlier run left of a file. Throws UsageError for what is there and may be neither taken up nor
 * replaced.
 */
async function partialToTakeUp(
  path: string,
  { overwrite, resuming }: OutputOptions,
): Promise<PartialOutput | "finished" | undefined> {
  const isThere = await exists(path);
  const partial = await findPartial(path, { records: resuming?.configuration !== undefined });
  if (isThere && resuming?.configuration && resuming.resume && !partial && !overwrite) return "finished";
  if (isThere && overwrite === false) {
    throw new UsageError(`Cannot write ${path}: it already exists: use --overwrite to replace it`);
  }
  if (resuming?.resume) return partial;
  if (partial && overwrite === false) {
    throw new UsageError(
      `Cannot write ${path}: ${partial.path} holds ${count(partial.lines)} of a run that was cut off: ` +
        (resuming
          ? "--resume goes on with them, --overwrite begins anew"
          : "move it away, or choose another --output"),
    );
  }
  return undefined;
}

async function fileOutput(
  path: string,
  { options, resumed, unlock }: {
    readonly options: OutputOptions;
    readonly resumed: PartialOutput | undefined;
    readonly unlock: () => Promise<void>;
  },
): Promise<EndingOutput> {
  const { resuming } = options, configuration = resuming?.configuration, place = partialPath(path);
  if (resumed) {
    const told = await takeUp(path, resumed, configuration);
    if (told) options.warn?.(told);
  }
  const file = await openAppend(place, { truncate: !resumed });
  await removeNameless(path);
  // Behind the old lines' end: a kill in between must not leave them with the options of this run.
  if (configuration && !resumed) await keepConfiguration(path, configuration);
  let lines = resumed?.lines ?? 0, whole: string | undefined;
  const kept = lines;
  return {
    ...jsonLines(async (line) => {
      await file.write(`${line}\n`);
      lines++;
    }),
    keeps: true,
    kept,
    keptRecords: () => keptRecords(place, resumed?.bytes ?? 0),
    async keepWhile(holds) {
      if (resumed) await cutBehind(place, resumed.bytes, holds);
    },
    replaceBy: (record) => void (whole = formatRecord(record)),
    fail: () => Promise.resolve(),
    async finish() {
      await file.close();
      if (whole === undefined) await rename(place, path);
      else {
        await writeText(path, whole);
        await remove(place);
      }
      if (configuration) await dropConfiguration(path);
      await unlock();
    },
    async abandon() {
      try {
        await file.close();
        if (lines > 0) {
          return `Kept the ${count(lines)} written so far in ${place}${
            resuming ? "; --resume goes on with them" : ""
          }`;
        }
        await remove(place);
        if (configuration) await dropConfiguration(path);
        return undefined;
      } finally {
        await unlock();
      }
    },
  };
}

function count(lines: number): string {
  return `${lines} ${lines === 1 ? "line" : "lines"}`;
}

/** What an output that is no file does. */
const keepsNothing = {
  keeps: false,
  kept: 0,
  async *keptRecords() {},
  keepWhile: () => Promise.resolve(),
  replaceBy() {
    throw new Error("An output that keeps nothing has nothing to replace");
  },
} as const;

function refuseResume({ resuming }: OutputOptions, output: string): void {
  if (!resuming?.resume || !resuming.configuration) return;
  throw new UsageError(`Option --resume needs --output FILE: ${output} keeps nothing to go on with`);
}

function standardOutput(options: OutputOptions): EndingOutput {
  refuseResume(options, "standard output");
  let written = 0;
  const write = async (line: string) => {
    written++;
    try {
      await writeOutputText(`${line}\n`);
    } catch (error) {
      if (error instanceof ClosedOutputError) options.closed?.(error);
      throw error;
    }
  };
  const fail = async (message: string) => {
    if (written === 0 || isTerminal("output")) return;
    await writeOutputText(formatRecord(errorRecord(message))).catch(() => {}); // a reader that is gone needs no word
  };
  const done = () => Promise.resolve(undefined);
  return { ...jsonLines(write), ...keepsNothing, fail, finish: done, abandon: done };
}

async function deviceOutput(path: string, options: OutputOptions): Promise<EndingOutput> {
  refuseResume(options, path);
  const file = await openAppend(path, { byUser: true });
  const close = async () => {
    await file.close();
    return undefined;
  };
  const write = async (line: string) => await file.write(`${line}\n`);
  return {
    ...jsonLines(write),
    ...keepsNothing,
    fail: () => Promise.resolve(),
    finish: close,
    abandon: close,
  };
}

/** The records in the first bytes of a file. */
async function* keptRecords(path: string, bytes: number): AsyncGenerator<unknown> {
  await using file = await openFile(path);
  const pieces = async function* () {
    for (let at = 0, size = 0; at < bytes; at += size) {
      size = Math.min(bytes - at, 256 * 1024);
      yield await file.read(at, size);
    }
  };
  for await (const { value } of readJsonl(pieces(), { source: path, allowEmpty: true })) yield value;
}
