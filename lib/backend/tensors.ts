import * as tf from "@tensorflow/tfjs";
import { InputError } from "../runtime/errors.ts";
import { currentBackend } from "./backend.ts";
import { profile } from "./profile.ts";

/** A tensor whose contents are whatever its memory held: for outputs that a kernel writes whole. */
export function empty(shape: number[], dtype: "float32" | "int32" = "float32"): tf.Tensor {
  const active = currentBackend();
  if (active.name === "wasm") {
    const made = active.heap.backend.makeOutput(shape, dtype);
    if (active.heap.pointer(made) === 0 && tf.util.sizeFromShape(shape) > 0) {
      throw new InputError(
        `Cannot allocate a ${shape.join("×")} tensor: the WASM heap, limited to 2 GiB, is full; ` +
          "a smaller option `microBatchTokens` or option `batchSize` needs less",
      );
    }
    return tf.engine().makeTensorFromTensorInfo(made);
  }
  const made = (active.device.backend as unknown as {
    makeTensorInfo(shape: number[], dtype: string): tf.TensorInfo;
  }).makeTensorInfo(shape, dtype);
  return tf.engine().makeTensorFromTensorInfo(made);
}

/** A tensor of zeros. */
export function zeros(shape: number[], dtype: "float32" | "int32" = "float32"): tf.Tensor {
  const made = empty(shape, dtype);
  fillZero(made);
  return made;
}

/** Sets every element to zero, in place. */
export function fillZero(tensor: tf.Tensor): void {
  const active = currentBackend();
  if (active.name === "wasm") {
    const at = active.heap.pointer(tensor);
    new Uint8Array(active.heap.memory.buffer, at, tensor.size * 4).fill(0);
    return;
  }
  const { backend } = active.device;
  backend.uploadToGPU(tensor.dataId);
  const data = backend.tensorMap.get(tensor.dataId);
  data.values = null;
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.commandEncoder!.clearBuffer(data.resource!, 0, data.resource!.size);
}

/** A tensor with these values. */
export function upload(values: Float32Array | Int32Array, shape: number[]): tf.Tensor {
  return tf.tensor(values, shape, values instanceof Int32Array ? "int32" : "float32");
}

/**
 * Puts the bytes of elements, a multiple of 4, into a tensor from element `offset` on, at once: what reads them must be
 * recorded later. Launches that are recorded and not sent yet are sent first, for the tensor may have memory that they
 * use.
 */
export function writeInto(tensor: tf.Tensor, bytes: Uint8Array, offset: number): void {
  const active = currentBackend();
  if (active.name === "wasm") {
    const { memory, pointer } = active.heap;
    new Uint8Array(memory.buffer, pointer(tensor) + 4 * offset, bytes.length).set(bytes);
    return;
  }
  const { backend, device } = active.device;
  backend.uploadToGPU(tensor.dataId);
  const data = backend.tensorMap.get(tensor.dataId);
  data.values = null;
  if (backend.commandEncoder) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  device.queue.writeBuffer(
    data.resource!,
    4 * offset,
    bytes.buffer as ArrayBuffer,
    bytes.byteOffset,
    bytes.byteLength,
  );
  // Sent now, or the driver's copies of all that is written would pile up until the next launch.
  device.queue.submit([]);
}

/**
 * The values of a tensor. On WebGPU one readback, which costs about 10 ms in Deno, and the place where GPU errors
 * come out.
 */
export async function read(tensor: tf.Tensor): Promise<Float32Array | Int32Array> {
  const active = currentBackend();
  const values = await tensor.data() as Float32Array | Int32Array;
  if (active.name === "webgpu") {
    profile.count("readback");
    const data = active.device.backend.tensorMap.get(tensor.dataId);
    // In-place kernels would leave the copy stale. Without a buffer it is no copy: nothing has used the tensor yet.
    if (data.resource) data.values = null;
    active.device.check();
  }
  return values;
}

/** Waits until all recorded work is done: what a timer must call before it stops. */
export async function finish(): Promise<void> {
  const active = currentBackend();
  if (active.name !== "webgpu") return;
  const { device, backend } = active.device;
  if (backend.commandEncoder) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  await device.queue.onSubmittedWorkDone();
  active.device.check();
}

/** Bytes of tensors in use and, where the backend pools buffers, bytes it holds. */
export function allocatedBytes(): { used: number; held: number } {
  const active = currentBackend();
  if (active.name === "wasm") {
    return { used: tf.memory().numBytes, held: active.heap.memory.buffer.byteLength };
  }
  const { bufferManager } = active.device.backend;
  return { used: bufferManager.numBytesUsed, held: bufferManager.numBytesAllocated };
}

/**
 * Destroys the free buffers that TF.js's pool, which never evicts, holds. Call it where shapes change for good.
 */
export function trimPool(): void {
  const active = currentBackend();
  if (active.name !== "webgpu") return;
  const { bufferManager: pool, commandEncoder } = active.device.backend;
  if (commandEncoder) {
    active.device.backend.endComputePassEncoder();
    active.device.backend.submitQueue();
  }
  for (const [, buffers] of pool.freeBuffers) {
    for (const buffer of buffers) {
      pool.numBytesAllocated -= buffer.size;
      pool.numFreeBuffers--;
      buffer.destroy();
    }
    buffers.length = 0;
  }
}

/** Puts the values of `source` into `target`, which keeps its memory, and frees `source`. */
export function assign(target: tf.Tensor, source: tf.Tensor): void {
  const active = currentBackend();
  if (active.name === "wasm") {
    const { memory, pointer } = active.heap;
    new Uint8Array(memory.buffer).copyWithin(
      pointer(target),
      pointer(source),
      pointer(source) + source.size * 4,
    );
  } else {
    const { backend } = active.device;
    for (const tensor of [target, source]) backend.uploadToGPU(tensor.dataId);
    const to = backend.tensorMap.get(target.dataId), from = backend.tensorMap.get(source.dataId);
    to.values = null;
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    backend.commandEncoder!.copyBufferToBuffer(from.resource!, 0, to.resource!, 0, source.size * 4);
  }
  source.dispose();
}
