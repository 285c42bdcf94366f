import type * as tf from "@tensorflow/tfjs";
import { linear, linearGradient } from "../kernels/linear.ts";
import { quantizedLinear, quantizedLinearGradient } from "../kernels/quantized_linear.ts";
import { addAdapter, addAdapterGradient } from "./adapter.ts";
import { type Decoder, parameter, type Parameters } from "./decoder.ts";

/** x·Wᵀ + b with the named weight, its bias and its adapter where the model has them. [N, in] → [N, out] */
export function project(decoder: Decoder, name: string, x: tf.Tensor): tf.Tensor {
  const narrow = decoder.quantized?.get(name), bias = decoder.parameters.get(`${name}_bias`);
  const y = narrow ? quantizedLinear(x, narrow, bias) : linear(x, parameter(decoder, name), bias);
  addAdapter(decoder, name, x, y);
  return y;
}

/** Gradient of {@linkcode project} with respect to x; those of parameters are added to `gradients` if listed there. */
export function projectGradient(
  decoder: Decoder,
  name: string,
  options: { readonly x: tf.Tensor; readonly dy: tf.Tensor; readonly gradients: Parameters },
): tf.Tensor {
  const { x, dy, gradients } = options, narrow = decoder.quantized?.get(name);
  const dx = narrow ? quantizedLinearGradient(narrow, dy) : linearGradient(x, parameter(decoder, name), dy, {
    dweight: gradients.get(name),
    dbias: gradients.get(`${name}_bias`),
  })!;
  addAdapterGradient(decoder, name, { x, dy, dx, gradients });
  return dx;
}
