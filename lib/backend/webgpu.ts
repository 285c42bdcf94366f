/**
 * GPUs by WebGPU. The device is made by us; its buffers and its encoder are those of TF.js's WebGPU backend, so that
 * TF.js programs and our kernels can work on the same memory in the same order. No other file knows TF.js's insides.
 */

import type * as TfModule from "@tensorflow/tfjs";
import { awake, findGpu } from "../runtime/gpu.ts";
import { InputError } from "../runtime/errors.ts";
import { oneLine } from "../runtime/one_line.ts";
import {
  type AdapterIdentity,
  type Device,
  type Live,
  type Slot,
  Tensor,
  type WebgpuDevice,
} from "./device.ts";

/** TF.js's WebGPU backend, with the members that we work with. */
interface TfWebgpuBackend {
  readonly tensorMap: { get(id: object): { resource?: GPUBuffer } };
  readonly bufferManager: {
    numBytesUsed: number;
    numBytesAllocated: number;
    numFreeBuffers: number;
    freeBuffers: Map<string, GPUBuffer[]>;
    acquireBuffer(size: number, usage: number, mapped?: boolean, reuse?: boolean): GPUBuffer;
    releaseBuffer(buffer: GPUBuffer, reuse?: boolean): void;
  };
  readonly stagingPendingDisposal: GPUBuffer[];
  commandEncoder: GPUCommandEncoder | null;
  computePassEncoder: GPUComputePassEncoder | null;
  dispatchCountInPass: number;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  uploadToGPU(id: object): void;
}

/** What a device works on: TF.js, which is loaded with the first one, since loading takes longer than a small task. */
interface TfOfDevice {
  readonly tf: typeof TfModule;
  readonly backend: TfWebgpuBackend;
}

const backends = new WeakMap<WebgpuDevice, TfOfDevice>();

/** Words by which software rasterisers name themselves; `isFallbackAdapter` is not set by all of them. */
const CPU_ADAPTER = /llvmpipe|lavapipe|swiftshader|software|basic render|\bcpu\b/i;

/** The adapter the runtime offers for compute, whether it is a CPU in disguise, and its name. */
export async function findAdapter(): Promise<{ adapter?: GPUAdapter; isCpu: boolean; description: string }> {
  const gpu = await findGpu();
  const adapter = (gpu && await awake(gpu.requestAdapter({ powerPreference: "high-performance" }))) ??
    undefined;
  if (!adapter) return { isCpu: false, description: "none" };
  const { vendor, architecture, device, description } = adapter.info;
  const name = description || [vendor, architecture, device].filter(Boolean).join(" ") || "unnamed adapter";
  const fallback = (adapter.info as { isFallbackAdapter?: boolean }).isFallbackAdapter ??
    (adapter as { isFallbackAdapter?: boolean }).isFallbackAdapter ?? false;
  return { adapter, isCpu: fallback || CPU_ADAPTER.test(name), description: name };
}

/** What an adapter says of itself. */
export function identityOf({ info }: GPUAdapter): AdapterIdentity {
  const { vendor, architecture, device, description } = info;
  return { vendor, architecture, device, description };
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

/** Launches of a submission: with our own dispatcher 64 keep the GPU fed and the host free. */
const LAUNCHES = 64;

/**
 * Operations of a submission: 0.2 s where a GPU does 10¹² a second, 2 s where it does 10¹¹, as the slowest do. Drivers
 * reset a device that works on one submission for longer than that.
 */
const SUBMISSION_WORK = 2e11;

/** Bytes from which a write has a submission of its own: through a staging buffer they would be copied twice. */
const LARGE = 2 ** 18;

/**
 * Makes the device with the adapter's full limits, and TF.js's backend on it.
 *
 * GPU errors are silent by nature (a binding over the limit gives zeros), so the first one reported is kept and thrown
 * by `check()`.
 *
 * @param options `submissionWork`: operations after which a submission is sent (2e11)
 */
export async function openWebgpu(
  why: string,
  { submissionWork = SUBMISSION_WORK }: { readonly submissionWork?: number } = {},
): Promise<WebgpuDevice> {
  const { device: gpu, adapter, isCpu, description, requiredFeatures } = await requestDevice();
  let failure: string | undefined;
  gpu.addEventListener("uncapturederror", (event) => {
    event.preventDefault?.();
    failure ??= oneLine((event as GPUUncapturedErrorEvent).error.message);
  });
  gpu.lost.then((lost) => {
    if (lost.reason !== "destroyed") failure ??= `device lost: ${oneLine(lost.message)}`;
  });
  const [tf, { WebGPUBackend }] = await Promise.all([
    import("@tensorflow/tfjs"),
    import("@tensorflow/tfjs-backend-webgpu"),
  ]);
  tf.env().set("WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE", LAUNCHES);
  const backend = new WebGPUBackend(gpu as never, adapter.info as never) as unknown as TfWebgpuBackend;
  tf.removeBackend("webgpu");
  tf.registerBackend("webgpu", () => backend as unknown as TfModule.KernelBackend, 3);

  const { bufferManager: pool } = backend,
    live: Live = { tensors: 0, scopes: [] },
    before: (() => void)[] = [];
  let used = 0, work = 0; // bytes; operations of the submission that is being recorded
  const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const submitQueue = backend.submitQueue.bind(backend);
  backend.submitQueue = () => { // whoever submits, TF.js or we
    before.forEach((call) => call());
    work = 0;
    submitQueue();
  };
  const encoder = () => {
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    return backend.commandEncoder!;
  };
  const submit = () => {
    if (!backend.commandEncoder) return;
    backend.endComputePassEncoder();
    backend.submitQueue();
  };
  /** Puts bytes into a buffer behind what is recorded, in the same submission. */
  const stage = (buffer: GPUBuffer, bytes: Uint8Array, offset: number) => {
    const usage = GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC;
    const staging = pool.acquireBuffer(bytes.length, usage, true, false);
    new Uint8Array(staging.getMappedRange()).set(bytes);
    staging.unmap();
    encoder().copyBufferToBuffer(staging, 0, buffer, offset, bytes.length);
    backend.stagingPendingDisposal.push(staging);
  };
  const check = () => {
    if (failure === undefined) return;
    throw new InputError(
      `The GPU reported an error (${description}): ${failure}; its results cannot be trusted`,
    );
  };
  const device: WebgpuDevice = {
    name: "webgpu",
    reason: `webgpu (${description}): ${why}`,
    gpu,
    description,
    adapter: identityOf(adapter),
    isCpu,
    features: new Set(requiredFeatures),
    limits: gpu.limits,
    submissionWork,
    live,
    encoder,
    endPass: () => backend.endComputePassEncoder(),
    pass(timestampWrites) {
      backend.ensureCommandEncoderReady();
      if (timestampWrites) backend.endComputePassEncoder();
      return backend.computePassEncoder ??= backend.commandEncoder!.beginComputePass(
        timestampWrites ? { timestampWrites } : {},
      );
    },
    launched(more) {
      work += more;
      if (++backend.dispatchCountInPass >= LAUNCHES || work >= submissionWork) submit();
    },
    onSubmit: (call) => void before.push(call),
    check,
    take: (bytes, values) => {
      const buffer = pool.acquireBuffer(Math.max(4, bytes), storage, values !== undefined);
      if (values && buffer.mapState === "mapped") { // a new one; one of the pool may be in use by what is recorded
        new Uint8Array(buffer.getMappedRange()).set(values);
        buffer.unmap();
      } else if (values && values.length > 0) stage(buffer, values, 0);
      used += bytes;
      return { bytes, owners: 1, buffer };
    },
    release({ bytes, buffer, lender }) {
      if (lender) return lender.dispose();
      used -= bytes;
      pool.releaseBuffer(buffer!);
    },
    write({ buffer }, bytes, offset) {
      if (bytes.length === 0) return;
      if (bytes.length < LARGE) return stage(buffer!, bytes, offset);
      submit();
      gpu.queue.writeBuffer(buffer!, offset, bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
      // Sent now, or the driver's copies of all that is written would pile up until the next launch.
      gpu.queue.submit([]);
    },
    async read({ buffer }, bytes) {
      if (bytes === 0) return new ArrayBuffer(0);
      const staging = pool.acquireBuffer(bytes, GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ);
      encoder().copyBufferToBuffer(buffer!, 0, staging, 0, bytes);
      submit();
      await awake(staging.mapAsync(GPUMapMode.READ));
      const values = staging.getMappedRange().slice(0);
      staging.unmap();
      pool.releaseBuffer(staging);
      check();
      return values;
    },
    copy: (from, to, { bytes, offset = 0 }) => {
      if (bytes > 0) encoder().copyBufferToBuffer(from.buffer!, 0, to.buffer!, offset, bytes);
    },
    zero: ({ buffer }) => encoder().clearBuffer(buffer!, 0, buffer!.size),
    submit,
    async finish() {
      submit();
      await awake(gpu.queue.onSubmittedWorkDone());
      check();
    },
    use: () => ({ tensors: live.tensors, used, held: pool.numBytesAllocated }),
    trim() {
      submit();
      for (const [, buffers] of pool.freeBuffers) {
        for (const buffer of buffers) {
          pool.numBytesAllocated -= buffer.size;
          pool.numFreeBuffers--;
          buffer.destroy();
        }
        buffers.length = 0;
      }
    },
  };
  backends.set(device, { tf, backend });
  return device;
}

function tfOf(device: Device): TfOfDevice {
  const found = device.name === "webgpu" ? backends.get(device) : undefined;
  if (!found) {
    throw new Error(`Cannot share memory with TF.js: the tensor is on ${device.name}, not on webgpu`);
  }
  return found;
}

/**
 * A tensor of ours for TF.js programs, in the same memory: nothing is copied, and what either side records runs in the
 * order in which it was recorded. TF.js's backend must be "webgpu" (`await tf.setBackend("webgpu")` after a device was
 * opened). The memory stays ours: TF.js's tensor is of use until ours is freed.
 *
 * @throws {Error} for a tensor that is not on WebGPU, or was freed
 */
export function toTfjs(tensor: Tensor): TfModule.Tensor {
  const { tf } = tfOf(tensor.device);
  const { shape, dtype, slot: { buffer } } = tensor;
  return tf.tensor({ buffer: buffer!, zeroCopy: true } as never, [...shape], dtype);
}

/**
 * A tensor of TF.js for our kernels, in the same memory: nothing is copied. It is kept alive until ours is freed; the
 * caller's own can be disposed of at any time.
 *
 * @param device the one that TF.js's backend works on
 * @throws {Error} for a tensor of another kind of number than float32 and int32, or a device that is not WebGPU
 */
export function fromTfjs(device: Device, tensor: TfModule.Tensor): Tensor {
  const { backend } = tfOf(device), { dtype } = tensor;
  if (dtype !== "float32" && dtype !== "int32") {
    throw new Error(`Cannot take a tensor of TF.js of ${dtype}: expected float32 or int32`);
  }
  const lender = tensor.clone(); // a second owner of the same memory
  backend.uploadToGPU(lender.dataId);
  const { resource } = backend.tensorMap.get(lender.dataId);
  const slot: Slot = { bytes: 4 * tensor.size, owners: 1, buffer: resource!, lender };
  return new Tensor([...tensor.shape], { dtype, device, slot });
}

/** Asks for the device; a driver that is short of memory for a moment is asked again, twice. */
async function requestDevice(tries = 3) {
  const { adapter, isCpu, description } = await findAdapter();
  if (!adapter) throw new InputError("Cannot open WebGPU: found no adapter");
  const requiredLimits: Record<string, number> = {};
  for (const name of LIMITS) requiredLimits[name] = adapter.limits[name];
  const requiredFeatures = FEATURES.filter((f) => adapter.features.has(f));
  try {
    const device = await awake(adapter.requestDevice({ requiredLimits, requiredFeatures }));
    return { device, adapter, isCpu, description, requiredFeatures };
  } catch (error) {
    if (tries > 1) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      return await requestDevice(tries - 1);
    }
    throw new InputError(`Cannot open WebGPU on ${description}: ${oneLine((error as Error).message)}`);
  }
}
