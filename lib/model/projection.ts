import type { Tensor } from "../backend/device.ts";
import { addLinearGradients, linear, linearGradient } from "../kernels/product/linear.ts";
import { quantizedLinear, quantizedLinearGradient } from "../kernels/product/quantized_linear.ts";
import { addAdapter, addAdapterGradient } from "./adapter.ts";
import { type Decoder, parameter, type Parameters } from "./state.ts";

/** x·Wᵀ + b with the named weight, its bias and its adapter where the model has them. [N, in] → [N, out] */
export function project(decoder: Decoder, name: string, x: Tensor): Tensor {
  const narrow = decoder.quantized?.get(name), bias = decoder.parameters.get(`${name}_bias`);
  const y = narrow ? quantizedLinear(x, narrow, bias) : linear(x, parameter(decoder, name), bias);
  addAdapter(decoder, name, x, y);
  return y;
}

/** The gradient of a projection in two halves. */
export interface ProjectionGradient {
  /** With respect to the input. [N, in] */
  readonly dx: Tensor;
  /**
   * Adds those of parameters, from the projection's input; absent where none is trained. It must be called where there
   * is one. It comes second because the input was not kept: the next gradient kernel makes it again on its way.
   */
  readonly addParameters?: (x: Tensor) => void;
}

/** Gradient of {@linkcode project}; those of parameters are added to `gradients` if listed there. */
export function projectGradient(
  decoder: Decoder,
  name: string,
  { dy, gradients }: { readonly dy: Tensor; readonly gradients: Parameters },
): ProjectionGradient {
  const narrow = decoder.quantized?.get(name);
  const dx = narrow ? quantizedLinearGradient(narrow, dy) : linearGradient(parameter(decoder, name), dy);
  return { dx, addParameters: parametersGradient(decoder, name, { dy, dx, gradients }) };
}

/**
 * {@linkcode ProjectionGradient.addParameters} alone, for a projection whose input needs no gradient.
 *
 * @param options `dx` [N, in], where it is needed: the adapter's share is added to it
 */
export function parametersGradient(
  decoder: Decoder,
  name: string,
  options: { readonly dy: Tensor; readonly dx?: Tensor; readonly gradients: Parameters },
): ProjectionGradient["addParameters"] {
  const { dy, gradients } = options;
  const dweight = gradients.get(name), dbias = gradients.get(`${name}_bias`);
  const adapt = addAdapterGradient(decoder, name, options);
  if (!dweight && !dbias && !adapt) return undefined;
  return (x) => {
    addLinearGradients(x, dy, { dweight, dbias });
    adapt?.(x);
  };
}
