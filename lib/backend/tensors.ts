/** Making, reading and moving tensors: what is the same on every device. */

import { type Device, type Dtype, Tensor } from "./device.ts";
import { profile } from "./profile.ts";

function bytesOf(shape: readonly number[]): number {
  let bytes = 4;
  for (const length of shape) bytes *= length;
  return bytes;
}

/** A tensor whose contents are whatever its memory held: for outputs that a kernel writes whole. */
export function empty(device: Device, shape: readonly number[], dtype: Dtype = "float32"): Tensor {
  return new Tensor(shape, { dtype, device, slot: device.take(bytesOf(shape)) });
}

/** A tensor of zeros. */
export function zeros(device: Device, shape: readonly number[], dtype: Dtype = "float32"): Tensor {
  const made = empty(device, shape, dtype);
  fillZero(made);
  return made;
}

/**
 * A tensor of zeros outside the heap of the CPU, whose 4 GiB are all that kernels reach; on a GPU the same as
 * {@linkcode zeros}. It can be read, written and copied; kernels that take such a tensor say so.
 */
export function zerosOutside(device: Device, shape: readonly number[]): Tensor {
  return device.name === "wasm"
    ? new Tensor(shape, { dtype: "float32", device, slot: device.takeOutside(bytesOf(shape)) })
    : zeros(device, shape);
}

/** Sets every element to zero, in place. */
export function fillZero(tensor: Tensor): void {
  tensor.device.zero(tensor.slot);
}

/** A tensor with these values. */
export function upload(
  device: Device,
  values: Float32Array | Int32Array,
  shape: readonly number[],
): Tensor {
  if (values.byteLength !== bytesOf(shape)) {
    throw new Error(`Cannot make a tensor of shape [${shape.join(", ")}] of ${values.length} numbers`);
  }
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const dtype = values instanceof Int32Array ? "int32" : "float32";
  return new Tensor(shape, { dtype, device, slot: device.take(bytes.length, bytes) });
}

/** Puts the bytes of elements, a multiple of 4, into a tensor from element `offset` on. */
export function writeInto(tensor: Tensor, bytes: Uint8Array, offset: number): void {
  tensor.device.write(tensor.slot, bytes, 4 * offset);
}

/**
 * The values of a tensor. On WebGPU one readback, which costs about 10 ms in Deno, and the place where GPU errors
 * come out.
 */
export async function read(tensor: Tensor): Promise<Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>> {
  const { device, dtype, size } = tensor;
  if (device.name === "webgpu") profile.count("readback");
  const bytes = await device.read(tensor.slot, 4 * size);
  return dtype === "int32" ? new Int32Array(bytes) : new Float32Array(bytes);
}

/** What frees tensors: by `dispose`, or at the end of a `using` block. */
export interface Owner extends Disposable {
  /** Frees them. */
  dispose(): void;
}

/** The two names under which an owner's tensors are freed, to spread into it. */
export function owner(free: () => void): Owner {
  return { dispose: free, [Symbol.dispose]: free };
}

/** Puts the values of `source` into `target`, which keeps its memory, and frees `source`. */
export function assign(target: Tensor, source: Tensor): void {
  if (source.device !== target.device) {
    throw new Error(`Cannot copy a tensor of ${source.device.name} to ${target.device.name}`);
  }
  target.device.copy(source.slot, target.slot, { bytes: 4 * source.size });
  source.dispose();
}

/** One tensor with the elements of several vectors, one behind the other; they are freed. */
export function joined(parts: readonly Tensor[]): Tensor {
  const [first] = parts;
  if (!first) throw new Error("Cannot join no tensors");
  const whole = empty(first.device, [parts.reduce((sum, { size }) => sum + size, 0)], first.dtype);
  let at = 0;
  for (const part of parts) {
    first.device.copy(part.slot, whole.slot, { bytes: 4 * part.size, offset: 4 * at });
    at += part.size;
    part.dispose();
  }
  return whole;
}

/**
 * Does some work, at the end of which its tensors have owners; when it throws, those that it made and that are alive are
 * freed: an error in the middle of a layer leaves nothing behind, whatever the layer held. What was there before stays.
 *
 * @param work synchronous: tensors that others make meanwhile would be taken for its own
 */
export function freeOnError<T>({ live: { scopes } }: Device, work: () => T): T {
  const made = new Set<Tensor>(), outer = scopes.at(-1);
  scopes.push(made);
  try {
    return work();
  } catch (error) {
    // A tensor that is freed leaves the set.
    for (const tensor of [...made]) tensor.dispose();
    throw error;
  } finally {
    scopes.pop();
    if (outer) { for (const tensor of made) outer.add(tensor); }
  }
}
