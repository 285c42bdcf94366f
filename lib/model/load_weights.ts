import type { Device, Tensor } from "../backend/device.ts";
import { empty, upload, writeInto } from "../backend/tensors.ts";
import { quantize, type QuantizedMatrix } from "../kernels/product/quantize.ts";
import { widenInto } from "../kernels/widen.ts";
import type { Watched } from "../runtime/listener.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { Parameter } from "../checkpoint/parameter_plan.ts";
import type { FloatDtype } from "../checkpoint/safetensors.ts";
import { type BaseDtype, isQuantizable } from "../checkpoint/stored_bytes.ts";

/** A decoder's weights on a device, by the names of its plan. */
export interface Weights {
  readonly parameters: Map<string, Tensor>;
  /** The layers' matrices where they are kept in fewer bits. */
  readonly quantized?: ReadonlyMap<string, QuantizedMatrix> | undefined;
}

/**
 * Reads all weights from their files to a device, one parameter at a time.
 *
 * Two at once, one read while the other is put into place, were slower on 2 cores: a disk that is read in two places gave
 * 1.9 GB/s for 2.9.
 */
export async function loadWeights(
  checkpoint: Checkpoint,
  { device, baseDtype, listener, signal }: Watched & {
    readonly device: Device;
    readonly baseDtype: BaseDtype;
  },
): Promise<Weights> {
  const parameters = new Map<string, Tensor>(), quantized = new Map<string, QuantizedMatrix>();
  try {
    for (const entry of checkpoint.plan) {
      const { name, shape } = entry, done = parameters.size + quantized.size;
      signal?.throwIfAborted();
      listener?.progress?.({ part: "load", done, total: checkpoint.plan.length });
      if (baseDtype !== "f32" && isQuantizable(name, shape)) {
        const values = await checkpoint.readParameter(entry);
        quantized.set(name, quantize(device, values, { shape: shape as [number, number], dtype: baseDtype }));
      } else parameters.set(name, await loadParameter(device, checkpoint, entry));
    }
  } catch (error) {
    [...parameters.values(), ...quantized.values()].forEach((weight) => weight.dispose());
    throw error;
  }
  return { parameters, quantized: baseDtype === "f32" ? undefined : quantized };
}

/**
 * Reads a parameter from its file to a device.
 *
 * By pieces of 4 MiB, each put into place and widened there while the system reads ahead. Through an array of the whole
 * parameter, 590 MB took four times as long: every parameter's memory was fresh, and the system must clear that first.
 *
 * @returns [out, in] or [elements], float32
 */
export async function loadParameter(
  device: Device,
  checkpoint: Checkpoint,
  parameter: Parameter,
): Promise<Tensor> {
  const shape = [...parameter.shape], [, columns = 1] = shape;
  // What must be turned, or compared with its copies, is needed as a whole.
  if (parameter.copies.length > 0 || parameter.parts.some((part) => part.transposed)) {
    return upload(device, await checkpoint.readParameter(parameter), shape);
  }
  const tensor = empty(device, shape);
  try {
    let row = 0;
    for (const part of parameter.parts) {
      const first = row * columns;
      await checkpoint.readPieces(
        part.tensor,
        (bytes, dtype, at) => put(tensor, bytes, { dtype, at: first + at }),
      );
      row += part.rows;
    }
    return tensor;
  } catch (error) {
    tensor.dispose();
    throw error;
  }
}

/** Puts a piece into a tensor from element `at` on. */
function put(
  tensor: Tensor,
  bytes: Uint8Array,
  { dtype, at }: { readonly dtype: FloatDtype; readonly at: number },
): void {
  if (dtype === "F32") writeInto(tensor, bytes, at);
  else widenInto(tensor, bytes, { dtype, at });
}
