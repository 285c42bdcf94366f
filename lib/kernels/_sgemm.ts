import { currentBackend } from "../backend/backend.ts";
import { wasmHeap } from "./_assembly.ts";

let base = 0;
let baseOf: ArrayBufferLike | undefined;

/**
 * C ← alpha·op(A)·op(B) + beta·C on the WASM heap, row-major, matrices by byte offset and row stride in elements:
 * the BLAS where there is one.
 */
export function sgemm(
  transposeA: boolean,
  transposeB: boolean,
  m: number,
  n: number,
  k: number,
  alpha: number,
  a: number,
  lda: number,
  b: number,
  ldb: number,
  beta: number,
  c: number,
  ldc: number,
): void {
  if (m === 0 || n === 0) return;
  const { blas } = currentBackend() as { blas?: import("../runtime/native.ts").NativeBlas };
  if (!blas) throw new Error("Products without a BLAS are not here yet");
  const { buffer } = wasmHeap().memory;
  if (buffer !== baseOf) { // the heap has grown: its address may be another
    base = blas.addressOf(buffer as ArrayBuffer);
    baseOf = buffer;
  }
  blas.sgemm(transposeA, transposeB, m, n, k, alpha, base + a, lda, base + b, ldb, beta, base + c, ldc);
}
