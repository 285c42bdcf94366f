/** The ladder of the CPU's products: each kernel beside the one before it, on one thread. */
import { openCpu } from "../lib/backend/cpu.ts";
import { SCRATCH } from "../lib/backend/threads.ts";
import fusedDots from "../lib/kernels/built/narrow_dots_fused.wasm.ts";
import plainDots from "../lib/kernels/built/narrow_dots.wasm.ts";
import fusedSgemm from "../lib/kernels/built/sgemm_fused.wasm.ts";
import plainSgemm from "../lib/kernels/built/sgemm.wasm.ts";
import { quantizeValues } from "../lib/kernels/product/quantize.ts";
import { Random } from "../lib/data/random.ts";
import { inTurn } from "./_peak.ts";

/** Rows of x, by columns of a feed-forward projection of SmolLM2-135M: one sequence, a few, a batch, a training step. */
const ROWS = [1, 8, 96, 1536], n = 1536, k = 576;
/** Copies of the weights that take turns, so that those of few rows come from memory, as in decoding. */
const COPIES = 12;

/** GFLOP/s (two operations a weight and row) of y = x·Wᵀ by each kernel that this engine and machine have. */
export async function products(): Promise<Record<string, number | string>> {
  const device = await openCpu("a benchmark", 1), { threads, memory } = device, random = new Random(1);
  const put = (values: Float32Array | Int32Array) => {
    const at = device.allocate(values.byteLength);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
    return at;
  };
  const normal = (count: number) => Float32Array.from({ length: count }, () => random.normal());
  const wide = normal(n * k), most = Math.max(...ROWS), x = put(normal(most * k));
  const y = device.allocate(4 * most * n), steps = device.allocate(most * (16 + 2 * k));
  const f32 = Array.from({ length: COPIES }, () => put(wide));
  const narrow = (["int8", "int4"] as const).map((dtype) => {
    const { words, scales } = quantizeValues(wide, [n, k], dtype);
    return { words: Array.from({ length: COPIES }, () => put(words)), scales: put(scales) };
  });
  const found: Record<string, number | string> = { backend: device.reason };
  let turn = 0;
  for (const m of ROWS) {
    const runs: Record<string, () => void> = {};
    const repeats = Math.max(1, Math.round(200 / m));
    const add = (name: string, once: (copy: number) => void) => {
      runs[name] = () => {
        for (let i = 0; i < repeats; i++) once(turn++ % COPIES);
      };
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
    for (const [name, milliseconds] of Object.entries(await inTurn(9, runs))) {
      found[`${m} rows, ${name}, GFLOP/s`] = 2 * m * n * k * repeats / milliseconds / 1e6;
    }
  }
  return found;
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
