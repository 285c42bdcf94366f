import type * as tf from "@tensorflow/tfjs";
import { empty, upload, writeInto } from "../backend/tensors.ts";
import { widenInto } from "../kernels/widen.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Parameter } from "./parameter_plan.ts";
import type { FloatDtype } from "./safetensors.ts";

/**
 * Reads a parameter from its file to the active backend.
 *
 * By pieces of 4 MiB, each put into place and widened there while the system reads ahead. Through an array of the whole parameter,
 * 590 MB took four times as long: every parameter's memory was fresh, and the system must clear that first.
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
