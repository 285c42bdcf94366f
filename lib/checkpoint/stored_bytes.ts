import { quantizedBytes, type QuantizedDtype } from "../kernels/product/quantize.ts";

/** How the matrices of a frozen base are kept. */
export type BaseDtype = "f32" | QuantizedDtype;

/** Whether a parameter can be kept narrow: the matrices of the layers; embedding, head, norms and biases stay f32. */
export function isQuantizable(name: string, shape: readonly number[]): boolean {
  return shape.length === 2 && name.startsWith("layers.");
}

/** Bytes of a matrix [out, in] in a dtype, its scales included. */
export function storedBytes(shape: readonly [number, number], dtype: BaseDtype): number {
  return dtype === "f32" ? 4 * shape[0] * shape[1] : quantizedBytes(shape, dtype);
}
