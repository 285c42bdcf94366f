import type * as tf from "@tensorflow/tfjs";
import { currentBackend } from "../backend/backend.ts";
import { type Binding, dispatch, type Program } from "../backend/dispatch.ts";
import { profile } from "../backend/profile.ts";
import { wasmHeap } from "./_assembly.ts";
import { type GemmVariant, tiledGemm } from "./_gemm_tiled.ts";
import { sgemm } from "./_sgemm.ts";

/** The operands of one product: op(A) [m, k], op(B) [k, n], C [m, n], all row-major without gaps. */
export interface GemmOperands {
  readonly a: Binding;
  readonly b: Binding;
  readonly c: Binding;
  /** [n], added to every row of a product that is not accumulated. WebGPU only. */
  readonly bias?: tf.Tensor;
}

/** Sizes and layout of one product; k > 0. */
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
}

const programs = new Map<string, Program>();

/** C ← op(A)·op(B) (+ bias), or C ← C + op(A)·op(B), on tensors or runs of their rows: one launch. */
export function gemm(operands: GemmOperands, options: GemmOptions): void {
  const { a, b, c, bias } = operands;
  const { m, n, k, transposeA = false, transposeB = false, add = false } = options;
  if (m === 0 || n === 0) return;
  if (currentBackend().name === "wasm") {
    const lda = transposeA ? m : k, ldb = transposeB ? k : n;
    profile.run("sgemm", () =>
      sgemm(
        transposeA,
        transposeB,
        m,
        n,
        k,
        1,
        heapPointer(a),
        lda,
        heapPointer(b),
        ldb,
        add ? 1 : 0,
        heapPointer(c),
        n,
      ));
    return;
  }
  const variant: GemmVariant = {
    transposeA,
    transposeB,
    epilogue: add ? "add" : bias ? "bias" : "set",
    quadA: (transposeA ? m : k) % 4 === 0,
    quadB: (transposeB ? k : n) % 4 === 0,
    quadC: n % 4 === 0,
    ...tileOf(m, n),
  };
  const key = Object.values(variant).join();
  let program = programs.get(key);
  if (!program) programs.set(key, program = tiledGemm(variant));
  dispatch(program, {
    tensors: variant.epilogue === "bias" ? { a, b, bias: bias!, c } : { a, b, c },
    params: { m, n, k },
    groups: [Math.ceil(n / variant.tileN), Math.ceil(m / variant.tileM)],
  });
}

/**
 * The tile of C a workgroup computes, and a thread's block of it. Blocks of 8×8 halve the reads of workgroup memory
 * that 4×4 needs: on software Vulkan 7.5 against 3 GFLOP/s at 1640×384×128, and what GPUs prefer too. Flat tiles
 * keep products of few rows, as in decoding, from multiplying rows that are not there.
 */
function tileOf(m: number, n: number): Pick<GemmVariant, "tileM" | "tileN" | "blockM" | "blockN"> {
  if (m <= 8) return { tileM: 8, tileN: 128, blockM: 8, blockN: 4 };
  if (m <= 16) return { tileM: 16, tileN: 128, blockM: 8, blockN: 8 };
  // Up to 128 rows, half a tile of nothing at the end would cost a quarter and more.
  const last = m % 64;
  if (m < 128 && last > 0 && last <= 32) return { tileM: 32, tileN: 64, blockM: 8, blockN: 8 };
  if (n <= 32) return { tileM: 64, tileN: 32, blockM: 8, blockN: 8 };
  return { tileM: 64, tileN: 64, blockM: 8, blockN: 8 };
}

/** Byte offset on the WASM heap of a tensor or of a run of its elements. */
export function heapPointer(binding: Binding): number {
  return "tensor" in binding
    ? wasmHeap().pointer(binding.tensor) + binding.offset * 4
    : wasmHeap().pointer(binding as tf.Tensor);
}

/**
 * `count` rows of a matrix from row `from` on. On WebGPU `from` must be a multiple of 64 (or 0): then any row length
 * starts on the 256-byte boundary that a binding needs.
 */
export function rowsOf(matrix: tf.Tensor, from: number, count: number): Binding {
  const [rows, width = 1] = matrix.shape;
  return from === 0 && count === rows
    ? matrix
    : { tensor: matrix, offset: from * width, length: count * width };
}
