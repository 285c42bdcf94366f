/** Tensors that kernels are measured and compared on: the same numbers on every device. */

import type { Device, Tensor } from "../../lib/backend/device.ts";
import { upload, zeros } from "../../lib/backend/tensors.ts";
import { Random } from "../../lib/data/random.ts";

/** A prime number of normal numbers, repeated where more are asked for. */
const noise = (() => {
  const random = new Random(1, { stream: "noise" });
  return Float32Array.from({ length: 65_521 }, () => random.normal());
})();

/** Normal numbers, the same for the same arguments. */
export function normals(count: number, { from = 0, deviation = 1 } = {}): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  let at = from * 7919 % noise.length;
  for (let done = 0; done < count;) {
    const part = noise.subarray(at, at + Math.min(noise.length - at, count - done));
    values.set(part, done);
    done += part.length;
    at = 0;
  }
  if (deviation !== 1) { for (let i = 0; i < count; i++) values[i]! *= deviation; }
  return values;
}

/** Inputs of one kernel on a device, freed together. */
export class Inputs implements Disposable {
  readonly #made: { dispose(): void }[] = [];

  constructor(readonly device: Device) {}

  /** Keeps something to be freed with the others. */
  own<T extends { dispose(): void }>(made: T): T {
    this.#made.push(made);
    return made;
  }

  /** Normal numbers, others for each tensor of the kernel. */
  normal(...shape: number[]): Tensor {
    const count = shape.reduce((a, b) => a * b, 1);
    return this.own(upload(this.device, normals(count, { from: 1 + this.#made.length }), shape));
  }

  /** Zeros. */
  zeros(...shape: number[]): Tensor {
    return this.own(zeros(this.device, shape));
  }

  /** Whole numbers. */
  integers(values: Int32Array): Tensor {
    return this.own(upload(this.device, values, [values.length]));
  }

  /** Frees all. */
  [Symbol.dispose](): void {
    this.#made.splice(0).forEach((made) => made.dispose());
  }
}

/** Whole numbers from 0 to below `limit`, the same for the same arguments. */
export function integersBelow(limit: number, count: number): Int32Array<ArrayBuffer> {
  const random = new Random(2);
  return Int32Array.from({ length: count }, () => random.integer(limit));
}
