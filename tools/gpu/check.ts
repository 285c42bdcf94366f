import type { CpuDevice, Device, WebgpuDevice } from "../../lib/backend/device.ts";
import { read } from "../../lib/backend/tensors.ts";
import type { KernelCheck } from "../../lib/report/gpu_measurements.ts";
import type { Kernel } from "./kernel.ts";
import type { Shape } from "./shapes.ts";

/** What passes where a kernel does not say otherwise: sums in float32 in another order. */
const TOLERANCE = 1e-4;

type Numbers = ArrayLike<number>;

/** All results of one call, those in place too. */
async function results(device: Device, kernel: Kernel, shape: Shape) {
  const prepared = kernel.prepare(device, shape);
  const made = prepared.call();
  const values: Numbers[] = [];
  for (const tensor of [...made, ...prepared.changed ?? []]) values.push(await read(tensor));
  made.forEach((tensor) => tensor.dispose());
  prepared.dispose();
  return { shape: prepared.shape, values };
}

/**
 * The largest difference as a share of what there is: max |a − b| / max(1, max |b|) over all lists; infinite where a
 * number is none on one side alone, or where a list is missing.
 */
export function largestError(found: readonly Numbers[], expected: readonly Numbers[]): number {
  if (found.length !== expected.length) return Infinity;
  let error = 0;
  for (const [l, list] of expected.entries()) {
    const other = found[l]!;
    if (other.length !== list.length) return Infinity;
    let scale = 1, most = 0;
    for (let i = 0; i < list.length; i++) {
      if (Number.isFinite(list[i])) scale = Math.max(scale, Math.abs(list[i]!));
      const difference = Object.is(other[i], list[i]) ? 0 : Math.abs(other[i]! - list[i]!);
      most = Math.max(most, Number.isNaN(difference) ? Infinity : difference);
    }
    error = Math.max(error, most / scale);
  }
  return error;
}

/** A kernel on a GPU beside the same on the CPU, on the same numbers. */
export async function checkKernel(
  kernel: Kernel,
  shape: Shape,
  { gpu, cpu }: { readonly gpu: WebgpuDevice; readonly cpu: CpuDevice },
): Promise<KernelCheck> {
  const expected = await results(cpu, kernel, shape), found = await results(gpu, kernel, shape);
  const error = largestError(found.values, expected.values);
  return {
    kernel: kernel.name,
    shape: expected.shape,
    error: Number.isFinite(error) ? error : null,
    tolerance: kernel.tolerance ?? TOLERANCE,
  };
}
