import type * as tf from "@tensorflow/tfjs";
import { currentBackend } from "../backend/backend.ts";
import { type Binding, dispatch, type Program } from "../backend/dispatch.ts";
import { type GemmVariant, tiledGemm } from "./_gemm_tiled.ts";

/** The operands of one product: op(A) [m, k], op(B) [k, n], C [m, n], all row-major. */
export interface GemmOperands {
  readonly a: Binding;
  readonly b: Binding;
  readonly c: Binding;
  /** [n], added to every row of a product that is not accumulated. */
  readonly bias?: tf.Tensor;
}

/** Sizes and layout of one product. */
export interface GemmOptions {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** A lies as [k, m]. */
  readonly transposeA?: boolean;
  /** B lies as [n, k]. */
  readonly transposeB?: boolean;
  /** C ← C + op(A)·op(B) instead of C ← op(A)·op(B). */
  readonly add?: boolean;
  /** Elements from one row of C to the next; n by default. */
  readonly rowStride?: number;
  /** Column of C at which the product's first column lies; 0 by default. */
  readonly column?: number;
}

const programs = new Map<string, Program>();

/** C ← op(A)·op(B) (+ bias), or C ← C + op(A)·op(B), on the WebGPU backend: one launch. */
export function gemm(operands: GemmOperands, options: GemmOptions): void {
  const { m, n, k, transposeA = false, transposeB = false, add = false } = options;
  const { rowStride = n, column = 0 } = options;
  if (m === 0 || n === 0) return;
  const variant: GemmVariant = {
    transposeA,
    transposeB,
    epilogue: add ? "add" : operands.bias ? "bias" : "set",
    quadA: (transposeA ? m : k) % 4 === 0 && k > 0,
    quadB: (transposeB ? k : n) % 4 === 0 && k > 0,
    quadC: n % 4 === 0 && rowStride % 4 === 0 && column % 4 === 0,
    ...tileOf(m, n),
  };
  const key = Object.values(variant).join();
  let program = programs.get(key);
  if (!program) programs.set(key, program = tiledGemm(variant));
  const { a, b, c, bias } = operands;
  dispatch(program, {
    tensors: bias && !add ? { a, b, bias, c } : { a, b, c },
    params: { m, n, k, row_stride: rowStride, column },
    groups: [Math.ceil(n / variant.tileN), Math.ceil(m / variant.tileM)],
  });
}

function tileOf(m: number, n: number): Pick<GemmVariant, "tileM" | "tileN" | "blockM" | "blockN"> {
  void m, n, currentBackend;
  return { tileM: 64, tileN: 64, blockM: 4, blockN: 4 };
}
