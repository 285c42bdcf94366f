import type { CpuDevice } from "../../backend/device.ts";
import type { AssemblyKernels } from "../../backend/instantiate.ts";
import { type Job, NATIVE_PRODUCT, SCRATCH } from "../../backend/threads.ts";
import type { Sgemm } from "../../runtime/native.ts";
import fused from "../built/sgemm_fused.wasm.ts";
import plain from "../built/sgemm.wasm.ts";

type Kernel = AssemblyKernels[string];

/** A product on one thread: its number, and the scratch that it needs there. */
interface Product {
  readonly kernel: number;
  readonly scratchBytes: number;
  /** Our product A·Bᵀ of few rows, which needs no scratch and copies nothing, and up to how many it is used. */
  readonly few: { readonly kernel: number; readonly rows: number; readonly call: Kernel };
}

/**
 * Up to how many rows a product A·Bᵀ is made of dot products, without a BLAS and with one: with 1, 2 and 6 rows of 1536×576
 * on one core 11, 14 and 27 GFLOP/s, OpenBLAS 5, 9 and 17.
 */
const FEW_ROWS = 12, FEW_ROWS_WITH_BLAS = 6;

const products = new WeakMap<CpuDevice, Product>();
const shared = new WeakMap<CpuDevice, Sgemm>();

/**
 * C ← alpha·op(A)·op(B) + beta·C on the heap of a device, row-major, matrices by byte offset and row stride in elements:
 * by the BLAS where there is one, by {@linkcode ownSgemmOn} elsewhere. What is large enough is shared out among the
 * threads; our own kernel sums every element up in the same order for any number of them.
 */
export function sgemmOn(device: CpuDevice): Sgemm {
  let sgemm = shared.get(device);
  if (!sgemm) shared.set(device, sgemm = sharedOut(device, productOf(device)));
  return sgemm;
}

/** {@linkcode sgemmOn} by our own SIMD kernel: what machines without a BLAS use. */
export function ownSgemmOn(device: CpuDevice): Sgemm {
  return sharedOut(device, ownProduct(device));
}

/** Bytes that {@linkcode sgemmIn} needs of a thread's scratch. */
export function sgemmScratch(device: CpuDevice): number {
  return productOf(device).scratchBytes;
}

/** Products as calls of a unit of a job; the first bytes of each thread's scratch are theirs. */
export function sgemmIn(device: CpuDevice, job: Job): Sgemm {
  return callsOf(productOf(device), job);
}

function productOf(device: CpuDevice): Product {
  let product = products.get(device);
  if (!product) {
    product = ownProduct(device);
    if (device.blas) {
      const few = { ...product.few, rows: FEW_ROWS_WITH_BLAS };
      product = { kernel: NATIVE_PRODUCT, scratchBytes: 0, few };
    }
    products.set(device, product);
  }
  return product;
}

/**
 * The kernel with fused multiplications where the engine has an instruction for them, which does twice the work (V8 on
 * x86 and ARM: 1.3 times as fast as the plain one here), and the plain one elsewhere. What the engine does is looked at,
 * not timed: the same machine always gives the same numbers.
 */
function ownProduct({ threads }: CpuDevice): Product {
  const module = isFused(threads) ? fused : plain;
  return {
    kernel: threads.kernel(module, "sgemm"),
    few: {
      kernel: threads.kernel(module, "dots"),
      rows: FEW_ROWS,
      call: threads.module(module).dots!,
    },
    scratchBytes: threads.module(module).scratchBytes!(),
  };
}

function isFused(threads: CpuDevice["threads"]): boolean {
  try {
    return threads.module(fused).fuses!() !== 0;
  } catch {
    return false; // an engine that does not know the instruction refuses the module
  }
}

/** @param rows of the whole product of which these are parts, by which its kernel is chosen; each product's own by default */
function callsOf({ kernel, scratchBytes, few }: Product, job: Job, rows?: number): Sgemm {
  return (ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) => {
    if (m === 0 || n === 0) return;
    if (!ta && tb && (rows ?? m) <= few.rows && k > 0) {
      return job.call(few.kernel, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    }
    const left = ta ? 1 : 0, right = tb ? 1 : 0;
    if (scratchBytes === 0) {
      return job.call(kernel, left, right, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    }
    job.call(kernel, left, right, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, SCRATCH);
  };
}

/** Multiplications of a product that are worth a second thread: some 20 µs, twice what handing it over takes. */
const WORTH = 2 ** 19;
/** Rows of A from which a product is cut by rows; with fewer, by columns. */
const TALL = 96;
/** Most rows of a part, whose block of A then stays in a core's cache, and what parts are multiples of: tiles. */
const PART_ROWS = 240, TILE_ROWS = 24, TILE_COLUMNS = 32;

function sharedOut(device: CpuDevice, product: Product): Sgemm {
  const { threads } = device;
  return (ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) => {
    const [byRows, size] = partsOf({ m, n, k }, threads.count, device.blas !== undefined);
    if (!ta && tb && m <= product.few.rows && k > 0 && size >= (byRows ? m : n)) {
      product.few.call(m, n, k, alpha, a, lda, b, ldb, beta, c, ldc); // nothing to write down: decoding has many
      return;
    }
    const run = size >= (byRows ? m : n) ? threads.alone : threads.run;
    run(product.scratchBytes, (job) => {
      const sgemm = callsOf(product, job, m);
      for (let from = 0; from < (byRows ? m : n); from += size) {
        job.unit();
        if (byRows) {
          const rows = Math.min(size, m - from), partA = a + 4 * from * (ta ? 1 : lda);
          sgemm(ta, tb, rows, n, k, alpha, partA, lda, b, ldb, beta, c + 4 * from * ldc, ldc);
        } else {
          const columns = Math.min(size, n - from), partB = b + 4 * from * (tb ? ldb : 1);
          sgemm(ta, tb, m, columns, k, alpha, a, lda, partB, ldb, beta, c + 4 * from, ldc);
        }
      }
    });
  };
}

/**
 * Whether a product is cut by rows of C or by its columns, and how many make a part. Each part packs what all parts
 * share once more, so parts are as large as leaves every thread two or more; a BLAS likes them larger still.
 */
function partsOf(
  { m, n, k }: Record<"m" | "n" | "k", number>,
  threads: number,
  blas: boolean,
): [byRows: boolean, size: number] {
  const byRows = m >= Math.min(n, TALL), length = byRows ? m : n;
  if (threads === 1 || m * n * k < WORTH) return [byRows, length];
  const tile = byRows ? TILE_ROWS : TILE_COLUMNS, parts = blas ? threads : 2 * threads;
  const size = Math.max(tile, Math.ceil(length / parts / tile) * tile);
  return [byRows, byRows && !blas ? Math.min(size, PART_ROWS) : size];
}
