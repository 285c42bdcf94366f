import type { Device, Tensor } from "../../backend/device.ts";
import { type Owner, owner, upload } from "../../backend/tensors.ts";
import { narrow } from "../../runtime/float_bytes.ts";

/**
 * How a frozen matrix is kept, its rows filled up with zeros to a multiple of 32 columns:
 *
 * | | a weight | bytes a weight |
 * |---|---|---|
 * | `f16` | IEEE half, rounded to the nearest | 2 |
 * | `int8` | q·s, q from −127 to 127, s = max|row|/127, one s a row | 1 |
 * | `int4` | q·s, q from −7 to 7, s = max|block|/7, one s for 32 weights of a row | 0.625 |
 *
 * So |error| ≤ s/2.
 */
export type QuantizedDtype = "f16" | "int8" | "int4";

/** A frozen matrix [out, in] on the device. */
export interface QuantizedMatrix extends Owner {
  /** How its weights are kept. */
  readonly dtype: QuantizedDtype;
  /** out. */
  readonly rows: number;
  /** in. */
  readonly columns: number;
  /** 2, 4 or 8 weights a word, the first in the lowest bits; int4 keeps q + 8. [out, ⌈in/32⌉·32/weights a word] int32 */
  readonly words: Tensor;
  /** [out] with int8, [out, ⌈in/32⌉] with int4; one unused number with f16. */
  readonly scales: Tensor;
}

/** Weights of one scale with int4, and what rows are filled up to a multiple of. */
export const BLOCK = 32;

/** Weights of a 32-bit word. */
export const weightsPerWord: Readonly<Record<QuantizedDtype, number>> = { f16: 2, int8: 4, int4: 8 };

/** Columns with the filling. */
export function paddedColumns(columns: number): number {
  return Math.ceil(columns / BLOCK) * BLOCK;
}

function scaleCount(rows: number, columns: number, dtype: QuantizedDtype): number {
  return dtype === "f16" ? 1 : dtype === "int8" ? rows : rows * paddedColumns(columns) / BLOCK;
}

/** Bytes of a quantised matrix, its scales included. */
export function quantizedBytes([rows, columns]: readonly [number, number], dtype: QuantizedDtype): number {
  return 4 * (rows * paddedColumns(columns) / weightsPerWord[dtype] + scaleCount(rows, columns, dtype));
}

/** Words and scales of a matrix, on the host. */
export function quantizeValues(
  values: Float32Array,
  [rows, columns]: readonly [number, number],
  dtype: QuantizedDtype,
): { words: Int32Array; scales: Float32Array } {
  const padded = paddedColumns(columns), scales = new Float32Array(scaleCount(rows, columns, dtype));
  const bytes = new Uint8Array(rows * padded * (4 / weightsPerWord[dtype]));
  const words = new Int32Array(bytes.buffer);
  if (dtype === "f16") {
    for (let r = 0; r < rows; r++) {
      bytes.set(narrow(values.subarray(r * columns, (r + 1) * columns), "F16"), 2 * r * padded);
    }
    return { words, scales };
  }
  const signed = new Int8Array(bytes.buffer);
  for (let r = 0; r < rows; r++) {
    const step = dtype === "int8" ? columns : BLOCK, most = dtype === "int8" ? 127 : 7;
    for (let from = 0; from < columns; from += step) {
      const to = Math.min(columns, from + step), start = r * columns;
      let largest = 0;
      for (let c = from; c < to; c++) largest = Math.max(largest, Math.abs(values[start + c]));
      const at = dtype === "int8" ? r : (r * padded + from) / BLOCK;
      scales[at] = largest / most;
      const inverse = scales[at] === 0 ? 0 : 1 / scales[at];
      const limit = (q: number) => Math.max(-most, Math.min(most, q));
      for (let c = from; c < to; c++) {
        const q = limit(Math.round(values[start + c] * inverse)), place = r * padded + c;
        if (dtype === "int8") signed[place] = q;
        else bytes[place >> 1] |= (q + 8) << 4 * (c & 1);
      }
    }
    if (dtype === "int4") { // the filling is zero, which is kept as 8
      for (let c = columns; c < padded; c++) bytes[(r * padded + c) >> 1] |= 8 << 4 * (c & 1);
    }
  }
  return { words, scales };
}

/**
 * Puts a matrix on the device in fewer bits.
 *
 * @param values [out, in] row-major
 */
export function quantize(
  device: Device,
  values: Float32Array,
  { shape, dtype }: { readonly shape: readonly [number, number]; readonly dtype: QuantizedDtype },
): QuantizedMatrix {
  const { words, scales } = quantizeValues(values, shape, dtype);
  const tensors = {
    words: upload(device, words, [words.length]),
    scales: upload(device, scales, [scales.length]),
  };
  return {
    dtype,
    rows: shape[0],
    columns: shape[1],
    ...tensors,
    ...owner(() => Object.values(tensors).forEach((t) => t.dispose())),
  };
}
