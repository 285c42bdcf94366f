import type { Tensor } from "../../backend/device.ts";
import { dispatch, type Program } from "../../backend/dispatch.ts";
import { profile } from "../../backend/profile.ts";
import { empty } from "../../backend/tensors.ts";
import { cpuOf } from "../_assembly.ts";
import { overRows } from "../_over_rows.ts";
import { rowBlocks, rowsOf } from "../_row_blocks.ts";
import module from "../built/sample.wasm.ts";

/** How the next token is drawn. */
export interface Sampling {
  /** 0: the most probable token (the first of equals). */
  readonly temperature: number;
  /** Only the k most probable (and their equals); 0: all. */
  readonly topK: number;
  /** Only the smallest set of most probable tokens that holds this share of the probability; 1: all. */
  readonly topP: number;
  /** Only the first so many ids: those that the tokenizer has, where an embedding is padded (default all). */
  readonly drawable?: number | undefined;
}

/**
 * Draws one token a row: softmax(logits / temperature) cut to the top k, then to the top p, inverted at a uniform
 * number that is a function of the row's stream and counter alone. So a sample does not depend on what it is batched
 * with, on its row, or on when it was started.
 *
 * @param logits [N, V]; overwritten
 * @param options `streams` and `counters` [N] int32 (as bits), one pair a draw; the sampling parameters
 * @returns ids [N] int32, below `drawable`; −1 where a logit that can be drawn is NaN or +∞, or all are −∞: no token can
 * be drawn
 */
export function sample(
  logits: Tensor,
  options: Sampling & { readonly streams: Tensor; readonly counters: Tensor },
): Tensor {
  const [rows, stride] = logits.shape as [number, number];
  const v = Math.min(stride, options.drawable ?? stride);
  const { streams, counters, temperature, topK, topP } = options;
  const inverse = temperature === 0 ? 0 : 1 / temperature;
  const ids = empty(logits.device, [rows], "int32");
  if (logits.device.name === "wasm") {
    const at = cpuOf(logits).pointer;
    profile.run(
      "sample",
      () =>
        // About a pass over the logits, or 32 of them where a threshold is searched.
        overRows(
          cpuOf(logits),
          { kernel: [module, "sample"], rows, each: v * (topP < 1 ? 64 : topK > 0 ? 8 : 2) },
          (from, count) => {
            const word = 4 * from, places = [at(streams) + word, at(counters) + word, at(ids) + word];
            return [at(logits) + word * stride, ...places, count, stride, v, inverse, topK, topP];
          },
        ),
    );
  } else {
    for (const { from, count } of rowBlocks(logits.device, rows, stride)) {
      dispatch(program, {
        tensors: { logits: rowsOf(logits, from, count), streams, counters, ids },
        params: {
          rows: count,
          first_row: from,
          stride,
          v,
          inverse_temperature: inverse,
          top_k: topK,
          top_p: topP,
        },
        groups: [count],
      });
    }
  }
  return ids;
}

const program: Program = {
  name: "sample",
  inputs: { logits: "f32", streams: "u32", counters: "u32" },
  outputs: { ids: "i32" },
  params: {
    rows: "u32",
    first_row: "u32",
    stride: "u32",
    v: "u32",
    inverse_temperature: "f32",
    top_k: "u32",
    top_p: "f32",
  },
  workgroup: [256],
  header: `
var<workgroup> numbers: array<f32, 256>;
var<workgroup> wholes: array<u32, 256>;

fn key_of(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}
fn float_of(key: u32) -> f32 { return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) == 1u)); }

fn uniform_of(stream: u32, counter: u32) -> f32 {
  var h = stream ^ (counter * 0x9e3779b9u);
  h ^= h >> 16u; h *= 0x21f0aaadu; h ^= h >> 15u; h *= 0x735a2d97u; h ^= h >> 15u;
  h += stream * 0x85ebca6bu;
  h ^= h >> 16u; h *= 0x21f0aaadu; h ^= h >> 15u; h *= 0x735a2d97u; h ^= h >> 15u;
  return f32(h >> 8u) / 16777216.0;
}
fn block_sum(value: f32, lane: u32) -> f32 {
  numbers[lane] = value;
  workgroupBarrier();
  for (var s = 128u; s > 0u; s >>= 1u) {
    if (lane < s) { numbers[lane] += numbers[lane + s]; }
    workgroupBarrier();
  }
  let total = numbers[0];
  workgroupBarrier(); // the next call writes there
  return total;
}
fn block_count(value: u32, lane: u32) -> u32 {
  wholes[lane] = value;
  workgroupBarrier();
  for (var s = 128u; s > 0u; s >>= 1u) {
    if (lane < s) { wholes[lane] += wholes[lane + s]; }
    workgroupBarrier();
  }
  let total = wholes[0];
  workgroupBarrier();
  return total;
}
fn count(start: u32, limit: f32, lane: u32) -> u32 {
  var n = 0u;
  for (var i = lane; i < params.v; i += 256u) {
    if (logits[start + i] * params.inverse_temperature >= limit) { n++; }
  }
  return block_count(n, lane);
}
fn mass(start: u32, top: f32, limit: f32, lane: u32) -> f32 {
  var total = 0.0;
  for (var i = lane; i < params.v; i += 256u) {
    let z = logits[start + i] * params.inverse_temperature;
    if (z >= limit) { total += exp(z - top); }
  }
  return block_sum(total, lane);
}`,
  body: `
  if (row >= params.rows) { return; }
  let start = row * params.stride;
  var best = -3.4e38;
  var where_best = 0u;
  var broken = false;
  for (var i = lane; i < params.v; i += 256u) {
    let x = logits[start + i];
    if (x > best) { best = x; where_best = i; }
    // By bits: compilers may take it that no number is NaN. Such a row's best is the largest number, at no place.
    let bits = bitcast<u32>(x);
    if (bits == 0x7f800000u || (bits & 0x7fffffffu) > 0x7f800000u) { broken = true; }
  }
  if (broken) { best = bitcast<f32>(0x7f7fffffu); where_best = 0xffffffffu; }
  numbers[lane] = best;
  wholes[lane] = where_best;
  workgroupBarrier();
  for (var s = 128u; s > 0u; s >>= 1u) {
    if (lane < s) {
      let other = numbers[lane + s];
      if (other > numbers[lane] || (other == numbers[lane] && wholes[lane + s] < wholes[lane])) {
        numbers[lane] = other;
        wholes[lane] = wholes[lane + s];
      }
    }
    workgroupBarrier();
  }
  let best_logit = numbers[0];
  let best_id = wholes[0];
  // What is read from workgroup memory counts as another number in each thread, so that no thread may leave for it
  // before the last barrier: a row from which nothing can be drawn goes all the way.
  let drawable = best_id != 0xffffffffu && best_logit > -3.4e38;
  if (params.inverse_temperature == 0.0) {
    if (lane == 0u) { ids[params.first_row + row] = select(-1, i32(best_id), drawable); }
    return;
  }
  workgroupBarrier(); // both are written again
  let top = best_logit * params.inverse_temperature;
  var limit = -3.4e38;
  if (params.top_k > 0u && params.top_k < params.v) {
    var low = 0u;
    var high = key_of(top);
    for (var halving = 0u; halving < 32u; halving++) {
      let middle = low + ((high - low) >> 1u) + ((high - low) & 1u);
      let enough = count(start, float_of(middle), lane) >= params.top_k;
      if (low < high) { if (enough) { low = middle; } else { high = middle - 1u; } }
    }
    limit = float_of(low);
  }
  if (params.top_p < 1.0) {
    let wanted = params.top_p * mass(start, top, limit, lane);
    var low = key_of(limit);
    var high = key_of(top);
    for (var halving = 0u; halving < 32u; halving++) {
      let middle = low + ((high - low) >> 1u) + ((high - low) & 1u);
      let enough = mass(start, top, float_of(middle), lane) >= wanted;
      if (low < high) { if (enough) { low = middle; } else { high = middle - 1u; } }
    }
    limit = float_of(low);
  }
  // Each thread sums a run of neighbours; the run that the target falls into is walked by its thread.
  let run = (params.v + 255u) / 256u;
  let first = lane * run;
  let end = min(params.v, first + run);
  var part = 0.0;
  var last_kept = -1;
  for (var i = first; i < end; i++) {
    let z = logits[start + i] * params.inverse_temperature;
    if (z >= limit) { part += exp(z - top); last_kept = i32(i); }
  }
  numbers[lane] = part;
  workgroupBarrier();
  if (lane == 0u) {
    var sum = 0.0;
    for (var t = 0u; t < 256u; t++) { let p = numbers[t]; numbers[t] = sum; sum += p; }
    let target_mass = uniform_of(streams[params.first_row + row], counters[params.first_row + row]) * sum;
    // The last run with anything in it that starts at or below the target.
    var owner = 0u;
    for (var t = 0u; t < 256u; t++) {
      let next = select(sum, numbers[min(t + 1u, 255u)], t < 255u);
      if (numbers[t] <= target_mass && next > numbers[t]) { owner = t; }
    }
    wholes[0] = owner;
    wholes[1] = bitcast<u32>(target_mass);
  }
  workgroupBarrier();
  if (lane == wholes[0]) {
    let target_mass = bitcast<f32>(wholes[1]);
    var passed = numbers[lane];
    var chosen = last_kept;
    for (var i = first; i < end; i++) {
      let z = logits[start + i] * params.inverse_temperature;
      if (z < limit) { continue; }
      passed += exp(z - top);
      if (passed > target_mass) { chosen = i32(i); break; }
    }
    ids[params.first_row + row] = select(-1, chosen, drawable);
  }`,
};
