import type { Device, Tensor } from "../backend/device.ts";
import type { Binding } from "../backend/dispatch.ts";

/** Elements of 4 bytes in the 256 bytes on whose boundary a binding must start. */
const BOUNDARY = 64;

/**
 * What runs of rows of that width are a multiple of: 64, with which rows of any width start on a boundary, and with
 * them what has one element a row, as a bias; where 64 rows do not fit, as few as start on one, but a multiple of 4,
 * since they may be another matrix's columns, which are read by vec4.
 */
function stepOf(width: number, most: number): number {
  if (BOUNDARY * width <= most) return BOUNDARY;
  let common = 1; // greatest common divisor of the width and 64
  while (common < BOUNDARY && width % (2 * common) === 0) common *= 2;
  return Math.max(4, BOUNDARY / common);
}

/** A run of rows, or of elements. */
export interface Run {
  readonly from: number;
  readonly count: number;
}

/** Most elements of 4 bytes that one binding holds: maxStorageBufferBindingSize on WebGPU, no bound on WASM. */
export function bindingElements(device: Device): number {
  return device.name === "webgpu" ? device.limits.maxStorageBufferBindingSize / 4 : Infinity;
}

/**
 * Cuts the rows of a matrix into runs that each fit a binding: one run for nearly every matrix; an embedding of 152,000
 * rows of 256 takes two where a binding holds 128 MiB.
 *
 * @param width elements of a row; 1 cuts a tensor of any shape by elements
 */
export function rowBlocks(device: Device, rows: number, width: number): Run[] {
  const most = bindingElements(device);
  if (rows * width <= most) return [{ from: 0, count: rows }];
  // A row too long for its block is refused by the dispatcher, which names the limit.
  const least = stepOf(width, most), step = Math.max(least, Math.floor(most / width / least) * least);
  const runs: Run[] = [];
  for (let from = 0; from < rows; from += step) runs.push({ from, count: Math.min(step, rows - from) });
  return runs;
}

/**
 * `count` rows of a matrix from row `from` on. On WebGPU they must start on a 256-byte boundary: with `from` from
 * {@linkcode rowBlocks} or a multiple of 64 they do.
 */
export function rowsOf(matrix: Tensor, from: number, count: number): Binding {
  const [rows, width = 1] = matrix.shape;
  return from === 0 && count === rows
    ? matrix
    : { tensor: matrix, offset: from * width, length: count * width };
}

/** A run of the elements of a tensor of any shape. */
export function elementsOf(tensor: Tensor, { from, count }: Run): Binding {
  return count === tensor.size ? tensor : { tensor, offset: from, length: count };
}
