import type { Tensor } from "../backend/device.ts";
import { layerNorm, layerNormGradient } from "../kernels/norm/layer_norm.ts";
import { rmsNorm, rmsNormGradient } from "../kernels/norm/rms_norm.ts";
import { inUse, type Norm, type Parameters } from "./parts.ts";

/** A normalisation's result, whichever kind it is. */
export interface Normed {
  /** x + residual, or x itself. */
  readonly sum: Tensor;
  /** The normalised rows. [N, D] */
  readonly y: Tensor;
  /** What the gradient needs besides: 1/σ of each row, and with layer normalisation its mean after it. [N] each */
  readonly statistics: readonly Tensor[];
}

/** Normalises rows, with the residual added first. */
export function normalize({ kind, weight, bias, epsilon }: Norm, x: Tensor, residual?: Tensor): Normed {
  const { tensor } = inUse(weight);
  if (kind === "rms") {
    const { sum, y, rstd } = rmsNorm(x, tensor, { epsilon, residual });
    return { sum, y, statistics: [rstd] };
  }
  const { sum, y, rstd, mean } = layerNorm(x, tensor, { bias: inUse(bias!).tensor, epsilon, residual });
  return { sum, y, statistics: [rstd, mean] };
}

/** Gradient of {@linkcode normalize} with respect to the sum; the parameters' gradients are added to `gradients`. */
export function normalizeGradient(
  { kind, weight, bias }: Norm,
  options: {
    readonly normalized: Pick<Normed, "sum" | "statistics">;
    readonly dy: Tensor;
    readonly dsum?: Tensor;
    readonly gradients: Parameters;
    /** Gets the normalised rows once more. [N, D] */
    readonly y?: Tensor | undefined;
  },
): Tensor {
  const { normalized: { sum, statistics: [rstd, mean] }, dy, dsum, gradients, y } = options;
  const { name, tensor } = inUse(weight), dweight = gradients.get(name);
  if (kind === "rms") return rmsNormGradient({ sum, rstd }, dy, { weight: tensor, dsum, dweight, y });
  const shift = inUse(bias!), dbias = gradients.get(shift.name), again = y && { y, bias: shift.tensor };
  return layerNormGradient({ sum, rstd, mean }, dy, { weight: tensor, dsum, dweight, dbias, again });
}

/** Whether a normalisation is trained. */
export function trainsNorm({ weight, bias }: Norm, gradients: Parameters): boolean {
  return gradients.has(inUse(weight).name) || bias !== undefined && gradients.has(inUse(bias).name);
}
