import type * as tf from "@tensorflow/tfjs";
import { rmsNorm, rmsNormGradient } from "../kernels/rms_norm.ts";
import { type Decoder, parameter, type Parameters } from "./decoder.ts";

/** A normalisation's result, whichever kind the model has. */
export interface Normed {
  /** x + residual, or x itself. */
  readonly sum: tf.Tensor;
  readonly y: tf.Tensor;
  /** What the gradient needs besides. */
  readonly statistics: readonly tf.Tensor[];
}

/** The model's normalisation, with the residual added first. */
export function normalize(decoder: Decoder, name: string, x: tf.Tensor, residual?: tf.Tensor): Normed {
  const { sum, y, rstd } = rmsNorm(x, parameter(decoder, name), {
    epsilon: decoder.config.normEpsilon,
    residual,
  });
  return { sum, y, statistics: [rstd] };
}

/** Gradient of {@linkcode normalize} with respect to the sum; the weights' gradients are added to `gradients`. */
export function normalizeGradient(
  decoder: Decoder,
  name: string,
  options: {
    readonly normalized: Normed;
    readonly dy: tf.Tensor;
    readonly dsum?: tf.Tensor;
    readonly gradients: Parameters;
  },
): tf.Tensor {
  const { normalized: { sum, y, statistics: [rstd] }, dy, dsum, gradients } = options;
  return rmsNormGradient({ sum, y, rstd }, dy, {
    weight: parameter(decoder, name),
    dsum,
    dweight: gradients.get(name),
  });
}
