import type { Tensor } from "../../backend/device.ts";
import { dispatch, type Program } from "../../backend/dispatch.ts";
import { profile } from "../../backend/profile.ts";
import { empty } from "../../backend/tensors.ts";
import { assembly, cpuOf } from "../_assembly.ts";
import { overRows } from "../_over_rows.ts";
import { gemm } from "./_gemm.ts";
import { matmul } from "./matmul.ts";
import module from "../built/bias.wasm.ts";

/**
 * A linear layer, its weight stored as checkpoints store it: y = x·Wᵀ (+ bias).
 *
 * @param x [N, in]
 * @param weight [out, in]
 * @param bias [out]
 * @returns [N, out]
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  if (!bias) return matmul(x, weight, { transposeB: true });
  const [rows, k] = x.shape, n = weight.shape[0];
  const y = empty(x.device, [rows, n]);
  if (x.device.name === "webgpu") {
    gemm({ a: x, b: weight, c: y, bias }, { m: rows, n, k: k!, transposeB: true });
    return y;
  }
  const at = cpuOf(x).pointer;
  profile.run(
    "bias",
    () =>
      overRows(cpuOf(x), { kernel: [module, "fillRows"], rows: rows!, each: n! / 4 }, (from, count) => [
        at(bias),
        at(y) + 4 * from * n!,
        count,
        n!,
      ]),
  );
  return matmul(x, weight, { transposeB: true, into: y });
}

/**
 * Gradient of {@linkcode linear} with respect to x: dx = dy·W.
 *
 * @param weight [out, in]
 * @param dy [N, out]
 * @returns dx [N, in]
 */
export function linearGradient(weight: Tensor, dy: Tensor): Tensor {
  return matmul(dy, weight);
}

/**
 * Gradients of {@linkcode linear} with respect to its parameters: dweight += dyᵀ·x, dbias += Σ_rows dy.
 *
 * @param x [N, in]
 * @param dy [N, out]
 * @param into `dweight` [out, in] and `dbias` [out], added to in place (absent when frozen)
 */
export function addLinearGradients(
  x: Tensor,
  dy: Tensor,
  into: { readonly dweight?: Tensor | undefined; readonly dbias?: Tensor | undefined },
): void {
  if (into.dweight) matmul(dy, x, { transposeA: true, into: into.dweight });
  if (into.dbias) addColumnSums(dy, into.dbias);
}

/** Adds the sum of each column of dy [N, n] to dbias [n], in place. */
export function addColumnSums(dy: Tensor, dbias: Tensor): void {
  const [rows, n] = dy.shape as [number, number];
  if (dy.device.name === "wasm") {
    const at = cpuOf(dy).pointer;
    profile.run("bias_gradient", () => assembly(cpuOf(dy), module).addColumnSums(at(dy), at(dbias), rows, n));
    return;
  }
  dispatch(columnSums, {
    tensors: { dy, dbias },
    params: { rows, n },
    groups: [Math.ceil(n / COLUMNS)],
  });
}

const COLUMNS = 16, STRIPES = 16;
/** 16 columns a workgroup, 16 threads a column, each over every 16th row. */
const columnSums: Program = {
  name: "bias_gradient",
  inputs: { dy: "f32" },
  outputs: { dbias: "f32" },
  params: { rows: "u32", n: "u32" },
  workgroup: [COLUMNS * STRIPES],
  header: `var<workgroup> sums: array<f32, ${COLUMNS * STRIPES}>;`,
  body: `
  let c = row * ${COLUMNS}u + lane % ${COLUMNS}u;
  var total = 0.0;
  if (c < params.n) {
    for (var r = lane / ${COLUMNS}u; r < params.rows; r += ${STRIPES}u) { total += dy[r * params.n + c]; }
  }
  sums[lane] = total;
  workgroupBarrier();
  for (var s = ${COLUMNS * STRIPES / 2}u; s >= ${COLUMNS}u; s >>= 1u) {
    if (lane < s) { sums[lane] += sums[lane + s]; }
    workgroupBarrier();
  }
  if (lane < ${COLUMNS}u && c < params.n) { dbias[c] += sums[lane]; }`,
};
