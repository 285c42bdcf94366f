/**
 * Files and folders, the same in Deno, Bun and Node. Every failure that the file system reports becomes an
 * {@linkcode InputError} of one line, and nothing is ever seen half-written under its final name.
 */

import { readSync } from "node:fs";
import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { InputError } from "./errors.ts";
import { nameToBe, syncToDisk, temporaryName } from "./temporary_name.ts";
import {
  bufferedSink,
  type FileSink,
  inWords,
  largestTransfer,
  named,
  namedNow,
  reasons,
} from "./_file_sink.ts";

export { type FileSink, inWords, named };

const readSize = 256 * 1024;

/** A file open for reading at any offset. Close it when done. */
export interface RandomAccessFile extends AsyncDisposable {
  /** The path it was opened by. */
  readonly path: string;
  /** Length in bytes when it was opened. */
  readonly size: number;
  /** Reads exactly `length` bytes from byte `offset` on. Throws InputError when the file ends before. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Fills `target` with the bytes from byte `offset` on. Throws InputError when the file ends before. */
  readInto(offset: number, target: Uint8Array): Promise<void>;
  /**
   * The same, waiting for the disk: where much is read in a row, a thread that is asked for each piece costs more than
   * the reading on a busy machine. The system reads ahead meanwhile.
   */
  readNow(offset: number, target: Uint8Array): void;
  /** Gives the file back to the system. */
  close(): Promise<void>;
}

/**
 * Refuses what is no file before it is opened: opening a named pipe waits for a writer, and a device may never end.
 *
 * @param streams whether a pipe or a device will do: `/dev/stdin`, or what a shell puts in place of `<(command)`
 */
async function refuseOther(path: string, streams = false): Promise<void> {
  const status = await named("read", path, () => fs.stat(path));
  if (status.isFile() || (streams && !status.isDirectory())) return;
  const found = status.isDirectory()
    ? reasons.EISDIR
    : status.isFIFO()
    ? "it is a pipe"
    : status.isSocket()
    ? "it is a socket"
    : "it is a device";
  throw new InputError(`Cannot read ${path}: ${found}${status.isDirectory() ? "" : ", not a file"}`);
}

/** Opens a file for random access. Throws InputError when it is missing, unreadable or no file (a directory, pipe, device). */
export async function openFile(path: string): Promise<RandomAccessFile> {
  await refuseOther(path);
  const handle = await named("read", path, () => fs.open(path, "r"));
  const status = await handle.stat();
  const close = () => handle.close();
  const short = (offset: number, target: Uint8Array, filled: number) =>
    new InputError(
      `Cannot read ${path}: expected ${target.length} bytes at byte ${offset}, the file ends at byte ` +
        `${offset + filled}`,
    );
  const readNow = (offset: number, target: Uint8Array): void => {
    for (let filled = 0; filled < target.length;) {
      const wanted = Math.min(target.length - filled, largestTransfer);
      const count = namedNow(
        "read",
        path,
        () => readSync(handle.fd, target, filled, wanted, offset + filled),
      );
      if (count === 0) throw short(offset, target, filled);
      filled += count;
    }
  };
  const readInto = async (offset: number, target: Uint8Array): Promise<void> => {
    let filled = 0;
    while (filled < target.length) {
      const wanted = Math.min(target.length - filled, largestTransfer);
      const { bytesRead } = await named(
        "read",
        path,
        () => handle.read(target, filled, wanted, offset + filled),
      );
      if (bytesRead === 0) throw short(offset, target, filled);
      filled += bytesRead;
    }
  };
  const read = async (offset: number, length: number) => {
    const target = new Uint8Array(length);
    await readInto(offset, target);
    return target;
  };
  return { path, size: status.size, read, readInto, readNow, close, [Symbol.asyncDispose]: close };
}

/**
 * The bytes of a file, in chunks of at most 256 KiB. Throws InputError when it cannot be read, or is no file.
 *
 * @param options `streams`: pipes and devices are read too
 */
export async function* readBytes(
  path: string,
  options: { readonly streams?: boolean } = {},
): AsyncGenerator<Uint8Array> {
  await refuseOther(path, options.streams);
  const handle = await named("read", path, () => fs.open(path, "r"));
  try {
    while (true) {
      // A new buffer each time: the consumer may keep what it got.
      const chunk = new Uint8Array(readSize);
      const { bytesRead } = await named("read", path, () => handle.read(chunk, 0, readSize, null));
      if (bytesRead === 0) return;
      yield chunk.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** The whole of a UTF-8 text file. Throws InputError when it cannot be read or is not UTF-8. */
export async function readText(path: string): Promise<string> {
  await refuseOther(path);
  const bytes = await named("read", path, () => fs.readFile(path));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new InputError(`Cannot read ${path}: expected UTF-8 text`, { cause: error });
  }
}

/** The value in a JSON file. Throws InputError, with the parser's reason, when it is not JSON. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = (error as Error).message.replace(/\s+/g, " ");
    throw new InputError(`Cannot read ${path}: expected JSON: ${reason}`, { cause: error });
  }
}

/** Removes what a killed process left in a folder that nobody else writes to: files that had not got their names yet. */
export async function removeTemporaries(directory: string): Promise<void> {
  const entries = await named(
    "list directory",
    directory,
    () => fs.readdir(directory, { withFileTypes: true }),
  );
  for (const entry of entries) {
    if (entry.isFile() && nameToBe(entry.name) !== undefined) await remove(join(directory, entry.name));
  }
}

/** Removes what killed processes left of one file, for whoever writes it next: parts that had not got its name yet. */
export async function removeTemporariesOf(path: string): Promise<void> {
  const folder = dirname(path), name = basename(path);
  // A folder that cannot be listed may still be written to.
  const entries = await fs.readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (entry.isFile() && nameToBe(entry.name) === name) await remove(join(folder, entry.name));
  }
}

/**
 * Writes a whole file under a temporary name in the same folder, syncs it to the disk and renames it, so that a
 * reader finds the old content or the new, never a part. When `writer` throws, the old file stays as it was.
 */
export async function writeAtomic(path: string, writer: (sink: FileSink) => Promise<void>): Promise<void> {
  const temporary = temporaryName(path);
  const handle = await named("write", path, () => fs.open(temporary, "wx"));
  try {
    try {
      const sink = bufferedSink(handle, path);
      await writer(sink);
      await sink.flush();
      await named("write", path, () => handle.sync());
    } finally {
      await handle.close();
    }
    await named("write", path, () => fs.rename(temporary, path));
  } catch (error) {
    await fs.rm(temporary, { force: true });
    throw error;
  }
  await syncToDisk(dirname(path));
}

/** Writes a whole text file atomically, as {@linkcode writeAtomic} does. */
export async function writeText(path: string, text: string): Promise<void> {
  await writeAtomic(path, (sink) => sink.write(text));
}

/** Writes a value as indented JSON, atomically, with a newline at the end. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeText(path, JSON.stringify(value, null, 2) + "\n");
}

/** A file that grows line by line, such as metrics.jsonl: each write has reached the system when it resolves. */
export interface AppendFile extends FileSink, AsyncDisposable {
  /** Syncs the content to the disk and closes the file. */
  close(): Promise<void>;
}

/**
 * Opens a file for appending; `truncate` empties it first. A link is not followed unless the user named the path (`byUser`):
 * what stands under a name of ours must be ours.
 */
export async function openAppend(
  path: string,
  options: { readonly truncate?: boolean; readonly byUser?: boolean } = {},
): Promise<AppendFile> {
  const status = options.byUser ? undefined : await fs.lstat(path).catch(() => undefined);
  if (status?.isSymbolicLink()) {
    throw new InputError(`Cannot write ${path}: it is a link, which is not followed`);
  }
  const handle = await named("write", path, () => fs.open(path, options.truncate ? "w" : "a"));
  const sink = bufferedSink(handle, path);
  const close = async () => {
    try {
      await handle.sync();
    } catch {
      // A pipe or a device cannot be synced, and need not be.
    } finally {
      await handle.close();
    }
  };
  return {
    async write(content) {
      await sink.write(content);
      await sink.flush();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Whether something, a file or a directory, has this path. */
export async function exists(path: string): Promise<boolean> {
  return await fs.stat(path).then(() => true, () => false);
}

/** Whether a directory has this path. */
export async function isDirectory(path: string): Promise<boolean> {
  return await fs.stat(path).then((status) => status.isDirectory(), () => false);
}

/** Whether a file, by itself or by a link, has this path: no directory, pipe or device. */
export async function isFile(path: string): Promise<boolean> {
  return await fs.stat(path).then((status) => status.isFile(), () => false);
}

/** The path that links lead to; undefined where there is nothing. */
export async function realPath(path: string): Promise<string | undefined> {
  return await fs.realpath(path).catch(() => undefined);
}

/** Makes a directory and the ones above it; one that is there already is fine. */
export async function makeDirectory(path: string): Promise<void> {
  await named("make directory", path, () => fs.mkdir(path, { recursive: true }));
}

/** The names in a directory, sorted by code unit, so that they come in the same order on every machine. */
export async function listDirectory(path: string): Promise<string[]> {
  return (await named("list directory", path, () => fs.readdir(path))).sort();
}

/** Gives a file or directory another name, in place of the file that has it. */
export async function rename(from: string, to: string): Promise<void> {
  await named("write", to, () => fs.rename(from, to));
}

/** Cuts a file down to its first `bytes`. */
export async function cutFile(path: string, bytes: number): Promise<void> {
  await named("write", path, () => fs.truncate(path, bytes));
}

/** Removes a file or a whole directory; nothing happens when there is none. */
export async function remove(path: string): Promise<void> {
  await named("remove", path, () => fs.rm(path, { recursive: true, force: true }));
}
