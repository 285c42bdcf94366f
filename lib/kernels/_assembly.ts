import type { CpuDevice, Tensor } from "../backend/device.ts";

/** The exports of one AssemblyScript module: numbers in, pointers as byte offsets into the heap. */
export type AssemblyKernels = Readonly<Record<string, (...values: number[]) => number>>;

const instances = new WeakMap<CpuDevice, Map<string, AssemblyKernels>>();

/**
 * The kernels built from one file of `assembly/`, working on the tensors of a CPU device in place.
 *
 * @param base64 the built module's text, imported from `built/NAME.wasm.ts`; it is compiled once
 */
export function assembly(device: CpuDevice, base64: string): AssemblyKernels {
  let made = instances.get(device);
  if (!made) instances.set(device, made = new Map());
  let kernels = made.get(base64);
  if (!kernels) made.set(base64, kernels = instantiate(base64, device.memory));
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

/** The CPU device that a tensor is on. */
export function cpuOf({ device }: Tensor): CpuDevice {
  if (device.name !== "wasm") throw new Error(`A kernel of the CPU was given a tensor on ${device.name}`);
  return device;
}
