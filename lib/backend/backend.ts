import { InputError, UsageError } from "../runtime/errors.ts";
import { openCpu } from "./cpu.ts";
import type { CpuDevice, Device, WebgpuDevice } from "./device.ts";
import { threadsToUse } from "./threads.ts";
import { findAdapter, openWebgpu } from "./webgpu.ts";

/** Which device: `auto` is WebGPU on a real adapter, and the CPU where there is none or it is a CPU adapter. */
export type BackendChoice = "auto" | "webgpu" | "wasm";

const opened: { webgpu?: Promise<WebgpuDevice>; wasm?: Promise<CpuDevice> } = {};

/**
 * A device that is ready. One of each kind serves a whole program: it is opened at the first call and stays.
 *
 * ```ts
 * import { openDevice } from "./mod.ts";
 *
 * const device = await openDevice("wasm");
 * console.log(device.name, device.reason);
 * ```
 *
 * @param choice what the user asked for
 * @returns the device; `reason` says in one line which it is and why
 * @throws {UsageError} when `webgpu` is asked for and there is no adapter
 */
export async function openDevice(choice: BackendChoice = "auto"): Promise<Device> {
  if (!["auto", "webgpu", "wasm"].includes(choice)) {
    throw new UsageError(`Option backend must be auto, webgpu or wasm: got ${JSON.stringify(choice)}`);
  }
  if (choice === "wasm") return await cpu("asked for");
  const { adapter, isCpu, description } = await findAdapter();
  if (choice === "webgpu") {
    if (!adapter) {
      throw new UsageError(
        "Cannot use option `backend: webgpu`: found no adapter",
        { code: "no-adapter" },
      );
    }
    return await webgpu("asked for");
  }
  if (adapter && !isCpu) return await webgpu("a GPU was found");
  return await cpu(adapter ? `the only adapter, ${description}, is a CPU` : "no GPU adapter was found");
}

function webgpu(why: string): Promise<WebgpuDevice> {
  return opened.webgpu ??= openWebgpu(why).catch((error) => {
    opened.webgpu = undefined as never; // another try may find the driver with more memory
    throw error instanceof InputError ? error : new InputError(String(error), { cause: error });
  });
}

function cpu(why: string): Promise<CpuDevice> {
  return opened.wasm ??= openCpu(why, threadsToUse());
}
