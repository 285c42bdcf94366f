import { currentBackend } from "../backend/backend.ts";
import type { WasmHeap } from "../backend/wasm.ts";
import { assembly, wasmHeap } from "./_assembly.ts";
import module from "./assembly/sgemm.wasm.ts";

let base = 0;
let baseOf: ArrayBuffer | undefined;

/**
 * C ← alpha·op(A)·op(B) + beta·C on the WASM heap, row-major, matrices by byte offset and row stride in elements: by
 * the BLAS where there is one, by {@linkcode sgemmSimd} elsewhere.
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
  const active = currentBackend();
  const blas = active.name === "wasm" ? active.blas : undefined;
  if (!blas) {
    sgemmSimd(transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    return;
  }
  const buffer = wasmHeap().memory.buffer as ArrayBuffer;
  if (buffer !== baseOf) { // the heap has grown: its address may be another
    base = blas.addressOf(buffer);
    baseOf = buffer;
  }
  blas.sgemm(transposeA, transposeB, m, n, k, alpha, base + a, lda, base + b, ldb, beta, base + c, ldc);
}

/**
 * Runs something whose products are small with one BLAS thread. On 2 cores span attention of 48 responses of 120 tokens
 * took 47 ms with two threads and 28 with one: a product of a few 100,000 multiplications is over before the second
 * thread has come, and what it wrote lies in the other core's cache.
 */
export function onOneThread<T>(run: () => T): T {
  const active = currentBackend();
  const threads = active.name === "wasm" ? active.blas?.threads : undefined;
  if (!threads) return run();
  threads.set(1);
  try {
    return run();
  } finally {
    threads.set(threads.default);
  }
}

/**
 * Runs products of m×n×k with one BLAS thread where a side is as short as an adapter's rank and all is over within about
 * a millisecond. On 2 busy cores 3280×16×768 took 1.75 ms with two threads and 1.21 with one, 192×48×768 0.21 and 0.15.
 */
export function onOneThreadIfNarrow<T>(sizes: readonly [m: number, n: number, k: number], run: () => T): T {
  const narrow = Math.min(...sizes) <= 64 && sizes[0] * sizes[1] * sizes[2] <= 2 ** 26;
  return narrow ? onOneThread(run) : run();
}

const scratches = new WeakMap<WasmHeap, number>();

/** {@linkcode sgemm} by our own SIMD kernel, on one core: what machines without a BLAS use. */
export function sgemmSimd(
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
  const heap = wasmHeap(), kernels = assembly(module);
  let scratch = scratches.get(heap);
  // Kept for good: 0.3 MB, and a product is called thousands of times a step.
  if (scratch === undefined) scratches.set(heap, scratch = heap.allocate(kernels.scratchBytes()));
  kernels.sgemm(
    transposeA ? 1 : 0,
    transposeB ? 1 : 0,
    m,
    n,
    k,
    alpha,
    a,
    lda,
    b,
    ldb,
    beta,
    c,
    ldc,
    scratch,
  );
}
