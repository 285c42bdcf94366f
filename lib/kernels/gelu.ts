import type { Tensor } from "../backend/device.ts";
import { dispatch, type Program } from "../backend/dispatch.ts";
import { profile } from "../backend/profile.ts";
import { empty } from "../backend/tensors.ts";
import { cpuOf } from "./_assembly.ts";
import { overRows } from "./_over_rows.ts";
import module from "./built/gelu.wasm.ts";

/**
 * GELU in its tanh form, GPT-2's `gelu_new`.
 *
 *   y = x/2 · (1 + tanh(t/2)) = x·σ(t),   t = 2√(2/π)·(x + 0.044715·x³)
 *
 * t is taken of x clamped to ±10: beyond, σ is 0 or 1 in float32, and no exponential overflows. Source: Hendrycks &
 * Gimpel, arXiv 1606.08415.
 *
 * @param x [N, F]
 * @returns y [N, F]
 */
export function gelu(x: Tensor): Tensor {
  const y = empty(x.device, x.shape);
  if (x.device.name === "wasm") {
    const at = cpuOf(x).pointer;
    profile.run(
      "gelu",
      () =>
        overRows(cpuOf(x), { kernel: [module, "forward"], rows: x.size, each: 2, step: 4 }, (from, count) => [
          at(x) + 4 * from,
          at(y) + 4 * from,
          count,
        ]),
    );
  } else {
    dispatch(forwardProgram, {
      tensors: { x, y },
      params: { size: x.size },
      groups: [Math.ceil(x.size / 256)],
    });
  }
  return y;
}

/**
 * Gradient of {@linkcode gelu}: dx = dy·(σ + x·σ(1 − σ)·t′), t′ = 2√(2/π)·(1 + 3·0.044715·x²).
 *
 * @param x the forward pass's input [N, F]
 * @param dy [N, F]
 * @param y [N, F], gets the forward pass's result once more, for who did not keep it
 * @returns dx [N, F]
 */
export function geluGradient(x: Tensor, dy: Tensor, y?: Tensor): Tensor {
  const dx = empty(x.device, x.shape);
  if (x.device.name === "wasm") {
    const at = cpuOf(x).pointer;
    profile.run(
      "gelu_gradient",
      () =>
        overRows(
          cpuOf(x),
          { kernel: [module, "backward"], rows: x.size, each: 3, step: 4 },
          (from, count) => {
            const skip = 4 * from;
            return [at(x) + skip, at(dy) + skip, at(dx) + skip, y ? at(y) + skip : 0, count];
          },
        ),
    );
  } else {
    dispatch(y ? gradientAgainProgram : gradientProgram, {
      tensors: { x, dy, dx, ...(y && { y }) },
      params: { size: x.size },
      groups: [Math.ceil(x.size / 256)],
    });
  }
  return dx;
}

const SIGMA = `
  let i = row * 256u + lane;
  if (i >= params.size) { return; }
  let v = x[i];
  let c = clamp(v, -10.0, 10.0);
  let s = 1.0 / (1.0 + exp(-1.5957691216057308 * c * (1.0 + 0.044715 * c * c)));`;

const forwardProgram: Program = {
  name: "gelu",
  inputs: { x: "f32" },
  outputs: { y: "f32" },
  params: { size: "u32" },
  workgroup: [256],
  body: `${SIGMA}
  y[i] = v * s;`,
};

const gradientProgram: Program = {
  name: "gelu_gradient",
  inputs: { x: "f32", dy: "f32" },
  outputs: { dx: "f32" },
  params: { size: "u32" },
  workgroup: [256],
  body: `${SIGMA}
  dx[i] = dy[i] * (s + c * s * (1.0 - s) * 1.5957691216057308 * (1.0 + 0.134145 * c * c));`,
};

const gradientAgainProgram: Program = {
  ...gradientProgram,
  name: "gelu_gradient_y",
  outputs: { dx: "f32", y: "f32" },
  body: `${gradientProgram.body}
  y[i] = v * s;`,
};
