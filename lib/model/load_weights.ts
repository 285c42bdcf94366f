import type * as tf from "@tensorflow/tfjs";
import { empty, upload, writeInto } from "../backend/tensors.ts";
import { quantize, type QuantizedMatrix } from "../kernels/quantize.ts";
import { widenInto } from "../kernels/widen.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Parameter } from "./parameter_plan.ts";
import type { FloatDtype } from "./safetensors.ts";
import { type BaseDtype, isQuantizable } from "./stored_bytes.ts";

/** A decoder's weights on the active backend, by the names of its plan. */
export interface Weights {
  readonly parameters: Map<string, tf.Tensor>;
  /** The layers' matrices where they are kept in fewer bits. */
  readonly quantized?: ReadonlyMap<string, QuantizedMatrix>;
}

/**
 * Reads all weights from their files to the active backend.
 *
 * Two parameters at a time: while a piece of one is widened and put into place, a piece of the other is read, so that a
 * disk seldom waits. What is quantized is needed as a whole, and read one at a time.
 */
export async function loadWeights(checkpoint: Checkpoint, baseDtype: BaseDtype): Promise<Weights> {
  const { plan } = checkpoint, loaded: (tf.Tensor | QuantizedMatrix)[] = [];
  const waiting = plan.entries();
  const load = async (): Promise<void> => {
    for (const [i, entry] of waiting) {
      loaded[i] = baseDtype !== "f32" && isQuantizable(entry.name, entry.shape)
        ? quantize(await checkpoint.readParameter(entry), entry.shape as [number, number], baseDtype)
        : await loadParameter(checkpoint, entry);
    }
  };
  const ended = await Promise.allSettled(baseDtype === "f32" ? [load(), load()] : [load()]);
  const failed = ended.find((end) => end.status === "rejected");
  if (failed) {
    loaded.forEach((weight) => weight.dispose());
    throw failed.reason;
  }
  const parameters = new Map<string, tf.Tensor>(), quantized = new Map<string, QuantizedMatrix>();
  for (const [i, { name }] of plan.entries()) {
    const weight = loaded[i];
    if ("words" in weight) quantized.set(name, weight);
    else parameters.set(name, weight);
  }
  return { parameters, quantized: baseDtype === "f32" ? undefined : quantized };
}

/**
 * Reads a parameter from its file to the active backend.
 *
 * By pieces of 4 MiB, each put into place and widened there. Through an array of the whole parameter, 590 MB took four
 * times as long: every parameter's memory was fresh, and the system must clear that first.
 *
 * @returns [out, in] or [elements], float32
 */
export async function loadParameter(checkpoint: Checkpoint, parameter: Parameter): Promise<tf.Tensor> {
  const shape = [...parameter.shape], [, columns = 1] = shape;
  // What must be turned, or compared with its copies, is needed as a whole.
  if (parameter.copies.length > 0 || parameter.parts.some((part) => part.transposed)) {
    return upload(await checkpoint.readParameter(parameter), shape);
  }
  const tensor = empty(shape);
  try {
    let row = 0;
    for (const part of parameter.parts) {
      const first = row * columns;
      await checkpoint.readPieces(part.tensor, (bytes, dtype, at) => put(tensor, bytes, dtype, first + at));
      row += part.rows;
    }
    return tensor;
  } catch (error) {
    tensor.dispose();
    throw error;
  }
}

/** Puts a piece into a tensor from element `at` on. */
function put(tensor: tf.Tensor, bytes: Uint8Array, dtype: FloatDtype, at: number): void {
  if (dtype === "F32") writeInto(tensor, bytes, at);
  else widenInto(tensor, bytes, { dtype, at });
}
