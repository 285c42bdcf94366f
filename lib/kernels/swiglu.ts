import type * as tf from "@tensorflow/tfjs";
import { currentBackend } from "../backend/backend.ts";
import { dispatch, type Program } from "../backend/dispatch.ts";
import { profile } from "../backend/profile.ts";
import { empty } from "../backend/tensors.ts";
import { assembly, wasmHeap } from "./_assembly.ts";
import module from "./assembly/swiglu.wasm.ts";

/**
 * Gated linear unit with SiLU: y = g·σ(g)·u. Source: Shazeer, arXiv 2002.05202.
 *
 * @param gateUp gate columns, then up columns [N, 2F]
 * @returns y [N, F]
 */
export function swiglu(gateUp: tf.Tensor): tf.Tensor {
  const [rows, width] = gateUp.shape;
  const f = width / 2, y = empty([rows, f]);
  if (currentBackend().name === "wasm") {
    const at = wasmHeap().pointer;
    profile.run("swiglu", () => assembly(module).forward(at(gateUp), at(y), rows, f));
  } else {
    dispatch(forwardProgram, {
      tensors: { gu: gateUp, y },
      params: { size: rows * f, f },
      groups: [Math.ceil(rows * f / 256)],
    });
  }
  return y;
}

/**
 * Gradient of {@linkcode swiglu}: dg = dy·u·(σ + gσ(1 − σ)), du = dy·gσ.
 *
 * @param gateUp the forward pass's input [N, 2F]
 * @param dy [N, F]
 * @param y [N, F], gets the forward pass's result once more, for who did not keep it
 * @returns gradient of gateUp [N, 2F]
 */
export function swigluGradient(gateUp: tf.Tensor, dy: tf.Tensor, y?: tf.Tensor): tf.Tensor {
  const [rows, width] = gateUp.shape;
  const f = width / 2, dgu = empty([rows, width]);
  if (currentBackend().name === "wasm") {
    const at = wasmHeap().pointer;
    profile.run(
      "swiglu_gradient",
      () => assembly(module).backward(at(gateUp), at(dy), at(dgu), y ? at(y) : 0, rows, f),
    );
  } else {
    dispatch(y ? gradientAgainProgram : gradientProgram, {
      tensors: { gu: gateUp, dy, dgu, ...(y && { y }) },
      params: { size: rows * f, f },
      groups: [Math.ceil(rows * f / 256)],
    });
  }
  return dgu;
}

const forwardProgram: Program = {
  name: "swiglu",
  inputs: { gu: "f32" },
  outputs: { y: "f32" },
  params: { size: "u32", f: "u32" },
  workgroup: [256],
  body: `
  let i = row * 256u + lane;
  if (i >= params.size) { return; }
  let at = i + (i / params.f) * params.f;
  let g = gu[at];
  y[i] = g / (1.0 + exp(-g)) * gu[at + params.f];`,
};

const gradientProgram: Program = {
  name: "swiglu_gradient",
  inputs: { gu: "f32", dy: "f32" },
  outputs: { dgu: "f32" },
  params: { size: "u32", f: "u32" },
  workgroup: [256],
  body: `
  let i = row * 256u + lane;
  if (i >= params.size) { return; }
  let at = i + (i / params.f) * params.f;
  let g = gu[at];
  let s = 1.0 / (1.0 + exp(-g));
  dgu[at] = dy[i] * gu[at + params.f] * (s + g * s * (1.0 - s));
  dgu[at + params.f] = dy[i] * g * s;`,
};

const gradientAgainProgram: Program = {
  ...gradientProgram,
  name: "swiglu_gradient_y",
  outputs: { dgu: "f32", y: "f32" },
  body: `${gradientProgram.body}
  y[i] = g * s * gu[at + params.f];`,
};
