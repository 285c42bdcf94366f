/** Kernels over rows and over elements: norms, activations, dropout, widening, the optimizer. */

import type { Device, Tensor } from "../../lib/backend/device.ts";
import { narrow } from "../../lib/runtime/float_bytes.ts";
import { adamw, sumOfSquares } from "../../lib/kernels/adamw.ts";
import { dropout } from "../../lib/kernels/dropout.ts";
import { gelu, geluGradient } from "../../lib/kernels/gelu.ts";
import { headNorm, headNormGradient } from "../../lib/kernels/norm/head_norm.ts";
import { layerNorm, layerNormGradient } from "../../lib/kernels/norm/layer_norm.ts";
import { rmsNorm, rmsNormGradient } from "../../lib/kernels/norm/rms_norm.ts";
import { swiglu, swigluGradient } from "../../lib/kernels/swiglu.ts";
import { widenInto, widenOnGpu } from "../../lib/kernels/widen.ts";
import { Inputs, normals } from "./_inputs.ts";
import { type Kernel, numbers, type Prepared } from "./kernel.ts";
import { flatBatch, type Shape } from "./shapes.ts";

/** What one call of a kernel over rows does, and what it costs. */
interface Rows extends Pick<Prepared, "call" | "changed"> {
  /** Operations an element. */
  readonly each: number;
  /** Numbers read and written. */
  readonly moved: number;
}

/** A kernel over [N, width]. */
function overRows(
  name: string,
  width: (shape: Shape) => number,
  run: (inputs: Inputs, size: { readonly rows: number; readonly d: number; readonly shape: Shape }) => Rows,
): Kernel {
  return {
    name,
    prepare(device, shape) {
      const inputs = new Inputs(device), rows = flatBatch(shape).ids.length, d = width(shape);
      const { each, moved, ...prepared } = run(inputs, { rows, d, shape });
      return {
        shape: `${rows}×${d}`,
        flops: each * rows * d,
        bytes: numbers(moved),
        ...prepared,
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  };
}

const epsilon = 1e-5;
const width = ({ width }: Shape) => width, inner = ({ inner }: Shape) => inner;
const fused = ({ heads, kvHeads, headDim }: Shape) => (heads + 2 * kvHeads) * headDim;

/** Half of a kernel that puts numbers of 16 bits into a tensor. */
function widened(dtype: "BF16" | "F16"): Kernel {
  return {
    name: `widening of ${dtype}`,
    prepare(device: Device, { inner, width }: Shape) {
      const inputs = new Inputs(device), count = 2 * inner * width, target = inputs.zeros(count);
      const bytes = narrow(normals(count), dtype);
      return {
        shape: `${count}`,
        flops: 0,
        bytes: 6 * count,
        call() {
          (device.name === "webgpu" ? widenOnGpu : widenInto)(target, bytes, { dtype, at: 0 });
          return [];
        },
        changed: [target],
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  };
}

/** One tensor of the optimizer: as many numbers as a layer's gate and up projection. */
function optimizer(
  name: string,
  run: (inputs: Inputs, size: number) => Rows,
): Kernel {
  return {
    name,
    prepare(device, { inner, width }) {
      const inputs = new Inputs(device), size = 2 * inner * width;
      const { each, moved, ...prepared } = run(inputs, size);
      return {
        shape: `${size}`,
        flops: each * size,
        bytes: numbers(moved),
        ...prepared,
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  };
}

const changing = (run: () => void, changed: readonly Tensor[]) => ({
  call() {
    run();
    return [];
  },
  changed,
});

/** Every kernel over rows and elements. */
export const rows: readonly Kernel[] = [
  overRows("RMSNorm", width, (inputs, { rows, d }) => {
    const x = inputs.normal(rows, d), residual = inputs.normal(rows, d), weight = inputs.normal(d);
    const call = () => {
      const { sum, y, rstd } = rmsNorm(x, weight, { epsilon, residual });
      return [sum, y, rstd];
    };
    return { each: 5, moved: 4 * rows * d, call };
  }),
  overRows("RMSNorm, gradient", width, (inputs, { rows, d }) => {
    const x = inputs.normal(rows, d), dy = inputs.normal(rows, d), weight = inputs.normal(d);
    const dweight = inputs.zeros(d), { y, rstd } = rmsNorm(x, weight, { epsilon });
    [y, rstd].forEach((t) => inputs.own(t));
    const call = () => [rmsNormGradient({ sum: x, rstd }, dy, { weight, dweight })];
    return { each: 9, moved: 3 * rows * d, call, changed: [dweight] };
  }),
  overRows("LayerNorm", width, (inputs, { rows, d }) => {
    const x = inputs.normal(rows, d), residual = inputs.normal(rows, d);
    const weight = inputs.normal(d), bias = inputs.normal(d);
    const call = () => {
      const { sum, y, mean, rstd } = layerNorm(x, weight, { bias, epsilon, residual });
      return [sum, y, mean, rstd];
    };
    return { each: 7, moved: 4 * rows * d, call };
  }),
  overRows("LayerNorm, gradient", width, (inputs, { rows, d }) => {
    const x = inputs.normal(rows, d), dy = inputs.normal(rows, d);
    const weight = inputs.normal(d), bias = inputs.normal(d);
    const dweight = inputs.zeros(d), dbias = inputs.zeros(d);
    const { y, mean, rstd } = layerNorm(x, weight, { bias, epsilon });
    [y, mean, rstd].forEach((t) => inputs.own(t));
    const call = () => [layerNormGradient({ sum: x, mean, rstd }, dy, { weight, dweight, dbias })];
    return { each: 12, moved: 3 * rows * d, call, changed: [dweight, dbias] };
  }),
  overRows("head norm", fused, (inputs, { rows, d, shape }) => {
    const x = inputs.normal(rows, d), q = inputs.normal(shape.headDim), k = inputs.normal(shape.headDim);
    return { each: 4, moved: 2 * rows * d, call: () => [headNorm(x, { q, k, heads: shape, epsilon })] };
  }),
  overRows("head norm, gradient", fused, (inputs, { rows, d, shape }) => {
    const x = inputs.normal(rows, d), q = inputs.normal(shape.headDim), k = inputs.normal(shape.headDim);
    const dy = inputs.normal(rows, d), dq = inputs.zeros(shape.headDim), dk = inputs.zeros(shape.headDim);
    const run = () => headNormGradient(x, dy, { q, k, heads: shape, epsilon, dq, dk });
    return { each: 9, moved: 3 * rows * d, ...changing(run, [dy, dq, dk]) };
  }),
  overRows("SwiGLU", inner, (inputs, { rows, d }) => {
    const x = inputs.normal(rows, 2 * d);
    return { each: 5, moved: 3 * rows * d, call: () => [swiglu(x)] };
  }),
  overRows("SwiGLU, gradient", inner, (inputs, { rows, d }) => {
    const x = inputs.normal(rows, 2 * d), dy = inputs.normal(rows, d);
    return { each: 12, moved: 5 * rows * d, call: () => [swigluGradient(x, dy)] };
  }),
  overRows("GELU", inner, (inputs, { rows, d }) => {
    const x = inputs.normal(rows, d);
    return { each: 10, moved: 2 * rows * d, call: () => [gelu(x)] };
  }),
  overRows("GELU, gradient", inner, (inputs, { rows, d }) => {
    const x = inputs.normal(rows, d), dy = inputs.normal(rows, d);
    return { each: 16, moved: 3 * rows * d, call: () => [geluGradient(x, dy)] };
  }),
  overRows("dropout", width, (inputs, { rows, d }) => {
    const x = inputs.normal(rows, d);
    return { each: 1, moved: 2 * rows * d, call: () => [dropout(x, { rate: 0.1, key: 5 })] };
  }),
  widened("BF16"),
  widened("F16"),
  optimizer("sum of squares", (inputs, size) => {
    const x = inputs.normal(size);
    return { each: 2, moved: size, call: () => [sumOfSquares([x])] };
  }),
  optimizer("AdamW", (inputs, size) => {
    const parameter = inputs.normal(size), gradient = inputs.normal(size);
    const m = inputs.zeros(size), v = inputs.zeros(size), squares = inputs.own(sumOfSquares([gradient]));
    const run = () =>
      adamw({ parameter, gradient, m, v }, {
        ...{ step: 1, learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
        ...{ squares, clip: 1 },
      });
    return { each: 14, moved: 8 * size, ...changing(run, [parameter, gradient, m, v]) };
  }),
];
