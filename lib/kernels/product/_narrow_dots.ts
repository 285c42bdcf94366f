import type { CpuDevice, Tensor } from "../../backend/device.ts";
import { profile } from "../../backend/profile.ts";
import { cpuOf } from "../_assembly.ts";
import { overRows } from "../_over_rows.ts";
import fused from "../built/narrow_dots_fused.wasm.ts";
import plain from "../built/narrow_dots.wasm.ts";
import { paddedColumns, type QuantizedMatrix } from "./quantize.ts";

/** How rows are rounded beside one kind of weights, and multiplied by them. */
interface Dots {
  /** Text of the module with both kernels. */
  readonly module: string;
  readonly round: "fineSteps" | "coarseSteps";
  readonly multiply: "dotBytes" | "dotNibbles";
  /** Bytes of a rounded row of so many columns. */
  readonly bytes: (columns: number) => number;
  /** Bytes of a row of weights, and of its scales. */
  readonly weights: (columns: number) => readonly [words: number, scales: number];
}

const devices = new WeakMap<CpuDevice, Readonly<Record<"int8" | "int4", Dots>>>();

/**
 * Which kernels an engine is given: what it does is looked at, not timed. 8 bits take the instruction that adds four
 * products of bytes where it is one of the processor's, since they need it twice; 4 bits wherever the engine knows it.
 */
function dotsOn(device: CpuDevice): Readonly<Record<"int8" | "int4", Dots>> {
  let dots = devices.get(device);
  if (!dots) {
    const fuses = lookAt(device);
    dots = {
      int8: {
        module: fuses ? fused : plain,
        ...{ round: "fineSteps", multiply: "dotBytes" },
        ...{ bytes: (columns) => 16 + 2 * columns, weights: (columns) => [columns, 4] },
      },
      int4: {
        module: fuses === undefined ? plain : fused,
        ...{ round: "coarseSteps", multiply: "dotNibbles" },
        ...{
          bytes: (columns) => 48 * columns / 32,
          weights: (columns) => [columns / 2, 4 * columns / 32],
        },
      },
    };
    devices.set(device, dots);
  }
  return dots;
}

/** Whether the processor has the instruction; nothing where the engine does not know it. */
function lookAt({ threads }: CpuDevice): boolean | undefined {
  try {
    return threads.module(fused).fuses!() !== 0;
  } catch {
    return undefined;
  }
}

/** Nanoseconds of a product of one row with one weight, about, and of rounding a number. */
const PRODUCT = 0.06, ROUNDING = 3;

/**
 * y = x·Wᵀ (+ y with `add`), x rounded first: beside int8 to 8,127 steps of a row's largest number, beside int4 to 127
 * steps of the largest of 32 numbers. What follows are sums of whole numbers and one factor for each (each block), so a
 * row's result depends neither on the number of threads nor on the rows beside it.
 */
export function dotsOfRounded(
  x: Tensor,
  weight: QuantizedMatrix & { readonly dtype: "int8" | "int4" },
  { y, add }: { readonly y: Tensor; readonly add: boolean },
): void {
  const { dtype, words, scales, rows, columns } = weight, device = cpuOf(x), at = device.pointer;
  const m = x.shape[0]!, stride = paddedColumns(columns);
  const { module, round, multiply, bytes, weights } = dotsOn(device)[dtype];
  const rounded = device.allocate(m * bytes(stride)), [wordBytes, scaleBytes] = weights(stride);
  try {
    profile.run(`dots_${dtype}`, () => {
      overRows(device, { kernel: [module, round], rows: m, each: ROUNDING * columns }, (from, count) => [
        ...[at(x) + 4 * from * columns, rounded + from * bytes(stride), count, columns, stride],
      ]);
      const each = PRODUCT * m * columns;
      overRows(device, { kernel: [module, multiply], rows, each, step: 2 }, (from, count) => [
        ...[at(words) + from * wordBytes, at(scales) + from * scaleBytes, rounded, at(y) + 4 * from],
        ...[m, count, stride, rows, add ? 1 : 0],
      ]);
    });
  } finally {
    device.free(rounded);
  }
}
