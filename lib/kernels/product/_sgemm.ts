import type { CpuDevice, Device } from "../../backend/device.ts";
import type { NativeBlas, Sgemm } from "../../runtime/native.ts";
import { assembly } from "../_assembly.ts";
import module from "../built/sgemm.wasm.ts";

const products = new WeakMap<CpuDevice, Sgemm>();

/**
 * C ← alpha·op(A)·op(B) + beta·C on the heap of a device, row-major, matrices by byte offset and row stride in elements:
 * by the BLAS where there is one, by {@linkcode sgemmSimdOn} elsewhere.
 */
export function sgemmOn(device: CpuDevice): Sgemm {
  let product = products.get(device);
  if (!product) {
    products.set(device, product = device.blas ? byBlas(device, device.blas) : sgemmSimdOn(device));
  }
  return product;
}

function byBlas({ memory }: CpuDevice, blas: NativeBlas): Sgemm {
  let base = 0, baseOf: ArrayBuffer | undefined;
  return (transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) => {
    if (m === 0 || n === 0) return;
    if (memory.buffer !== baseOf) { // the heap has grown: its address may be another
      baseOf = memory.buffer as ArrayBuffer;
      base = blas.addressOf(baseOf);
    }
    blas.sgemm(transposeA, transposeB, m, n, k, alpha, base + a, lda, base + b, ldb, beta, base + c, ldc);
  };
}

/**
 * Runs something whose products are small with one BLAS thread. On 2 cores span attention of 48 responses of 120 tokens
 * took 47 ms with two threads and 28 with one: a product of a few 100,000 multiplications is over before the second
 * thread has come, and what it wrote lies in the other core's cache.
 */
export function onOneThread<T>(device: Device, run: () => T): T {
  const threads = device.name === "wasm" ? device.blas?.threads : undefined;
  if (!threads) return run();
  threads.set(1);
  try {
    return run();
  } finally {
    threads.set(threads.default);
  }
}

/**
 * Runs products of m×n×k with one BLAS thread where an adapter's rank is the n or k and all is over within about a
 * millisecond. On 2 cores 3280×16×768 took 1.53 ms with two threads and 1.30 with one, 3280×256×16 0.67 and 0.36.
 */
export function onOneThreadIfNarrow<T>(
  device: Device,
  { m, n, k }: Record<"m" | "n" | "k", number>,
  run: () => T,
): T {
  return Math.min(n, k) <= 64 && m * n * k <= 2 ** 26 ? onOneThread(device, run) : run();
}

/**
 * C ← A·Bᵀ + beta·C for a few rows of A, as {@linkcode sgemmOn}. OpenBLAS shares the rows out among its threads and
 * multiplies full blocks of them faster: rows are filled up to a multiple of 16 in scratch. Of a B of 3072×512 out of the
 * caches, in ms on 2 cores, one thread / two / filled up: 6 rows 0.93 / 0.74 / 0.60, 12 rows 0.93 / 1.22 / 0.60, 24 rows
 * 1.33 / 1.07 / 0.86.
 */
export function sgemmFewRows(
  heap: CpuDevice,
  { m, n, k }: Record<"m" | "n" | "k", number>,
  { a, b, beta, c }: Record<"a" | "b" | "beta" | "c", number>,
): void {
  const full = Math.ceil(m / 16) * 16, sgemm = sgemmOn(heap);
  const threads = heap.blas?.threads ? heap.blas.threads.default : 1;
  if (m < 3 || m > 48 || full === m || n * k < 2 ** 18 || threads === 1) {
    return sgemm(false, true, m, n, k, 1, a, k, b, k, beta, c, n);
  }
  const scratch = heap.allocate(4 * full * (k + n)), out = scratch + 4 * full * k;
  const floats = new Float32Array(heap.memory.buffer);
  floats.copyWithin(scratch / 4, a / 4, a / 4 + m * k);
  floats.fill(0, scratch / 4 + m * k, scratch / 4 + full * k);
  if (beta !== 0) floats.copyWithin(out / 4, c / 4, c / 4 + m * n);
  sgemm(false, true, full, n, k, 1, scratch, k, b, k, beta, out, n);
  floats.copyWithin(c / 4, out / 4, out / 4 + m * n);
  heap.free(scratch);
}

/** {@linkcode sgemmOn} by our own SIMD kernel, on one core: what machines without a BLAS use. */
export function sgemmSimdOn(device: CpuDevice): Sgemm {
  const kernels = assembly(device, module);
  // Kept for good: 0.3 MB, and a product is called thousands of times a step.
  const scratch = device.allocate(kernels.scratchBytes!());
  return (transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) => {
    if (m === 0 || n === 0) return;
    const ta = transposeA ? 1 : 0, tb = transposeB ? 1 : 0;
    kernels.sgemm!(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, scratch);
  };
}
