import type { Tensor } from "../backend/device.ts";
import { layerNorm, layerNormGradient } from "../kernels/norm/layer_norm.ts";
import { rmsNorm, rmsNormGradient } from "../kernels/norm/rms_norm.ts";
import { type Decoder, parameter, type Parameters } from "./state.ts";

/** A normalisation's result, whichever kind the model has. */
export interface Normed {
  /** x + residual, or x itself. */
  readonly sum: Tensor;
  /** The normalised rows. [N, D] */
  readonly y: Tensor;
  /** What the gradient needs besides: 1/σ of each row, and with layer normalisation its mean after it. [N] each */
  readonly statistics: readonly Tensor[];
}

/** The model's normalisation, with the residual added first. */
export function normalize(decoder: Decoder, name: string, x: Tensor, residual?: Tensor): Normed {
  const weight = parameter(decoder, name), epsilon = decoder.config.normEpsilon;
  if (decoder.config.norm === "rms") {
    const { sum, y, rstd } = rmsNorm(x, weight, { epsilon, residual });
    return { sum, y, statistics: [rstd] };
  }
  const bias = parameter(decoder, `${name}_bias`);
  const { sum, y, rstd, mean } = layerNorm(x, weight, { bias, epsilon, residual });
  return { sum, y, statistics: [rstd, mean] };
}

/** Gradient of {@linkcode normalize} with respect to the sum; the parameters' gradients are added to `gradients`. */
export function normalizeGradient(
  decoder: Decoder,
  name: string,
  options: {
    readonly normalized: Pick<Normed, "sum" | "statistics">;
    readonly dy: Tensor;
    readonly dsum?: Tensor;
    readonly gradients: Parameters;
    /** Gets the normalised rows once more. [N, D] */
    readonly y?: Tensor;
  },
): Tensor {
  const { normalized: { sum, statistics: [rstd, mean] }, dy, dsum, gradients, y } = options;
  const weight = parameter(decoder, name), dweight = gradients.get(name);
  if (decoder.config.norm === "rms") return rmsNormGradient({ sum, rstd }, dy, { weight, dsum, dweight, y });
  const dbias = gradients.get(`${name}_bias`);
  const again = y && { y, bias: parameter(decoder, `${name}_bias`) };
  return layerNormGradient({ sum, rstd, mean }, dy, { weight, dsum, dweight, dbias, again });
}
