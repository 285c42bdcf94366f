import * as tf from "@tensorflow/tfjs";
import { UsageError } from "../runtime/errors.ts";
import type { NativeBlas } from "../runtime/native.ts";
import { openWasm, type WasmHeap } from "./wasm.ts";
import { findAdapter, openWebgpu, type WebgpuDevice } from "./webgpu.ts";

/** What `--backend` takes. `auto`: WebGPU on a real adapter, WASM when there is none or it is a CPU adapter. */
export type BackendChoice = "auto" | "webgpu" | "wasm";

/** A ready TF.js backend. One is active at a time, as in TF.js itself. */
export type Backend =
  | { readonly name: "webgpu"; readonly reason: string; readonly device: WebgpuDevice }
  | { readonly name: "wasm"; readonly reason: string; readonly heap: WasmHeap; readonly blas?: NativeBlas };

const opened: { webgpu?: Backend; wasm?: Backend } = {};
let active: Backend | undefined;

/**
 * Makes a backend ready and active.
 *
 * @param choice what the user asked for
 * @returns the backend; `reason` says in one line which it is and why
 * @throws {UsageError} when `webgpu` is asked for and there is no adapter
 */
export async function openBackend(choice: BackendChoice = "auto"): Promise<Backend> {
  let why = "asked for";
  if (choice !== "wasm") {
    const { adapter, isCpu, description } = await findAdapter();
    if (choice === "webgpu") {
      if (!adapter) {
        throw new UsageError("Cannot use option `backend: webgpu`: found no adapter, see `deno task doctor`");
      }
      return await activate("webgpu", `webgpu (${description}): asked for`);
    }
    if (adapter && !isCpu) return await activate("webgpu", `webgpu (${description}): a GPU was found`);
    why = adapter ? `the only adapter, ${description}, is a CPU` : "no GPU adapter was found";
  }
  return await activate("wasm", why);
}

async function activate(name: "webgpu" | "wasm", reason: string): Promise<Backend> {
  if (name === "webgpu") {
    opened.webgpu ??= { name, reason, device: await openWebgpu() };
  } else if (!opened.wasm) {
    const { heap, blas, blasWhy } = await openWasm();
    const products = blas ? `products by ${blas.description}` : `own SIMD products (BLAS: ${blasWhy})`;
    opened.wasm = { name, reason: `wasm, ${products}: ${reason}`, heap, blas };
  }
  active = opened[name]!;
  await tf.setBackend(name);
  await tf.ready();
  return active;
}

/** The active backend. Throws when none has been opened. */
export function currentBackend(): Backend {
  if (!active) throw new Error("No backend is open: call openBackend first");
  return active;
}
