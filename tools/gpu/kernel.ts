import type { Device, Tensor } from "../../lib/backend/device.ts";
import type { Shape } from "./shapes.ts";

/** One operation at one size on a device, ready to be called again and again. */
export interface Prepared {
  /** Its sizes, as people write them. */
  readonly shape: string;
  /** Operations of its formula. */
  readonly flops: number;
  /** Bytes of its inputs and outputs, each once. */
  readonly bytes: number;
  /** Launches it; returns what it made, for the caller to free. */
  call(): Tensor[];
  /** What it changes in place, beside what it returns. */
  readonly changed?: readonly Tensor[];
  /** Frees its inputs. */
  dispose(): void;
}

/** An operation of `lib/kernels` with inputs of any size. */
export interface Kernel {
  /** Its name. */
  readonly name: string;
  /** Its inputs on a device. */
  readonly prepare: (device: Device, shape: Shape) => Prepared;
  /** The largest error beside the CPU's result that passes, as `KernelCheck` measures it. Default 1e-4. */
  readonly tolerance?: number;
}

/** Bytes of so many numbers. */
export function numbers(...counts: readonly number[]): number {
  return 4 * counts.reduce((a, b) => a + b, 0);
}
