import { currentBackend } from "../backend/backend.ts";
import type { WasmHeap } from "../backend/wasm.ts";

/** The exports of one AssemblyScript module: numbers in, pointers as byte offsets into the heap of TF.js. */
export type AssemblyKernels = Readonly<Record<string, (...values: number[]) => number>>;

const instances = new WeakMap<WasmHeap, Map<string, AssemblyKernels>>();

/**
 * The kernels built from one file of `assembly/`, working on the tensors of the active WASM backend in place.
 *
 * @param base64 the built module's text, imported from `built/NAME.wasm.ts`; it is compiled once
 */
export function assembly(base64: string): AssemblyKernels {
  const heap = wasmHeap();
  let made = instances.get(heap);
  if (!made) instances.set(heap, made = new Map());
  let kernels = made.get(base64);
  if (!kernels) {
    made.set(base64, kernels = instantiate(base64, heap.memory));
  }
  return kernels;
}

/** The kernels of a built module on a memory of the caller's. */
export function instantiate(base64: string, memory: WebAssembly.Memory): AssemblyKernels {
  const module = new WebAssembly.Module(
    Uint8Array.from(atob(base64.replace(/\s/g, "")), (c) => c.charCodeAt(0)),
  );
  const env = {
    memory,
    abort: () => {
      throw new Error("A WASM kernel aborted");
    },
  };
  return new WebAssembly.Instance(module, { env }).exports as unknown as AssemblyKernels;
}

/** The heap of the active WASM backend. */
export function wasmHeap(): WasmHeap {
  const active = currentBackend();
  if (active.name !== "wasm") throw new Error(`A WASM kernel was called while ${active.name} is active`);
  return active.heap;
}
