/** The ladder of the CPU's products: each kernel beside the one before it, on one thread. */
import { openCpu } from "../lib/backend/cpu.ts";
import type { CpuDevice } from "../lib/backend/device.ts";
import { SCRATCH } from "../lib/backend/threads.ts";
import fusedDots from "../lib/kernels/built/narrow_dots_fused.wasm.ts";
import plainDots from "../lib/kernels/built/narrow_dots.wasm.ts";
import fusedSgemm from "../lib/kernels/built/sgemm_fused.wasm.ts";
import plainSgemm from "../lib/kernels/built/sgemm.wasm.ts";
import { quantizeValues } from "../lib/kernels/product/quantize.ts";
import { Random } from "../lib/data/random.ts";
import { inTurn } from "./_peak.ts";

/** What is multiplied: y = x·Wᵀ, with so many of the rows of x. */
export interface Factors {
  /** W is [n, k]. */
  readonly n: number;
  /** Columns of x. */
  readonly k: number;
  /** W. */
  readonly wide: Float32Array;
  /** x, of as many rows as the largest product has. */
  readonly x: Float32Array;
  /** Copies of W that take turns, so that those of few rows come from memory, as in decoding. */
  readonly copies: number;
}

/** A product that can be timed and looked at. */
export interface Product {
  /** Computes it, with one of the copies of W. */
  once(copy: number): void;
  /** What it gave, [m, n]. */
  y(): Float32Array;
}

/** Products of so many rows, by their names. */
export type Products = (m: number) => Record<string, Product>;

/** Rows of x, by columns of a feed-forward projection of SmolLM2-135M: one sequence, a few, a batch, a training step. */
const ROWS = [1, 8, 96, 1536], n = 1536, k = 576;
const COPIES = 12;

/** Factors of normal numbers. */
export function factors(
  shape: { readonly n: number; readonly k: number },
  { rows, copies }: { readonly rows: number; readonly copies: number },
): Factors {
  const { n, k } = shape, random = new Random(1);
  const normal = (count: number) => Float32Array.from({ length: count }, () => random.normal());
  return { n, k, wide: normal(n * k), x: normal(rows * k), copies };
}

/** GFLOP/s (two operations a weight and row) of y = x·Wᵀ by each kernel that this engine and machine have. */
export async function products(): Promise<Record<string, number | string>> {
  const device = await openCpu("a benchmark", 1);
  const given = factors({ n, k }, { rows: Math.max(...ROWS), copies: COPIES });
  const all = ownProducts(device, given), found: Record<string, number | string> = { backend: device.reason };
  for (const m of ROWS) {
    for (const [name, rate] of Object.entries(await rates(given, m, all(m)))) {
      found[`${m} rows, ${name}, GFLOP/s`] = rate;
    }
  }
  return found;
}

/** GFLOP/s of products of m rows, taken in turn; copies of W take turns too. */
export async function rates(
  { n, k, copies }: Factors,
  m: number,
  products: Readonly<Record<string, Product>>,
): Promise<Record<string, number>> {
  const repeats = Math.max(1, Math.round(200 / m * (1536 * 576) / (n * k)));
  const runs: Record<string, () => void> = {};
  let turn = 0;
  for (const [name, { once }] of Object.entries(products)) {
    runs[name] = () => {
      for (let i = 0; i < repeats; i++) once(turn++ % copies);
    };
  }
  const times = Object.entries(await inTurn(9, runs));
  return Object.fromEntries(times.map(([name, ms]) => [name, 2 * m * n * k * repeats / ms / 1e6]));
}

/** A heap's bytes for values, and what is there. */
export function heapOf(device: CpuDevice) {
  const { memory } = device;
  return {
    put(values: Float32Array | Int32Array): number {
      const at = device.allocate(values.byteLength);
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
      return at;
    },
    numbers: (at: number, count: number) => new Float32Array(memory.buffer, at, count).slice(),
  };
}

/** Every kernel of ours, and the BLAS, on the thread that calls. */
export function ownProducts(device: CpuDevice, given: Factors): Products {
  const { n, k, wide, copies } = given, { threads, memory } = device, { put, numbers } = heapOf(device);
  const most = given.x.length / k, x = put(given.x);
  const y = device.allocate(4 * most * n), steps = device.allocate(most * (16 + 2 * k));
  const f32 = Array.from({ length: copies }, () => put(wide));
  const narrow = (["int8", "int4"] as const).map((dtype) => {
    const { words, scales } = quantizeValues(wide, [n, k], dtype);
    return { words: Array.from({ length: copies }, () => put(words)), scales: put(scales) };
  });
  return (m) => {
    const found: Record<string, Product> = {};
    const add = (name: string, once: (copy: number) => void) => {
      found[name] = { once, y: () => numbers(y, m * n) };
    };
    for (const [name, module] of [["plain", plainSgemm], ["fused", fusedSgemm]] as const) {
      if (!known(() => threads.module(module))) continue;
      const sgemm = threads.kernel(module, "sgemm"), { scratchBytes, dots } = threads.module(module);
      add(`f32 tiles, ${name}`, (copy) =>
        threads.alone(scratchBytes!(), (job) => {
          job.call(sgemm, ...[0, 1, m, n, k, 1, x, k, f32[copy]!, k, 0, y, n, SCRATCH]);
        }));
      if (m <= 12) add(`f32 dots, ${name}`, (copy) => dots!(m, n, k, 1, x, k, f32[copy]!, k, 0, y, n));
    }
    const { blas } = device;
    if (blas) {
      const base = blas.addressOf(memory.buffer as ArrayBuffer), [one, zero] = [1, 0];
      add("f32, BLAS", (copy) => {
        blas.sgemm(false, true, m, n, k, one, base + x, k, base + f32[copy]!, k, zero, base + y, n);
      });
    }
    for (const [name, module] of [["plain", plainDots], ["fused", fusedDots]] as const) {
      if (!known(() => threads.module(module))) continue;
      const { fineSteps, coarseSteps, dotBytes, dotNibbles } = threads.module(module);
      add(`int8 dots, ${name}`, (copy) => {
        fineSteps!(x, steps, m, k, k);
        dotBytes!(narrow[0]!.words[copy]!, narrow[0]!.scales, steps, y, m, n, k, n, 0);
      });
      add(`int4 dots, ${name}`, (copy) => {
        coarseSteps!(x, steps, m, k, k);
        dotNibbles!(narrow[1]!.words[copy]!, narrow[1]!.scales, steps, y, m, n, k, n, 0);
      });
    }
    return found;
  };
}

/** Whether the engine knows the instructions of a module. */
function known(load: () => unknown): boolean {
  try {
    load();
    return true;
  } catch {
    return false;
  }
}
