/**
 * Zstandard data (RFC 8878), unpacked a block of at most 128 KiB at a time: memory does not grow with what a small file
 * unpacks to. Frames are followed here and their blocks given to fzstd, whose own stream takes a piece with all that is
 * in it; `node:zlib`'s takes a file that breaks off for whole, and under Deno ends the process on a damaged one.
 */

import { InputError } from "./errors.ts";

/** The largest window, in bytes, that data may ask to keep: what `zstd -d` takes too. */
const MAX_WINDOW = 128 * 2 ** 20;
const MAX_BLOCK = 128 * 1024;
const MAGIC = 0xfd2fb528, SKIPPABLE = 0x184d2a50;

/**
 * The bytes that packed ones hold.
 *
 * @param path the file, for messages
 * @throws {InputError} for data that is damaged (by the frame's check sum too, where it has one), breaks off, needs a
 * dictionary or a window over 128 MiB
 */
export async function* unpackZstd(
  packed: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array> {
  const [{ Decompress }, { createXXHash64 }] = await Promise.all([import("fzstd"), import("hash-wasm")]);
  const hash = await createXXHash64(), input = new Taker(packed, path);
  try {
    while (!await input.ended()) {
      const magic = readNumber(await input.take(4));
      if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) {
        await input.skip(readNumber(await input.take(4)));
        continue;
      }
      if (magic !== MAGIC) throw input.damaged("other data where a frame must begin");
      const { head, checked } = await readHeader(input);
      const pieces: Uint8Array[] = [];
      const frame = new Decompress((piece) => pieces.push(piece));
      hash.init();
      let before = head;
      for (let last = false; !last;) {
        const blockHead = await input.take(3), bits = readNumber(blockHead), length = bits >> 3;
        last = (bits & 1) === 1;
        if (length > MAX_BLOCK) throw input.damaged(`a block of ${length} bytes`);
        const body = await input.take((bits >> 1 & 3) === 1 ? 1 : length);
        const sum = last && checked ? await input.take(4) : new Uint8Array();
        try {
          frame.push(joined([before, blockHead, body, sum]), last);
        } catch (error) {
          throw input.damaged((error as Error).message);
        }
        before = new Uint8Array();
        for (const piece of pieces.splice(0)) {
          hash.update(piece);
          if (piece.length > 0) yield piece.slice(); // the window is written over
        }
        // Big-endian; the frame keeps the lowest four bytes.
        const found = last && checked ? hash.digest("binary").slice(4).reverse() : undefined;
        if (found && readNumber(found) !== readNumber(sum)) throw input.damaged("its check sum differs");
      }
    }
  } finally {
    await input.close();
  }
}

/** A frame's header behind its magic number; throws where it asks for what is not read. */
async function readHeader(input: Taker): Promise<{ head: Uint8Array; checked: boolean }> {
  const first = await input.take(1), [descriptor = 0] = first;
  const single = descriptor >> 5 & 1, checked = (descriptor >> 2 & 1) === 1;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!, sizeFlag = descriptor >> 6;
  const windowByte = await input.take(1 - single);
  const dictionary = await input.take(dictionaryBytes);
  const size = await input.take(sizeFlag > 0 ? 1 << sizeFlag : single);
  if (readNumber(dictionary) !== 0) throw input.refused("it needs a dictionary, which is not read");
  const [exponent = 0] = windowByte;
  const window = single === 1
    ? readNumber(size) + (sizeFlag === 1 ? 256 : 0)
    : 2 ** (10 + (exponent >> 3)) * (1 + (exponent & 7) / 8);
  if (window > MAX_WINDOW) {
    throw input.refused(
      `it asks for a window of ${window / 2 ** 20} MiB, and at most ${MAX_WINDOW / 2 ** 20} are kept: ` +
        "pack it with a smaller one",
    );
  }
  const magic = new Uint8Array([0x28, 0xb5, 0x2f, 0xfd]);
  return { head: joined([magic, first, windowByte, dictionary, size]), checked };
}

/** Takes exact numbers of bytes off a stream. */
class Taker {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(packed: AsyncIterable<Uint8Array>, readonly path: string) {
    this.#chunks = packed[Symbol.asyncIterator]();
  }

  /** Whether nothing is left. */
  async ended(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) return true;
      this.#rest = value;
    }
    return false;
  }

  /** So many bytes. Throws where there are fewer. */
  async take(count: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let left = count; left > 0;) {
      if (await this.ended()) throw this.damaged("unexpected end of file");
      const part = this.#rest.subarray(0, left);
      parts.push(part);
      this.#rest = this.#rest.subarray(part.length);
      left -= part.length;
    }
    return joined(parts);
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0;) left -= (await this.take(Math.min(left, MAX_BLOCK))).length;
  }

  /** Lets go of the stream. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  refused(problem: string): InputError {
    return new InputError(`Cannot read ${this.path}: ${problem}`);
  }

  damaged(reason: string): InputError {
    return this.refused(`its Zstandard data is damaged or not whole: ${reason}`);
  }
}

/** A little-endian number. */
function readNumber(bytes: Uint8Array): number {
  return bytes.reduceRight((number, byte) => number * 256 + byte, 0);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
