import { type Backend, type BackendChoice, currentBackend } from "../backend/backend.ts";
import { findAdapter } from "../backend/webgpu.ts";
import { type MemoryLimits, WASM_HEAP_BYTES } from "./memory.ts";

/** What the active backend allows. */
export function currentLimits(): MemoryLimits {
  const active: Backend = currentBackend();
  if (active.name === "wasm") return { backend: "wasm", total: WASM_HEAP_BYTES };
  return { backend: "webgpu", ...sizesOf(active.device.limits) };
}

/** What the backend that a choice leads to will allow, without opening it, and the adapter's name. */
export async function expectedLimits(
  choice: BackendChoice,
): Promise<MemoryLimits & { readonly adapter?: string }> {
  const wasm = { backend: "wasm", total: WASM_HEAP_BYTES } as const;
  if (choice === "wasm") return wasm;
  const { adapter, isCpu, description } = await findAdapter();
  if (!adapter || (choice === "auto" && isCpu)) return wasm;
  return { backend: "webgpu", adapter: description, ...sizesOf(adapter.limits) };
}

function sizesOf(limits: Pick<GPUSupportedLimits, "maxStorageBufferBindingSize" | "maxBufferSize">) {
  return { binding: limits.maxStorageBufferBindingSize, buffer: limits.maxBufferSize };
}
