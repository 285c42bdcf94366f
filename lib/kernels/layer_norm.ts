import type * as tf from "@tensorflow/tfjs";
import { currentBackend } from "../backend/backend.ts";
import { dispatch, type Program } from "../backend/dispatch.ts";
import { profile } from "../backend/profile.ts";
import { empty } from "../backend/tensors.ts";
import { assembly, wasmHeap } from "./_assembly.ts";
import { addColumnSums } from "./linear.ts";
import { BLOCK_SUM } from "./rms_norm.ts";
import module from "./assembly/layer_norm.wasm.ts";

/** What the forward pass returns. */
export interface LayerNormalized {
  /** x + residual, or x itself when there was no residual. [N, D] */
  readonly sum: tf.Tensor;
  /** The normalised rows. [N, D] */
  readonly y: tf.Tensor;
  /** Mean of each row of the sum. [N] */
  readonly mean: tf.Tensor;
  /** 1/√(variance + ε) of each row of the sum. [N] */
  readonly rstd: tf.Tensor;
}

/**
 * Layer normalisation with the residual addition before it, in one pass.
 *
 *   s = x + residual,   y = (s − mean(s)) · rstd · w + b,   rstd = 1/√(mean((s − mean(s))²) + ε)
 *
 * Source: Ba, Kiros & Hinton, arXiv 1607.06450.
 *
 * @param x [N, D]
 * @param weight [D]
 * @param options `bias` [D]; `epsilon`; `residual` [N, D], added first
 */
export function layerNorm(
  x: tf.Tensor,
  weight: tf.Tensor,
  options: { readonly bias: tf.Tensor; readonly epsilon: number; readonly residual?: tf.Tensor },
): LayerNormalized {
  const [rows, d] = x.shape;
  const { bias, epsilon, residual } = options;
  const sum = residual ? empty([rows, d]) : x, y = empty([rows, d]);
  const mean = empty([rows]), rstd = empty([rows]);
  if (currentBackend().name === "wasm") {
    const at = wasmHeap().pointer;
    profile.run("layer_norm", () =>
      assembly(module).forward(
        at(x),
        residual ? at(residual) : 0,
        at(weight),
        at(bias),
        at(sum),
        at(y),
        at(mean),
        at(rstd),
        rows,
        d,
        epsilon,
      ));
  } else {
    const tensors = { x, w: weight, b: bias, y, mean, rstd };
    dispatch(residual ? addForwardProgram : forwardProgram, {
      tensors: residual ? { ...tensors, residual, sum } : tensors,
      params: { rows, d, epsilon },
      groups: [rows],
    });
  }
  return { sum, y, mean, rstd };
}

/**
 * Gradient of {@linkcode layerNorm}, with z = (s − mean)·rstd.
 *
 *   ds = dsum + rstd·(w∘dy − mean(w∘dy) − z·mean(w∘dy∘z)),   dw += Σ_rows dy∘z,   db += Σ_rows dy
 *
 * ds is the gradient of both x and residual.
 *
 * @param normalized what the forward pass returned
 * @param dy gradient with respect to y [N, D]
 * @param options `weight` [D]; `dsum`, gradient with respect to the sum from elsewhere [N, D]; `dweight` and `dbias`
 * [D], added to in place (absent when frozen)
 * @returns ds [N, D]
 */
export function layerNormGradient(
  normalized: LayerNormalized,
  dy: tf.Tensor,
  options: {
    readonly weight: tf.Tensor;
    readonly dsum?: tf.Tensor;
    readonly dweight?: tf.Tensor;
    readonly dbias?: tf.Tensor;
  },
): tf.Tensor {
  const { sum, mean, rstd } = normalized;
  const { weight, dsum, dweight, dbias } = options;
  const [rows, d] = sum.shape;
  const dx = empty([rows, d]);
  if (currentBackend().name === "wasm") {
    const at = wasmHeap().pointer;
    profile.run("layer_norm_gradient", () =>
      assembly(module).backward(
        at(sum),
        at(weight),
        at(mean),
        at(rstd),
        at(dy),
        dsum ? at(dsum) : 0,
        at(dx),
        dweight ? at(dweight) : 0,
        dbias ? at(dbias) : 0,
        rows,
        d,
      ));
    return dx;
  }
  dispatch(gradientProgram, {
    tensors: { x: sum, w: weight, mean, rstd, dy, dsum: dsum ?? dy, dx },
    params: { rows, d, has_sum: dsum ? 1 : 0 },
    groups: [rows],
  });
  if (dweight || dbias) {
    const blocks = Math.ceil(rows / ROWS_A_BLOCK);
    const dw = empty([blocks, d]), db = empty([blocks, d]);
    dispatch(partialProgram, {
      tensors: { x: sum, mean, rstd, dy, dw, db },
      params: { rows, d },
      groups: [Math.ceil(d / 64), blocks],
    });
    if (dweight) addColumnSums(dw, dweight);
    if (dbias) addColumnSums(db, dbias);
    [dw, db].forEach((t) => t.dispose());
  }
  return dx;
}

const ROWS_A_BLOCK = 64;

/** The forward pass over rows whose element i is read by `element`; two passes over a row, so that no digits cancel. */
const forwardBody = (element: string, keep: string) => `
  if (row >= params.rows) { return; }
  let start = row * params.d;
  var total = 0.0;
  for (var i = lane; i < params.d; i += 128u) { let v = ${element}; ${keep} total += v; }
  let middle = block_sum(total, lane) / f32(params.d);
  var squares = 0.0;
  for (var i = lane; i < params.d; i += 128u) { let v = ${element} - middle; squares += v * v; }
  let scale = inverseSqrt(block_sum(squares, lane) / f32(params.d) + params.epsilon);
  for (var i = lane; i < params.d; i += 128u) { y[start + i] = (${element} - middle) * scale * w[i] + b[i]; }
  if (lane == 0u) { mean[row] = middle; rstd[row] = scale; }`;

const forwardProgram: Program = {
  name: "layer_norm",
  inputs: { x: "f32", w: "f32", b: "f32" },
  outputs: { y: "f32", mean: "f32", rstd: "f32" },
  params: { rows: "u32", d: "u32", epsilon: "f32" },
  workgroup: [128],
  header: BLOCK_SUM,
  body: forwardBody("x[start + i]", ""),
};

const addForwardProgram: Program = {
  ...forwardProgram,
  name: "add_layer_norm",
  inputs: { x: "f32", residual: "f32", w: "f32", b: "f32" },
  outputs: { sum: "f32", y: "f32", mean: "f32", rstd: "f32" },
  body: forwardBody("(x[start + i] + residual[start + i])", "sum[start + i] = v;"),
};

const gradientProgram: Program = {
  name: "layer_norm_gradient",
  inputs: { x: "f32", w: "f32", mean: "f32", rstd: "f32", dy: "f32", dsum: "f32" },
  outputs: { dx: "f32" },
  params: { rows: "u32", d: "u32", has_sum: "u32" },
  workgroup: [128],
  header: BLOCK_SUM,
  body: `
  if (row >= params.rows) { return; }
  let start = row * params.d;
  let middle = mean[row];
  let scale = rstd[row];
  var total = 0.0;
  var dots = 0.0;
  for (var i = lane; i < params.d; i += 128u) {
    let v = w[i] * dy[start + i];
    total += v;
    dots += v * (x[start + i] - middle) * scale;
  }
  let shift = block_sum(total, lane) / f32(params.d);
  let pull = block_sum(dots, lane) / f32(params.d);
  for (var i = lane; i < params.d; i += 128u) {
    var g = scale * (w[i] * dy[start + i] - shift - (x[start + i] - middle) * scale * pull);
    if (params.has_sum == 1u) { g += dsum[start + i]; }
    dx[start + i] = g;
  }`,
};

/** Sums over blocks of rows, each thread a column: neighbours read neighbouring elements. */
const partialProgram: Program = {
  name: "layer_norm_parameters",
  inputs: { x: "f32", mean: "f32", rstd: "f32", dy: "f32" },
  outputs: { dw: "f32", db: "f32" },
  params: { rows: "u32", d: "u32" },
  workgroup: [64],
  body: `
  let c = group.x * 64u + lane;
  if (c >= params.d) { return; }
  let end = min(params.rows, (group.y + 1u) * ${ROWS_A_BLOCK}u);
  var scaled = 0.0;
  var plain = 0.0;
  for (var r = group.y * ${ROWS_A_BLOCK}u; r < end; r++) {
    let g = dy[r * params.d + c];
    plain += g;
    scaled += g * (x[r * params.d + c] - mean[r]) * rstd[r];
  }
  dw[group.y * params.d + c] = scaled;
  db[group.y * params.d + c] = plain;`,
};
