/**
 * Safetensors files: read one tensor at a time, written one tensor at a time.
 */

import { setImmediate } from "node:timers";
import { InputError } from "../runtime/errors.ts";
import { openFile, writeAtomic } from "../runtime/files.ts";
import { floatBytes, type FloatDtype, widen } from "../runtime/float_bytes.ts";
import { type Dtype, readHeader, tensorBytes, type TensorInfo, writeHeader } from "./_safetensors_header.ts";

export { type Dtype, type FloatDtype, tensorBytes, type TensorInfo };

/** Takes a piece of a tensor: bytes, their kind, and the place of the first number in the tensor. */
export type TakePiece = (bytes: Uint8Array, dtype: FloatDtype, at: number) => void;

/** Tensors that can be read by name: of one file, or of all the shards of a checkpoint. */
export interface TensorSource extends AsyncDisposable {
  /** Kind and shape by name, in the order of the files. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The header's free text. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The path of the file that holds a tensor. */
  pathOf(name: string): string;
  /** The bytes of a tensor as they are stored. */
  readBytes(name: string): Promise<Uint8Array>;
  /**
   * The numbers of an F32, F16 or BF16 tensor, widened exactly; into `target` where it is given. Throws InputError
   * for another dtype.
   */
  readFloats(name: string, target?: Float32Array): Promise<Float32Array>;
  /**
   * The stored bytes of such a tensor in pieces of whole numbers, in order, without memory for the whole: `take` gets
   * each with the place of its first number, and must be done with it when it returns. Throws InputError for another
   * dtype.
   */
  readPieces(name: string, take: TakePiece): Promise<void>;
  /** Gives the files back to the system. */
  close(): Promise<void>;
}

/** Bytes of a piece: few enough to stay in the caches until they are used. */
const pieceBytes = 4 * 1024 * 1024;
/** Bytes after which others have a turn, such as who waits for Ctrl-C. */
const pauseBytes = 64 * 1024 * 1024;

/** Opens a file and checks its header. Throws InputError, in one line, for a file that the format does not allow. */
export async function openSafetensors(path: string): Promise<TensorSource> {
  const file = await openFile(path);
  const header = await readHeader(file).catch(async (error) => {
    await file.close();
    throw error;
  });
  const place = (name: string) => {
    const found = header.tensors.get(name);
    if (!found) throw new InputError(`Cannot read ${path}: tensor "${name}" is missing`);
    return found;
  };
  const weight = (name: string) => {
    const { dtype, offset, bytes } = place(name);
    if (!isFloatDtype(dtype)) {
      throw new InputError(
        `Cannot read ${path}: tensor "${name}" must be F32, F16 or BF16 to be a weight: got ${dtype}`,
      );
    }
    return { dtype, offset, bytes };
  };
  const buffers: Uint8Array[] = [];
  let read = 0;
  const readPieces = async (name: string, take: TakePiece): Promise<void> => {
    const { dtype, offset, bytes } = weight(name);
    // Used again by the next tensor: on some machines fresh memory costs more than reading into it.
    const buffer = buffers.pop() ?? new Uint8Array(pieceBytes);
    for (let at = 0; at < bytes; at += pieceBytes) {
      const piece = buffer.subarray(0, Math.min(pieceBytes, bytes - at));
      file.readNow(offset + at, piece);
      take(piece, dtype, at / floatBytes[dtype]);
      read += piece.length;
      if (read < pauseBytes) continue;
      read = 0;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    buffers.push(buffer);
  };
  const readFloats = async (name: string, target?: Float32Array): Promise<Float32Array> => {
    const { dtype, offset, bytes } = weight(name), width = floatBytes[dtype];
    const values = target ?? new Float32Array(bytes / width);
    if (dtype === "F32") {
      await file.readInto(offset, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    } else {
      await readPieces(
        name,
        (piece, _, at) => widen(piece, dtype, values.subarray(at, at + piece.length / width)),
      );
    }
    return values;
  };
  const close = () => file.close();
  return {
    tensors: header.tensors,
    metadata: header.metadata,
    pathOf: () => path,
    readBytes: (name) => {
      const { offset, bytes } = place(name);
      return file.read(offset, bytes);
    },
    readFloats,
    readPieces,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A tensor to be written: its bytes are asked for when their turn comes. */
export interface TensorToWrite extends TensorInfo {
  /** Its name. */
  readonly name: string;
  /** Its bytes, little-endian; as many as shape and dtype say. */
  readonly bytes: () => Promise<Uint8Array> | Uint8Array;
}

/**
 * Writes a file atomically, holding one tensor at a time.
 *
 * Tensors of wider numbers come first, so that each begins at a multiple of its element's size; otherwise the order
 * is kept.
 *
 * @param options `metadata` of the header (default `{format: "pt"}`, without which transformers refuses a file)
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  options: { readonly metadata?: Readonly<Record<string, string>> | undefined } = {},
): Promise<void> {
  const width = (tensor: TensorInfo) => tensorBytes({ dtype: tensor.dtype, shape: [] });
  const ordered = tensors.toSorted((a, b) => width(b) - width(a));
  await writeAtomic(path, async (sink) => {
    const header = ordered.map((tensor): [string, TensorInfo] => [tensor.name, tensor]);
    await sink.write(writeHeader(header, options.metadata ?? { format: "pt" }));
    for (const tensor of ordered) {
      const bytes = await tensor.bytes(), expected = tensorBytes(tensor);
      if (bytes.byteLength !== expected) {
        throw new Error(`Tensor "${tensor.name}" has ${bytes.byteLength} bytes: expected ${expected}`);
      }
      await sink.write(bytes);
    }
  });
}

/** Whether numbers of a kind can be weights. */
export function isFloatDtype(dtype: string): dtype is FloatDtype {
  return Object.hasOwn(floatBytes, dtype);
}
