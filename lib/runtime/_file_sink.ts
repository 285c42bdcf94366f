/**
 * What the functions of files.ts share: errors that name the path, and a sink that joins small writes.
 */

import type * as fs from "node:fs/promises";
import { constants } from "node:os";
import { InputError } from "./errors.ts";

// One write call takes at most 2 GiB on Linux; a safetensors file can be larger.
/** Bytes of the largest single read or write call. */
export const largestTransfer: number = 64 * 1024 * 1024;
const bufferedBytes = 64 * 1024;

/** What an error code of the system means, in words. */
export const reasons: Record<string, string> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is not a directory",
  EEXIST: "it already exists",
  ENOTEMPTY: "the directory is not empty",
  ENOSPC: "no space left on the device",
  EROFS: "the file system is read-only",
  EMFILE: "too many open files",
  EIO: "the device reports an error",
  EDQUOT: "the quota is used up",
  EFBIG: "the file would be too large",
  ENAMETOOLONG: "the name is too long",
  ELOOP: "too many links",
  NotCapable: "the runtime's permissions do not allow it",
};

/** Runs a file system call and turns its failure into one line that names the path and the reason. */
export async function named<T>(verb: string, path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw inWords(error, verb, path);
  }
}

/** {@linkcode named} for a call that returns when it is done. */
export function namedNow<T>(verb: string, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw inWords(error, verb, path);
  }
}

/** What the system said of a path, in one line; anything else as it is. */
export function inWords(error: unknown, verb: string, path: string): unknown {
  const { code, name, message = "" } = error as { code?: string; name?: string; message?: string };
  // Deno asks for all permissions where a path is of the system's (/dev, /proc, /sys), and leaves out some codes.
  const reason = name === "NotCapable" ? name : code ?? codeOf(message.match(/\(os error (\d+)\)/)?.[1]);
  if (error instanceof InputError || typeof reason !== "string") return error;
  const details = { code: "file", fields: { path, reason }, cause: error } as const;
  return new InputError(`Cannot ${verb} ${path}: ${reasons[reason] ?? reason}`, details);
}

/** The code of one of the system's error numbers. */
function codeOf(number: string | undefined): string | undefined {
  return Object.entries(constants.errno).find(([, value]) => String(value) === number)?.[0];
}

/** Takes the content of a file that is being written, in order. */
export interface FileSink {
  /** Adds bytes, or text as UTF-8. */
  write(content: Uint8Array | string): Promise<void>;
}

/** Joins small writes into large ones; nothing is lost as long as `flush` is called at the end. */
export function bufferedSink(handle: fs.FileHandle, path: string): FileSink & { flush(): Promise<void> } {
  const encoder = new TextEncoder();
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  const put = async (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) {
      const length = Math.min(bytes.length - at, largestTransfer);
      const { bytesWritten } = await named("write", path, () => handle.write(bytes, at, length));
      at += bytesWritten;
    }
  };
  const flush = async () => {
    if (waitingBytes === 0) return;
    const [first, second] = waiting;
    const joined = first && !second ? first : new Uint8Array(waitingBytes);
    let at = 0;
    for (const piece of second ? waiting : []) {
      joined.set(piece, at);
      at += piece.length;
    }
    waiting = [];
    waitingBytes = 0;
    await put(joined);
  };
  const write = async (content: Uint8Array | string) => {
    const bytes = typeof content === "string" ? encoder.encode(content) : content;
    if (bytes.length >= bufferedBytes) {
      await flush();
      return await put(bytes);
    }
    // A copy: the caller may fill its buffer again before this one reaches the disk.
    waiting.push(typeof content === "string" ? bytes : bytes.slice());
    waitingBytes += bytes.length;
    if (waitingBytes >= bufferedBytes) await flush();
  };
  return { write, flush };
}
