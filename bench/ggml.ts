/**
 * Products of our kernels and of the BLAS beside those of ggml's CPU kernels, which npm ships for every platform: y = x·Wᵀ
 * with W of SmolLM2-135M's shapes, in turn, in one process. Prints a table of GFLOP/s (medians of 9, two operations a
 * weight and row) and of errors against float64.
 *
 *   npm install --prefix FOLDER @node-llama-cpp/linux-x64
 *   AFT_BENCH_CLOCK=cpu deno run -A bench/ggml.ts FOLDER/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64 [THREADS]
 *
 * Each call computes one product. AFT_BENCH_CLOCK=cpu is for one thread: of more it would add the times up.
 */
import process from "node:process";
import { openCpu } from "../lib/backend/cpu.ts";
import type { CpuDevice } from "../lib/backend/device.ts";
import { empty, upload } from "../lib/backend/tensors.ts";
import { dotsOfRounded } from "../lib/kernels/product/_narrow_dots.ts";
import { ownSgemmOn, sgemmOn } from "../lib/kernels/product/_sgemm.ts";
import { quantize } from "../lib/kernels/product/quantize.ts";
import { InputError } from "../lib/runtime/errors.ts";
import {
  type Factors,
  factors,
  heapOf,
  ownProducts,
  type Product,
  type Products,
  rates,
} from "./_products.ts";
import { openGgml } from "./_ggml.ts";

/** Feed-forward projections and the head; products of many rows with the head would take minutes. */
const SHAPES = [
  { n: 1536, k: 576, rows: [1, 8, 96, 1536], copies: 12 },
  { n: 576, k: 1536, rows: [1, 8, 96, 1536], copies: 12 },
  { n: 49_152, k: 576, rows: [1, 8, 96], copies: 1 },
] as const;

/** Root of the mean square of the error, over that of the products; of the first row. */
function errorOf(y: Float32Array, { n, k, wide, x }: Factors): number {
  let error = 0, size = 0;
  for (let j = 0; j < n; j++) {
    let exact = 0;
    for (let p = 0; p < k; p++) exact += x[p]! * wide[j * k + p]!;
    error += (y[j]! - exact) ** 2;
    size += exact ** 2;
  }
  return Math.sqrt(error / size);
}

/** What a model's layers call, which share products out among all threads. */
function sharedProducts(device: CpuDevice, given: Factors): Products {
  const { n, k, wide, copies } = given, { put, numbers } = heapOf(device);
  const f32 = Array.from({ length: copies }, () => put(wide));
  const narrow = (["int8", "int4"] as const).map((dtype) => ({
    dtype,
    weights: Array.from(
      { length: copies },
      () => ({ ...quantize(device, wide, { shape: [n, k], dtype }), dtype }),
    ),
  }));
  return (m) => {
    const x = upload(device, given.x.slice(0, m * k), [m, k]), y = empty(device, [m, n]);
    const at = device.pointer(x), out = device.pointer(y), found: Record<string, Product> = {};
    const add = (name: string, once: (copy: number) => void) => {
      found[name] = { once, y: () => numbers(out, m * n) };
    };
    for (const [name, sgemm] of [["f32, own", ownSgemmOn(device)], ["f32, BLAS", sgemmOn(device)]] as const) {
      if (name === "f32, BLAS" && !device.blas) continue;
      add(name, (copy) => sgemm(false, true, m, n, k, 1, at, k, f32[copy]!, k, 0, out, n));
    }
    for (const { dtype, weights } of narrow) {
      add(`${dtype} dots`, (copy) => dotsOfRounded(x, weights[copy]!, { y, add: false }));
    }
    return found;
  };
}

/** Lines of a table whose columns are as wide as what is in them. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map((row) => row[c]!.length)));
  const line = (cells: readonly string[]) =>
    `| ${
      cells.map((cell, c) => c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!)).join(" | ")
    } |`;
  const rule = `| ${
    widths.map((width, c) => c === 0 ? "-".repeat(width) : "-".repeat(width - 1) + ":").join(" | ")
  } |`;
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)].join("\n");
}

async function main([folder, count = "1"]: readonly string[]): Promise<void> {
  const threads = Number(count);
  if (!folder || !(Number.isInteger(threads) && threads >= 1 && threads <= 256)) {
    throw new InputError(
      "Usage: deno run -A bench/ggml.ts FOLDER [THREADS], a folder with libggml-cpu-*.so in it",
    );
  }
  const ggml = openGgml(folder, threads), device = await openCpu("a benchmark", threads);
  if (threads > 1) {
    while (device.threads.working < threads) await new Promise((done) => setTimeout(done, 20));
  }
  console.log(`${device.reason}\nggml: ${ggml.library}, ${threads} thread${threads === 1 ? "" : "s"}`);
  for (const { n, k, rows, copies } of SHAPES) {
    const given = factors({ n, k }, { rows: Math.max(...rows), copies });
    const all = [
      threads === 1 ? ownProducts(device, given) : sharedProducts(device, given),
      ggml.products(given),
    ];
    const found = new Map<string, string[]>();
    for (const m of rows) {
      const made: Record<string, Product> = Object.assign({}, ...all.map((products) => products(m)));
      const measured = await rates(given, m, made);
      for (const [name, product] of Object.entries(made)) {
        product.once(0);
        const error = errorOf(product.y(), given).toExponential(1);
        const cells = found.get(name) ?? [name, ...rows.map(() => ""), error];
        cells[1 + rows.indexOf(m as never)] = measured[name]!.toFixed(1);
        found.set(name, cells);
      }
    }
    const heading = [
      `W ${n.toLocaleString("en")}×${k}`,
      ...rows.map((m) => m === 1 ? "1 row" : `${m} rows`),
      "error",
    ];
    console.log(`\n${table([heading, ...found.values()])}`);
  }
}

try {
  await main(process.argv.slice(2));
  process.exit(0);
} catch (error) {
  if (!(error instanceof InputError)) throw error;
  console.error(error.message);
  process.exit(2);
}
