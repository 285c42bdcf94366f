import type { CpuDevice, Tensor } from "../backend/device.ts";
import type { AssemblyKernels } from "../backend/instantiate.ts";

/**
 * The kernels built from one file of `assembly/`, working on the tensors of a CPU device in place, on this thread.
 *
 * @param text the built module's text, imported from `built/NAME.wasm.ts`; it is compiled once
 */
export function assembly(device: CpuDevice, text: string): AssemblyKernels {
  return device.threads.module(text);
}

/** The CPU device that a tensor is on. */
export function cpuOf({ device }: Tensor): CpuDevice {
  if (device.name !== "wasm") throw new Error(`A kernel of the CPU was given a tensor on ${device.name}`);
  return device;
}
