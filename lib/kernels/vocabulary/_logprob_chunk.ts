import type { Tensor } from "../../backend/device.ts";
import { dispatch, type Program } from "../../backend/dispatch.ts";
import { profile } from "../../backend/profile.ts";
import { assembly, cpuOf } from "../_assembly.ts";
import { overRows } from "../_over_rows.ts";
import module from "../built/linear_logprob.wasm.ts";

/** What one chunk of logits and its rows share: all indexed by the row's or the pair's number in the whole. */
export interface ChunkRows {
  /** [rows·width]: logits, row-major without gaps. */
  readonly chunk: Tensor;
  readonly pairStarts: Tensor;
  readonly ids: Tensor;
  /** [R]: each row's maximum so far. */
  readonly largest: Tensor;
  /** [R]: each row's log Σ exp, complete after the last chunk. */
  readonly lse: Tensor;
}

/** Where a chunk lies: its first row among the R rows, its first label, its size. */
export interface ChunkPlace {
  readonly row: number;
  readonly rows: number;
  readonly label: number;
  readonly labels: number;
}

/**
 * Takes a chunk of logits into each row's running maximum and sum, and its labels' logits into `logprobs`; after a
 * row's last chunk lse = max + log(sum) and logprob = logit − lse. With `keep` the chunk becomes exp(logit − max).
 */
export function reduceChunk(
  tensors: ChunkRows & { readonly sums: Tensor; readonly logprobs: Tensor },
  place: ChunkPlace & { readonly last: boolean; readonly keep: boolean },
): void {
  const { chunk, pairStarts, ids, largest, sums, lse, logprobs } = tensors;
  const { row, rows, label, labels, last, keep } = place;
  if (chunk.device.name === "webgpu") {
    dispatch(reduceProgram, {
      tensors: { pair_starts: pairStarts, ids, chunk, largest, sums, lse, logprobs },
      params: {
        rows,
        width: labels,
        first_row: row,
        label,
        first: label === 0 ? 1 : 0,
        last: last ? 1 : 0,
        keep: keep ? 1 : 0,
      },
      groups: [rows],
    });
    return;
  }
  const at = cpuOf(chunk).pointer, flags = [label === 0, last, keep].map((is) => is ? 1 : 0);
  profile.run(
    "logprob_reduce",
    () =>
      overRows(cpuOf(chunk), { kernel: [module, "reduce"], rows, each: 2 * labels }, (from, count) => {
        const skip = 4 * (row + from), part = at(chunk) + 4 * from * labels;
        const state = [at(largest) + skip, at(sums) + skip, at(lse) + skip];
        return [part, at(pairStarts) + skip, at(ids), ...state, at(logprobs), count, labels, label, ...flags];
      }),
  );
}

/**
 * Turns a chunk of logits (with `kept`, of exp(logit − max)) in place into the loss's derivatives with respect to them,
 * Σ_pairs g·1[v = id] − (Σ_pairs g)·exp(logit − lse).
 */
export function chunkGradient(
  tensors: ChunkRows & { readonly dlogprobs: Tensor },
  place: ChunkPlace & { readonly kept: boolean },
): void {
  const { chunk, pairStarts, ids, largest, lse, dlogprobs } = tensors;
  const { row, rows, label, labels, kept } = place;
  if (chunk.device.name === "webgpu") {
    dispatch(gradientProgram, {
      tensors: { pair_starts: pairStarts, ids, largest, lse, dlogprobs, chunk },
      params: { rows, width: labels, first_row: row, label, kept: kept ? 1 : 0 },
      groups: [rows],
    });
    return;
  }
  const at = cpuOf(chunk).pointer;
  profile.run(
    "logprob_gradient",
    () =>
      overRows(cpuOf(chunk), { kernel: [module, "gradient"], rows, each: labels }, (from, count) => {
        const skip = 4 * (row + from), part = at(chunk) + 4 * from * labels;
        const state = [at(largest) + skip, at(lse) + skip, at(dlogprobs)];
        return [part, at(pairStarts) + skip, at(ids), ...state, count, labels, label, kept ? 1 : 0];
      }),
  );
}

/** to[i] ← from[rows[i]] (`gather`), or to[rows[i]] ← from[i] (`scatter`): whole rows. */
export function moveRows(
  direction: "gather" | "scatter",
  { from, to, rows }: { readonly from: Tensor; readonly to: Tensor; readonly rows: Tensor },
): void {
  const width = from.shape[1]!, count = rows.size;
  if (from.device.name === "webgpu") {
    dispatch(direction === "gather" ? gatherProgram : scatterProgram, {
      tensors: { from_rows: from, rows, to_rows: to },
      params: { count, width },
      groups: [count],
    });
    return;
  }
  const at = cpuOf(from).pointer;
  profile.run(`${direction}_rows`, () => {
    const { gatherRows, scatterRows } = assembly(cpuOf(from), module);
    (direction === "gather" ? gatherRows : scatterRows)(at(from), at(rows), at(to), count, width);
  });
}

const THREADS = 128;
/** Maximum and sum over the threads of a workgroup, by two barriers: every thread gets them. */
const BLOCK_REDUCE = `
var<workgroup> shared_values: array<f32, ${THREADS}>;
var<workgroup> shared_parts: array<f32, 8>;` + ["max", "sum"].map((name) => {
  const join = (a: string, b: string) => name === "max" ? `max(${a}, ${b})` : `${a} + ${b}`;
  return `
fn block_${name}(value: f32, lane: u32) -> f32 {
  shared_values[lane] = value;
  workgroupBarrier();
  if (lane < 8u) {
    var part = shared_values[lane];
    for (var i = lane + 8u; i < ${THREADS}u; i += 8u) { part = ${join("part", "shared_values[i]")}; }
    shared_parts[lane] = part;
  }
  workgroupBarrier();
  var all = shared_parts[0];
  for (var i = 1u; i < 8u; i++) { all = ${join("all", "shared_parts[i]")}; }
  return all;
}`;
}).join("");

const reduceProgram: Program = {
  name: "logprob_reduce",
  inputs: { pair_starts: "i32", ids: "i32" },
  outputs: { chunk: "f32", largest: "f32", sums: "f32", lse: "f32", logprobs: "f32" },
  params: {
    rows: "u32",
    width: "u32",
    first_row: "u32",
    label: "u32",
    first: "u32",
    last: "u32",
    keep: "u32",
  },
  workgroup: [THREADS],
  header: BLOCK_REDUCE,
  body: `
  if (row >= params.rows) { return; }
  let r = params.first_row + row;
  let start = row * params.width;
  let begin = u32(pair_starts[r]); let end = u32(pair_starts[r + 1u]);
  for (var p = begin + lane; p < end; p += ${THREADS}u) {
    let at = u32(ids[p]) - params.label; // a label before the chunk wraps round to far behind it
    if (at < params.width) { logprobs[p] = chunk[start + at]; }
  }
  var high = -3.4e38;
  for (var i = lane; i < params.width; i += ${THREADS}u) { high = max(high, chunk[start + i]); }
  high = block_max(high, lane); // also keeps the labels' logits from being overwritten before they are read
  var before = 0.0;
  var scale = 0.0;
  if (params.first == 0u) {
    let old = largest[r];
    high = max(high, old);
    before = sums[r];
    scale = exp(old - high);
  }
  var sum = 0.0;
  for (var i = lane; i < params.width; i += ${THREADS}u) {
    let e = exp(chunk[start + i] - high);
    if (params.keep == 1u) { chunk[start + i] = e; }
    sum += e;
  }
  sum = block_sum(sum, lane) + before * scale;
  if (lane == 0u) { largest[r] = high; sums[r] = sum; }
  if (params.last == 1u) {
    let total = high + log(sum);
    if (lane == 0u) { lse[r] = total; }
    for (var p = begin + lane; p < end; p += ${THREADS}u) { logprobs[p] -= total; }
  }`,
};

const gradientProgram: Program = {
  name: "logprob_gradient",
  inputs: { pair_starts: "i32", ids: "i32", largest: "f32", lse: "f32", dlogprobs: "f32" },
  outputs: { chunk: "f32" },
  params: { rows: "u32", width: "u32", first_row: "u32", label: "u32", kept: "u32" },
  workgroup: [THREADS],
  body: `
  if (row >= params.rows) { return; }
  let r = params.first_row + row;
  let start = row * params.width;
  let begin = u32(pair_starts[r]); let end = u32(pair_starts[r + 1u]);
  var g = 0.0;
  for (var p = begin; p < end; p++) { g -= dlogprobs[p]; }
  let total = lse[r];
  if (params.kept == 1u) {
    let scale = g * exp(largest[r] - total);
    for (var i = lane; i < params.width; i += ${THREADS}u) { chunk[start + i] *= scale; }
  } else {
    for (var i = lane; i < params.width; i += ${THREADS}u) { chunk[start + i] = g * exp(chunk[start + i] - total); }
  }
  storageBarrier();
  if (lane == 0u) { // one thread, since labels may repeat
    for (var p = begin; p < end; p++) {
      let at = u32(ids[p]) - params.label;
      if (at < params.width) { chunk[start + at] += dlogprobs[p]; }
    }
  }`,
};

const gatherProgram: Program = {
  name: "gather_rows",
  inputs: { from_rows: "f32", rows: "i32" },
  outputs: { to_rows: "f32" },
  params: { count: "u32", width: "u32" },
  workgroup: [64],
  body: `
  if (row >= params.count) { return; }
  let source = u32(rows[row]) * params.width; let target_ = row * params.width;
  for (var i = lane; i < params.width; i += 64u) { to_rows[target_ + i] = from_rows[source + i]; }`,
};

const scatterProgram: Program = {
  ...gatherProgram,
  name: "scatter_rows",
  body: `
  if (row >= params.count) { return; }
  let source = row * params.width; let target_ = u32(rows[row]) * params.width;
  for (var i = lane; i < params.width; i += 64u) { to_rows[target_ + i] = from_rows[source + i]; }`,
};
