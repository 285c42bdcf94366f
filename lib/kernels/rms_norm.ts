import type * as tf from "@tensorflow/tfjs";
import { currentBackend } from "../backend/backend.ts";
import { dispatch, type Program } from "../backend/dispatch.ts";
import { profile } from "../backend/profile.ts";
import { empty } from "../backend/tensors.ts";
import { assembly, wasmHeap } from "./_assembly.ts";
import module from "./assembly/rms_norm.wasm.ts";

/** What the forward pass returns. */
export interface Normalized {
  /** x + residual, or x itself when there was no residual. [N, D] */
  readonly sum: tf.Tensor;
  /** The normalised rows. [N, D] */
  readonly y: tf.Tensor;
  /** 1/√(mean(sum²) + ε) of each row: what the backward pass needs. [N] */
  readonly rstd: tf.Tensor;
}

/**
 * Root-mean-square normalisation with the residual addition before it, in one pass.
 *
 *   s = x + residual,   y = s · rstd · w,   rstd = 1/√(mean(s²) + ε)
 *
 * Source: Zhang & Sennrich, arXiv 1910.07467.
 *
 * @param x [N, D]
 * @param weight [D]
 * @param options `epsilon`; `residual` [N, D], added first
 */
export function rmsNorm(
  x: tf.Tensor,
  weight: tf.Tensor,
  options: { readonly epsilon: number; readonly residual?: tf.Tensor },
): Normalized {
  const [rows, d] = x.shape;
  const { epsilon, residual } = options;
  const sum = residual ? empty([rows, d]) : x, y = empty([rows, d]), rstd = empty([rows]);
  if (currentBackend().name === "wasm") {
    const at = wasmHeap().pointer;
    profile.run("rms_norm", () =>
      assembly(module).forward(
        at(x),
        residual ? at(residual) : 0,
        at(weight),
        at(sum),
        at(y),
        at(rstd),
        rows,
        d,
        epsilon,
      ));
  } else if (residual) {
    dispatch(addForwardProgram, {
      tensors: { x, residual, w: weight, sum, y, rstd },
      params: { rows, d, epsilon },
      groups: [rows],
    });
  } else {
    dispatch(forwardProgram, {
      tensors: { x, w: weight, y, rstd },
      params: { rows, d, epsilon },
      groups: [rows],
    });
  }
  return { sum, y, rstd };
}

/**
 * Gradient of {@linkcode rmsNorm}.
 *
 *   ds = dsum + rstd·(w∘dy − s·rstd²·mean(w∘dy∘s)),   dw += Σ_rows dy∘s·rstd
 *
 * ds is the gradient of both x and residual.
 *
 * @param normalized what the forward pass returned
 * @param dy gradient with respect to y [N, D]
 * @param options `weight` [D]; `dsum`, gradient with respect to the sum from elsewhere [N, D]; `dweight` [D], added to
 * in place (absent for a frozen weight)
 * @returns ds [N, D]
 */
export function rmsNormGradient(
  normalized: Normalized,
  dy: tf.Tensor,
  options: { readonly weight: tf.Tensor; readonly dsum?: tf.Tensor; readonly dweight?: tf.Tensor },
): tf.Tensor {
  const { sum, rstd } = normalized;
  const { weight, dsum, dweight } = options;
  const [rows, d] = sum.shape;
  const dx = empty([rows, d]);
  if (currentBackend().name === "wasm") {
    const at = wasmHeap().pointer;
    profile.run("rms_norm_gradient", () =>
      assembly(module).backward(
        at(sum),
        at(weight),
        at(rstd),
        at(dy),
        dsum ? at(dsum) : 0,
        at(dx),
        dweight ? at(dweight) : 0,
        rows,
        d,
      ));
    return dx;
  }
  dispatch(gradientProgram, {
    tensors: { x: sum, w: weight, rstd, dy, dsum: dsum ?? dy, dx },
    params: { rows, d, has_sum: dsum ? 1 : 0 },
    groups: [rows],
  });
  if (dweight) {
    const blocks = Math.ceil(rows / ROWS_A_BLOCK);
    const partial = empty([blocks, d]);
    dispatch(weightPartialProgram, {
      tensors: { x: sum, rstd, dy, partial },
      params: { rows, d },
      groups: [Math.ceil(d / 64), blocks],
    });
    dispatch(weightSumProgram, {
      tensors: { partial, dw: dweight },
      params: { blocks, d },
      groups: [Math.ceil(d / 64)],
    });
    partial.dispose();
  }
  return dx;
}

const ROWS_A_BLOCK = 64;
/**
 * WGSL of `block_sum(value, lane)`: the sum over the 128 threads of a workgroup, which every thread gets. Two barriers,
 * not one for each halving: they are what such a kernel waits for, most of all on software Vulkan.
 */
export const BLOCK_SUM = `
var<workgroup> shared_values: array<f32, 128>;
var<workgroup> shared_sums: array<f32, 8>;
fn block_sum(value: f32, lane: u32) -> f32 {
  shared_values[lane] = value;
  workgroupBarrier();
  if (lane < 8u) {
    var sum = 0.0;
    for (var i = lane; i < 128u; i += 8u) { sum += shared_values[i]; }
    shared_sums[lane] = sum;
  }
  workgroupBarrier();
  return ((shared_sums[0] + shared_sums[1]) + (shared_sums[2] + shared_sums[3])) +
    ((shared_sums[4] + shared_sums[5]) + (shared_sums[6] + shared_sums[7]));
}`;

const forwardProgram: Program = {
  name: "rms_norm",
  inputs: { x: "f32", w: "f32" },
  outputs: { y: "f32", rstd: "f32" },
  params: { rows: "u32", d: "u32", epsilon: "f32" },
  workgroup: [128],
  header: BLOCK_SUM,
  body: `
  if (row >= params.rows) { return; }
  let start = row * params.d;
  var squares = 0.0;
  for (var i = lane; i < params.d; i += 128u) { let v = x[start + i]; squares += v * v; }
  let scale = inverseSqrt(block_sum(squares, lane) / f32(params.d) + params.epsilon);
  for (var i = lane; i < params.d; i += 128u) { y[start + i] = x[start + i] * scale * w[i]; }
  if (lane == 0u) { rstd[row] = scale; }`,
};

const addForwardProgram: Program = {
  ...forwardProgram,
  name: "add_rms_norm",
  inputs: { x: "f32", residual: "f32", w: "f32" },
  outputs: { sum: "f32", y: "f32", rstd: "f32" },
  body: `
  if (row >= params.rows) { return; }
  let start = row * params.d;
  var squares = 0.0;
  for (var i = lane; i < params.d; i += 128u) {
    let v = x[start + i] + residual[start + i];
    sum[start + i] = v;
    squares += v * v;
  }
  let scale = inverseSqrt(block_sum(squares, lane) / f32(params.d) + params.epsilon);
  for (var i = lane; i < params.d; i += 128u) { y[start + i] = sum[start + i] * scale * w[i]; }
  if (lane == 0u) { rstd[row] = scale; }`,
};

const gradientProgram: Program = {
  name: "rms_norm_gradient",
  inputs: { x: "f32", w: "f32", rstd: "f32", dy: "f32", dsum: "f32" },
  outputs: { dx: "f32" },
  params: { rows: "u32", d: "u32", has_sum: "u32" },
  workgroup: [128],
  header: BLOCK_SUM,
  body: `
  if (row >= params.rows) { return; }
  let start = row * params.d;
  var dots = 0.0;
  for (var i = lane; i < params.d; i += 128u) { dots += w[i] * dy[start + i] * x[start + i]; }
  let scale = rstd[row];
  let pull = block_sum(dots, lane) * scale * scale * scale / f32(params.d);
  for (var i = lane; i < params.d; i += 128u) {
    var g = w[i] * dy[start + i] * scale - x[start + i] * pull;
    if (params.has_sum == 1u) { g += dsum[start + i]; }
    dx[start + i] = g;
  }`,
};

const weightPartialProgram: Program = {
  name: "rms_norm_weight_partial",
  inputs: { x: "f32", rstd: "f32", dy: "f32" },
  outputs: { partial: "f32" },
  params: { rows: "u32", d: "u32" },
  workgroup: [64],
  body: `
  let c = group.x * 64u + lane;
  if (c >= params.d) { return; }
  let end = min(params.rows, (group.y + 1u) * ${ROWS_A_BLOCK}u);
  var total = 0.0;
  for (var r = group.y * ${ROWS_A_BLOCK}u; r < end; r++) { total += dy[r * params.d + c] * x[r * params.d + c] * rstd[r]; }
  partial[group.y * params.d + c] = total;`,
};

const weightSumProgram: Program = {
  name: "rms_norm_weight_sum",
  inputs: { partial: "f32" },
  outputs: { dw: "f32" },
  params: { blocks: "u32", d: "u32" },
  workgroup: [64],
  body: `
  let c = group.x * 64u + lane;
  if (c >= params.d) { return; }
  var total = dw[c];
  for (var b = 0u; b < params.blocks; b++) { total += partial[b * params.d + c]; }
  dw[c] = total;`,
};
