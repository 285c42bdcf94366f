import type { BackendChoice } from "../backend/backend.ts";
import { HEAP_BYTES } from "../backend/cpu.ts";
import type { Device } from "../backend/device.ts";
import { findAdapter } from "../backend/webgpu.ts";
import type { MemoryLimits } from "./memory.ts";

const cpuLimits = { backend: "wasm", total: HEAP_BYTES } as const;

/** What a device allows. */
export function limitsOf(device: Device): MemoryLimits {
  return device.name === "wasm" ? cpuLimits : { backend: "webgpu", ...sizesOf(device.limits) };
}

/** What the device that a choice leads to will allow, without opening it, and the adapter's name. */
export async function expectedLimits(
  choice: BackendChoice,
): Promise<MemoryLimits & { readonly adapter?: string }> {
  if (choice === "wasm") return cpuLimits;
  const { adapter, isCpu, description } = await findAdapter();
  if (!adapter || (choice === "auto" && isCpu)) return cpuLimits;
  return { backend: "webgpu", adapter: description, ...sizesOf(adapter.limits) };
}

function sizesOf(limits: Pick<GPUSupportedLimits, "maxStorageBufferBindingSize" | "maxBufferSize">) {
  return { binding: limits.maxStorageBufferBindingSize, buffer: limits.maxBufferSize };
}
