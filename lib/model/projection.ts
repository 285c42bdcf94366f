import type { Tensor } from "../backend/device.ts";
import { addLinearGradients, linear, linearGradient } from "../kernels/product/linear.ts";
import { quantizedLinear, quantizedLinearGradient } from "../kernels/product/quantized_linear.ts";
import { addLowRank, addLowRankGradient } from "./low_rank.ts";
import type { Parameters, Projection } from "./parts.ts";

/** The matrix as it is now, and the name of its gradient: an adapter's where that has one of its own and takes part. */
function matrixOf(
  { name, weight, saved }: Projection,
): { readonly name: string; readonly weight: Projection["weight"] } {
  return saved?.adapter.enabled ? { name: saved.name, weight: { wide: saved.tensor } } : { name, weight };
}

/** How rows are projected. */
export interface ProjectOptions {
  /** Whether the CPU may round x beside a narrow weight, as {@linkcode quantizedLinear} says. Default false. */
  readonly rounded?: boolean | undefined;
}

/** x·Wᵀ + b, and what the projection's adapter adds where it has one. [N, in] → [N, out] */
export function project(projection: Projection, x: Tensor, { rounded }: ProjectOptions = {}): Tensor {
  const { weight } = matrixOf(projection), { bias, lowRank } = projection;
  const y = weight.narrow
    ? quantizedLinear(x, weight.narrow, { bias: bias?.tensor, rounded })
    : linear(x, weight.wide, bias?.tensor);
  if (lowRank) addLowRank(lowRank, x, y);
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
  readonly addParameters?: ((x: Tensor) => void) | undefined;
}

/** Gradient of {@linkcode project}; those of parameters are added to `gradients` if listed there. */
export function projectGradient(
  projection: Projection,
  { dy, gradients }: { readonly dy: Tensor; readonly gradients: Parameters },
): ProjectionGradient {
  const { weight } = matrixOf(projection);
  const dx = weight.narrow ? quantizedLinearGradient(weight.narrow, dy) : linearGradient(weight.wide, dy);
  return { dx, addParameters: parametersGradient(projection, { dy, dx, gradients }) };
}

/**
 * {@linkcode ProjectionGradient.addParameters} alone, for a projection whose input needs no gradient.
 *
 * @param options `dx` [N, in], where it is needed: the adapter's share is added to it
 */
export function parametersGradient(
  projection: Projection,
  options: { readonly dy: Tensor; readonly dx?: Tensor; readonly gradients: Parameters },
): ProjectionGradient["addParameters"] {
  const { dy, gradients } = options, { bias, lowRank } = projection;
  const dweight = gradients.get(matrixOf(projection).name), dbias = bias && gradients.get(bias.name);
  const adapt = lowRank && addLowRankGradient(lowRank, options);
  if (!dweight && !dbias && !adapt) return undefined;
  return (x) => {
    addLinearGradients(x, dy, { dweight, dbias });
    adapt?.(x);
  };
}
