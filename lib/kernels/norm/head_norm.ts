import type { Tensor } from "../../backend/device.ts";
import { dispatch, type Program } from "../../backend/dispatch.ts";
import { profile } from "../../backend/profile.ts";
import { empty } from "../../backend/tensors.ts";
import { cpuOf } from "../_assembly.ts";
import { overRows, overSummedRows } from "../_over_rows.ts";
import type { Heads } from "../attention/shapes.ts";
import { addColumnSums } from "../product/linear.ts";
import module from "../built/head_norm.wasm.ts";

/** What both passes of the head norm are told. */
export interface HeadNormOptions {
  /** Weight of the queries' norm. [headDim] */
  readonly q: Tensor;
  /** Weight of the keys' norm. [headDim] */
  readonly k: Tensor;
  /** What the fused rows hold. */
  readonly heads: Heads;
  /** ε under the root. */
  readonly epsilon: number;
}

/**
 * Root-mean-square normalisation of each head of the queries and of the keys, as Qwen3 has it before the rotation.
 *
 *   y = x · w / √(mean(x²) + ε) over the headDim dimensions of a head, with one w for all queries, one for all keys
 *
 * Values are copied. Source: Henry et al., arXiv 2010.04245, with RMS norms.
 *
 * @param x fused rows: queries, keys, values [N, (H + 2·KV)·headDim]
 * @returns [N, (H + 2·KV)·headDim]
 */
export function headNorm(x: Tensor, options: HeadNormOptions): Tensor {
  const { q, k, heads: { heads, kvHeads, headDim: d }, epsilon } = options;
  const [rows, width] = x.shape, y = empty(x.device, [rows, width]);
  if (x.device.name === "wasm") {
    const cpu = cpuOf(x), at = cpu.pointer;
    profile.run(
      "head_norm",
      () =>
        overRows(cpu, { kernel: [module, "forward"], rows: rows!, each: width! }, (from, count) => {
          const skip = 4 * from * width!;
          return [at(x) + skip, at(q), at(k), at(y) + skip, count, heads, kvHeads, d, epsilon];
        }),
    );
  } else {
    const items = rows * (heads + 2 * kvHeads);
    dispatch(forwardProgram, {
      tensors: { x, q, k, y },
      params: { items, heads, kv_heads: kvHeads, d, epsilon },
      groups: [Math.ceil(items / HEADS_A_GROUP)],
    });
  }
  return y;
}

/**
 * Gradient of {@linkcode headNorm}, in place: queries' and keys' columns of `dy` become the gradient with respect to x.
 *
 *   dx = r·(w∘dy − x·r²·mean(w∘dy∘x)),   dw += Σ dy∘x·r over rows and heads,   r = 1/√(mean(x²) + ε)
 *
 * @param x the forward pass's input
 * @param dy gradient of the forward pass's result [N, (H + 2·KV)·headDim]; overwritten
 * @param options `dq` and `dk` [headDim], gradients of the weights, are added to in place (absent when frozen)
 */
export function headNormGradient(
  x: Tensor,
  dy: Tensor,
  options: HeadNormOptions & { readonly dq?: Tensor | undefined; readonly dk?: Tensor | undefined },
): void {
  const { q, k, heads: { heads, kvHeads, headDim: d }, epsilon, dq, dk } = options;
  const [rows, width] = x.shape;
  if (x.device.name === "wasm") {
    const cpu = cpuOf(x), at = cpu.pointer;
    const sums = [dq, dk].map((tensor) => ({ at: tensor ? at(tensor) : 0, width: d }));
    profile.run(
      "head_norm_gradient",
      () =>
        overSummedRows(
          cpu,
          { kernel: [module, "backward"], rows: rows!, each: 2 * width!, sums },
          (from, count, [q_, k_]) => {
            const skip = 4 * from * width!;
            return [at(x) + skip, at(q), at(k), at(dy) + skip, q_!, k_!, count, heads, kvHeads, d, epsilon];
          },
        ),
    );
    return;
  }
  // Few workgroups that walk over many heads each: the sums they leave are few, and no atomics are needed.
  const blocks = Math.min(MOST_BLOCKS, Math.ceil(rows * heads / (4 * HEADS_A_GROUP)));
  const partialQ = empty(x.device, [blocks, d]), partialK = empty(x.device, [blocks, d]);
  dispatch(gradientProgram(d), {
    tensors: { x, q, k, dy, dq: partialQ, dk: partialK },
    params: { rows, heads, kv_heads: kvHeads, blocks, epsilon },
    groups: [blocks, 2],
  });
  if (dq) addColumnSums(partialQ, dq);
  if (dk) addColumnSums(partialK, dk);
  [partialQ, partialK].forEach((t) => t.dispose());
}

/** 32 threads a head, so that heads of 64 dimensions leave none idle. */
const HEADS_A_GROUP = 4, MOST_BLOCKS = 256;
const HEAD_SUM = `
var<workgroup> parts: array<vec2<f32>, 128>;
var<workgroup> sums: array<vec2<f32>, ${8 * HEADS_A_GROUP}>;
/** The sum over the 32 threads of a head: each of them gets it. Two barriers, not one for each halving. */
fn head_sum(value: vec2<f32>, lane: u32) -> vec2<f32> {
  parts[lane] = value;
  workgroupBarrier();
  let first = lane / 32u * 8u;
  if (lane % 32u < 8u) {
    sums[first + lane % 32u] = (parts[lane] + parts[lane + 8u]) + (parts[lane + 16u] + parts[lane + 24u]);
  }
  workgroupBarrier();
  return ((sums[first] + sums[first + 1u]) + (sums[first + 2u] + sums[first + 3u])) +
    ((sums[first + 4u] + sums[first + 5u]) + (sums[first + 6u] + sums[first + 7u]));
}`;

const forwardProgram: Program = {
  name: "head_norm",
  inputs: { x: "f32", q: "f32", k: "f32" },
  outputs: { y: "f32" },
  params: { items: "u32", heads: "u32", kv_heads: "u32", d: "u32", epsilon: "f32" },
  workgroup: [128],
  header: HEAD_SUM,
  body: `
  let item = row * ${HEADS_A_GROUP}u + lane / 32u;
  let head = item % (params.heads + 2u * params.kv_heads);
  let start = item * params.d;
  let end = select(0u, params.d, item < params.items);
  var squares = 0.0;
  for (var i = lane % 32u; i < end; i += 32u) { let v = x[start + i]; squares += v * v; }
  let scale = inverseSqrt(head_sum(vec2(squares, 0.0), lane).x / f32(params.d) + params.epsilon);
  for (var i = lane % 32u; i < end; i += 32u) {
    var factor = 1.0;
    if (head < params.heads) { factor = scale * q[i]; }
    else if (head < params.heads + params.kv_heads) { factor = scale * k[i]; }
    y[start + i] = x[start + i] * factor;
  }`,
};

/** Workgroups (·, 0) take the queries' heads, (·, 1) the keys'; each thread sums dw of its dimensions in registers. */
const gradientProgram = (d: number): Program => ({
  name: `head_norm_gradient_${d}`,
  inputs: { x: "f32", q: "f32", k: "f32" },
  outputs: { dy: "f32", dq: "f32", dk: "f32" },
  params: { rows: "u32", heads: "u32", kv_heads: "u32", blocks: "u32", epsilon: "f32" },
  workgroup: [128],
  header: `
const D = ${d}u;
const PER_THREAD = ${Math.ceil(d / 32)}u;
${HEAD_SUM}`,
  body: `
  let queries = group.y == 0u;
  let count = select(params.kv_heads, params.heads, queries);
  let first = select(params.heads, 0u, queries);
  let items = params.rows * count;
  let t = lane % 32u;
  var dw: array<f32, PER_THREAD>;
  for (var base = group.x * ${HEADS_A_GROUP}u; base < items; base += params.blocks * ${HEADS_A_GROUP}u) {
    let item = base + lane / 32u;
    let start = ((item / count) * (params.heads + 2u * params.kv_heads) + first + item % count) * D;
    let end = select(0u, D, item < items);
    var both = vec2(0.0, 0.0); // Σ of x², of w·dy·x
    for (var i = t; i < end; i += 32u) {
      let v = x[start + i];
      both += vec2(v, select(k[i], q[i], queries) * dy[start + i]) * v;
    }
    both = head_sum(both, lane) / f32(D);
    let scale = inverseSqrt(both.x + params.epsilon);
    let pull = both.y * scale * scale * scale;
    for (var j = 0u; j < PER_THREAD; j++) {
      let i = t + 32u * j;
      if (i < end) {
        let v = x[start + i];
        let g = dy[start + i];
        dw[j] += g * v * scale;
        dy[start + i] = select(k[i], q[i], queries) * g * scale - v * pull;
      }
    }
  }
  for (var j = 0u; j < PER_THREAD; j++) {
    parts[lane].x = dw[j];
    workgroupBarrier();
    let i = lane + 32u * j;
    if (lane < 32u && i < D) {
      let total = parts[lane].x + parts[lane + 32u].x + parts[lane + 64u].x + parts[lane + 96u].x;
      if (queries) { dq[group.x * D + i] = total; } else { dk[group.x * D + i] = total; }
    }
    workgroupBarrier();
  }`,
});
