import type * as tf from "@tensorflow/tfjs";
import { linear, linearGradient } from "../kernels/linear.ts";
import { type Decoder, parameter, type Parameters } from "./decoder.ts";

/** x·Wᵀ + b with the named weight, and its bias where the model has one. [N, in] → [N, out] */
export function project(decoder: Decoder, name: string, x: tf.Tensor): tf.Tensor {
  return linear(x, parameter(decoder, name), decoder.parameters.get(`${name}_bias`));
}

/** Gradient of {@linkcode project} with respect to x; the weight's and bias's are added to `gradients` if listed there. */
export function projectGradient(
  decoder: Decoder,
  name: string,
  options: { readonly x: tf.Tensor; readonly dy: tf.Tensor; readonly gradients: Parameters },
): tf.Tensor {
  const { x, dy, gradients } = options;
  return linearGradient(x, parameter(decoder, name), dy, {
    dweight: gradients.get(name),
    dbias: gradients.get(`${name}_bias`),
  })!;
}
