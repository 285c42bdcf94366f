/** Files that may be packed by gzip or Zstandard, read as what they hold. */

import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { unpackZstd } from "./_zstd.ts";
import { InputError } from "./errors.ts";
import { readBytes } from "./files.ts";

/** Endings of the names of packed files. */
export const packedEndings: readonly string[] = [".gz", ".zst"];

/** A file's name, in lower case, without the ending that says that it is packed: `train.jsonl` of `Train.jsonl.gz`. */
export function unpackedName(path: string): string {
  return path.toLowerCase().replace(/\.(gz|zst)$/, "");
}

/**
 * The bytes of a file, or those that it holds where its name ends in `.gz` or `.zst`, in pieces of at most 256 KiB: what
 * is unpacked is never held as a whole.
 *
 * @param options `streams`: a pipe or a device may stand in a file's place, where it is not packed
 * @throws {InputError} when it cannot be read, is not packed so, or is damaged
 */
export function readUnpacked(
  path: string,
  options: { readonly streams?: boolean } = {},
): AsyncIterable<Uint8Array> {
  const ending = path.toLowerCase().match(/\.[a-z]+$/)?.[0];
  return ending === ".gz"
    ? unpackGzip(path)
    : ending === ".zst"
    ? unpackZstd(checkedHead(path, [0x28, 0xb5, 0x2f, 0xfd], "Zstandard"), path)
    : readBytes(path, options);
}

async function* unpackGzip(path: string): AsyncGenerator<Uint8Array> {
  const unpacked = createGunzip();
  let cause: unknown;
  const source = async function* () {
    try {
      yield* checkedHead(path, [0x1f, 0x8b], "gzip");
    } catch (error) {
      cause = error;
      throw error;
    }
  };
  // What is wrong is thrown by the reading below.
  pipeline(Readable.from(source(), { objectMode: false }), unpacked, () => {});
  try {
    yield* unpacked;
  } catch (error) {
    if (cause) throw cause;
    const reason = (error as Error).message;
    throw new InputError(`Cannot read ${path}: its gzip data is damaged or not whole: ${reason}`, {
      cause: error,
    });
  }
}

/** The bytes of a file that must begin with some; of an empty file nothing. */
async function* checkedHead(
  path: string,
  magic: readonly number[],
  kind: string,
): AsyncGenerator<Uint8Array> {
  let first = true;
  for await (const chunk of readBytes(path)) {
    // Zstandard may begin with a frame to be skipped.
    const skipped = kind === "Zstandard" && chunk[1] === 0x2a && chunk[2] === 0x4d && chunk[3] === 0x18;
    if (first && !skipped && magic.some((byte, i) => chunk[i] !== byte)) {
      throw new InputError(
        `Cannot read ${path}: its name says that it holds ${kind} data: got something else`,
      );
    }
    first = false;
    yield chunk;
  }
  if (first) throw new InputError(`Cannot read ${path}: it must hold ${kind} data: got an empty file`);
}
