/**
 * The header of a safetensors file: 8 bytes with its length (little-endian), then JSON that gives each tensor's
 * dtype, shape and place in the bytes that follow. Checked in full before memory is taken for any tensor.
 *
 * Source: the format's description at https://github.com/huggingface/safetensors.
 */

import { InputError } from "../runtime/errors.ts";
import type { RandomAccessFile } from "../runtime/files.ts";

/** A kind of number, by the format's name. */
export type Dtype =
  | ("BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "I16" | "U16" | "F16" | "BF16")
  | ("I32" | "U32" | "F32" | "F64" | "I64" | "U64" | "C64");

const elementBytes: Readonly<Record<Dtype, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
  C64: 8,
};

/** Kind and shape of a stored tensor; a scalar has the shape []. */
export interface TensorInfo {
  /** Kind of its numbers. */
  readonly dtype: Dtype;
  /** Size of each dimension, the last one contiguous. */
  readonly shape: readonly number[];
}

/** A tensor's place in its file. */
export interface TensorPlace extends TensorInfo {
  /** Its first byte, from the beginning of the file. */
  readonly offset: number;
  /** Its length in bytes. */
  readonly bytes: number;
}

/** What a header says. */
export interface Header {
  /** By name, in the order of the bytes. */
  readonly tensors: ReadonlyMap<string, TensorPlace>;
  /** Free text by key, such as `format`: `pt`. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Longest header that the format allows, in bytes. */
const longestHeader = 100_000_000;

/** Bytes of a tensor. */
export function tensorBytes({ dtype, shape }: TensorInfo): number {
  return shape.reduce((product, size) => product * size, elementBytes[dtype]);
}

/** Reads and checks the header of a file. Throws InputError, in one line, for anything the format does not allow. */
export async function readHeader(file: RandomAccessFile): Promise<Header> {
  const wrong = (what: string) => new InputError(`Cannot read ${file.path}: ${what}`);
  if (file.size < 8) throw wrong(`expected a safetensors file: it ends at byte ${file.size}`);
  const length = new DataView((await file.read(0, 8)).buffer).getBigUint64(0, true);
  if (length > longestHeader) {
    throw wrong(`header length must be at most ${longestHeader} bytes: got ${length}`);
  }
  const start = 8 + Number(length);
  if (start > file.size) {
    throw wrong(`header length must be at most the file's ${file.size - 8} further bytes: got ${length}`);
  }
  const json = parse(await file.read(8, Number(length)), wrong);
  const { __metadata__: metadata = {}, ...entries } = json;
  if (!isObject(metadata) || Object.values(metadata).some((value) => typeof value !== "string")) {
    throw wrong("header's __metadata__ must be an object of strings");
  }
  const tensors = Object.entries(entries).map(([name, entry]) => ({ name, ...place(name, entry, wrong) }));
  // Ties are empty tensors; they come before the one that begins at the same byte.
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = 0;
  for (const { name, offset, bytes } of tensors) {
    if (offset < end) {
      throw wrong(`tensor "${name}" overlaps another: it begins at byte ${offset}, expected ${end}`);
    }
    if (offset > end) {
      throw wrong(`tensor "${name}" leaves a hole: it begins at byte ${offset}, expected ${end}`);
    }
    end = offset + bytes;
  }
  if (end !== file.size - start) {
    throw wrong(`expected ${end} bytes of tensors after the header: got ${file.size - start}`);
  }
  return {
    metadata: metadata as Record<string, string>,
    tensors: new Map(
      tensors.map(({ name, dtype, shape, offset, bytes }) => [
        name,
        { dtype, shape, offset: start + offset, bytes },
      ]),
    ),
  };
}

/** The bytes of a header, its length first, padded with blanks so that the tensors begin at a multiple of 8. */
export function writeHeader(
  tensors: Iterable<readonly [string, TensorInfo]>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries: [string, unknown][] = [["__metadata__", metadata]];
  let end = 0;
  for (const [name, info] of tensors) {
    const begin = end;
    end += tensorBytes(info);
    entries.push([name, { dtype: info.dtype, shape: info.shape, data_offsets: [begin, end] }]);
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, 8);
  return bytes;
}

type Wrong = (what: string) => InputError;

function parse(bytes: Uint8Array, wrong: Wrong): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw wrong("expected a safetensors file: its header is not JSON");
  }
  if (!isObject(json)) throw wrong("expected a safetensors file: its header is not a JSON object");
  return json;
}

/** A tensor's entry; its offset is still the one after the header. */
function place(name: string, entry: unknown, wrong: Wrong): TensorPlace {
  const of = `tensor "${name}"`;
  if (!isObject(entry)) throw wrong(`${of} must be an object in the header`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn(elementBytes, dtype)) {
    throw wrong(`${of} has an unknown dtype: got ${JSON.stringify(dtype) ?? "nothing"}`);
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    throw wrong(`${of} must have a shape of sizes: got ${JSON.stringify(shape) ?? "nothing"}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize) || offsets[0] > offsets[1]) {
    throw wrong(`${of} must have data_offsets [begin, end]: got ${JSON.stringify(offsets) ?? "nothing"}`);
  }
  const info: TensorInfo = { dtype: dtype as Dtype, shape };
  const [begin, end] = offsets, expected = tensorBytes(info);
  if (end - begin !== expected) {
    throw wrong(
      `${of} of shape [${shape.join(", ")}] and dtype ${dtype} must have ${expected} bytes: got ${
        end - begin
      }`,
    );
  }
  return { ...info, offset: begin, bytes: expected };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
