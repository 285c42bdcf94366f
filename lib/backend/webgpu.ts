import * as tf from "@tensorflow/tfjs";
import { findGpu } from "../runtime/gpu.ts";
import { InputError } from "../runtime/errors.ts";

/** TF.js's WebGPU backend, with the members that our dispatcher works with. */
export interface TfWebgpuBackend {
  readonly device: GPUDevice;
  readonly tensorMap: { get(id: object): { resource?: GPUBuffer; values: unknown } };
  readonly bufferManager: {
    numBytesUsed: number;
    numBytesAllocated: number;
    numFreeBuffers: number;
    freeBuffers: Map<string, GPUBuffer[]>;
  };
  commandEncoder: GPUCommandEncoder | null;
  computePassEncoder: GPUComputePassEncoder | null;
  dispatchCountInPass: number;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  uploadToGPU(id: object): void;
}

/** The device we made and the TF.js backend around it. */
export interface WebgpuDevice {
  readonly device: GPUDevice;
  readonly backend: TfWebgpuBackend;
  readonly description: string;
  /** Whether it is a CPU that stands in for a GPU: registers are memory there, and kernels are shaped otherwise. */
  readonly isCpu: boolean;
  readonly features: ReadonlySet<string>;
  readonly limits: GPUSupportedLimits;
  /** Throws the first GPU error that was reported, as one line. Called wherever results are read. */
  check(): void;
}

/** Words by which software rasterisers name themselves; `isFallbackAdapter` is not set by all of them. */
const CPU_ADAPTER = /llvmpipe|lavapipe|swiftshader|software|basic render|\bcpu\b/i;

/** The adapter the runtime offers for compute, whether it is a CPU in disguise, and its name. */
export async function findAdapter(): Promise<{ adapter?: GPUAdapter; isCpu: boolean; description: string }> {
  const gpu = await findGpu();
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" }) ?? undefined;
  if (!adapter) return { isCpu: false, description: "none" };
  const { vendor, architecture, device, description } = adapter.info;
  const name = description || [vendor, architecture, device].filter(Boolean).join(" ") || "unnamed adapter";
  const fallback = (adapter.info as { isFallbackAdapter?: boolean }).isFallbackAdapter ??
    (adapter as { isFallbackAdapter?: boolean }).isFallbackAdapter ?? false;
  return { adapter, isCpu: fallback || CPU_ADAPTER.test(name), description: name };
}

/** Limits worth raising to what the adapter has. The rest stay at WebGPU's defaults. */
const LIMITS = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension",
] as const;
const FEATURES = ["shader-f16", "timestamp-query", "subgroups"] as GPUFeatureName[];

/**
 * Makes the device with the adapter's full limits and registers TF.js's backend on it.
 *
 * GPU errors are silent by nature (a binding over the limit gives zeros), so the first one reported is kept and thrown
 * by `check()`.
 */
export async function openWebgpu(): Promise<WebgpuDevice> {
  const { device, adapter, isCpu, description, requiredFeatures } = await requestDevice();
  let failure: string | undefined;
  device.addEventListener("uncapturederror", (event) => {
    event.preventDefault?.();
    failure ??= oneLine((event as GPUUncapturedErrorEvent).error.message);
  });
  device.lost.then((lost) => {
    if (lost.reason !== "destroyed") failure ??= `device lost: ${oneLine(lost.message)}`;
  });
  const { WebGPUBackend } = await import("@tensorflow/tfjs-backend-webgpu");
  // 15 by default: with our own dispatcher a submission of 64 launches keeps the GPU fed and the host free.
  tf.env().set("WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE", 64);
  const backend = new WebGPUBackend(device as never, adapter.info as never);
  tf.removeBackend("webgpu");
  tf.registerBackend("webgpu", () => backend as unknown as tf.KernelBackend, 3);
  return {
    device,
    backend: backend as unknown as TfWebgpuBackend,
    description,
    isCpu,
    features: new Set(requiredFeatures),
    limits: device.limits,
    check() {
      if (failure) {
        throw new InputError(
          `The GPU reported an error (${description}): ${failure}; its results cannot be trusted`,
        );
      }
    },
  };
}

/** Asks for the device; a driver that is short of memory for a moment is asked again, twice. */
async function requestDevice(tries = 3) {
  const { adapter, isCpu, description } = await findAdapter();
  if (!adapter) throw new InputError("Cannot open WebGPU: found no adapter");
  const requiredLimits: Record<string, number> = {};
  for (const name of LIMITS) requiredLimits[name] = adapter.limits[name];
  const requiredFeatures = FEATURES.filter((f) => adapter.features.has(f));
  try {
    const device = await adapter.requestDevice({ requiredLimits, requiredFeatures });
    return { device, adapter, isCpu, description, requiredFeatures };
  } catch (error) {
    if (tries > 1) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      return await requestDevice(tries - 1);
    }
    throw new InputError(`Cannot open WebGPU on ${description}: ${oneLine((error as Error).message)}`);
  }
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim().slice(0, 600);
}
