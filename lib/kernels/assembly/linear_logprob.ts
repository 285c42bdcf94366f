// AssemblyScript of ../linear_logprob.ts: the element-wise work on one chunk of logits. All pointers are byte offsets.
import { C1, C2, C3, C4, C5, exp1, LOG2E, MAGIC, max4, power4, sum4 } from "./simd";

/** One, but no compiler knows: see power4. */
export let unit: f32 = 1;

/**
 * log x of a normal x > 0 (the library's own needs a table in memory, which is not ours). x = m·2^e with m about 1, and
 * log m = 2·artanh t, t = (m − 1)/(m + 1), |t| < 0.172, by its series to t⁹.
 */
function log1(x: f32): f32 {
  const bits = reinterpret<u32>(x);
  if (bits > 0x7f7fffff) return x - x; // infinite, negative or NaN: NaN
  const e = <i32>(bits - 0x3f3504f3) >> 23;
  const m = <f64>reinterpret<f32>(bits - (<u32>e << 23));
  const t = (m - 1) / (m + 1), t2 = t * t;
  const series = 1 + t2 * (1 / 3.0 + t2 * (1 / 5.0 + t2 * (1 / 7.0 + t2 * (1 / 9.0))));
  return <f32>(<f64>e * 0.6931471805599453 + 2 * t * series);
}

/** to[i] ← from[rows[i]], i < count: rows of `width` floats. */
export function gatherRows(from: usize, rows: usize, to: usize, count: i32, width: i32): void {
  const bytes = <usize>width << 2;
  for (let i = 0; i < count; i++, to += bytes) {
    memory.copy(to, from + <usize>load<i32>(rows + (<usize>i << 2)) * bytes, bytes);
  }
}

/** to[rows[i]] ← from[i], i < count. */
export function scatterRows(from: usize, rows: usize, to: usize, count: i32, width: i32): void {
  const bytes = <usize>width << 2;
  for (let i = 0; i < count; i++, from += bytes) {
    memory.copy(to + <usize>load<i32>(rows + (<usize>i << 2)) * bytes, from, bytes);
  }
}

/**
 * Takes a chunk of logits [rows, width], whose first column is label `start`, into the running maximum and sum of each
 * row, and puts the logits of the labels that lie in it into `logprobs`. After the last chunk: lse = max + log(sum) and
 * logprob = logit − lse. With `keep` the chunk becomes exp(logit − max).
 */
export function reduce(
  chunk: usize, starts: usize, ids: usize, largest: usize, sums: usize, lse: usize, logprobs: usize,
  rows: i32, width: i32, start: i32, first: bool, last: bool, keep: bool,
): void {
  const bytes = <usize>width << 2, whole = <usize>(width & ~3) << 2;
  const low = f32x4.splat(-126 * unit), magic = f32x4.splat(MAGIC * unit), c5 = f32x4.splat(C5 * unit);
  const c4 = f32x4.splat(C4 * unit), c3 = f32x4.splat(C3 * unit), c2 = f32x4.splat(C2 * unit);
  const c1 = f32x4.splat(C1 * unit), one = f32x4.splat(unit);
  const base2 = f32x4.splat(LOG2E * unit); // e^x = 2^(x·log₂e): an error of |x|·2⁻²³, nothing where e^x counts
  for (let r = 0; r < rows; r++, chunk += bytes, starts += 4, largest += 4, sums += 4, lse += 4) {
    const begin = load<i32>(starts), end = load<i32>(starts + 4);
    for (let p = begin; p < end; p++) {
      const at = load<i32>(ids + (<usize>p << 2)) - start;
      if (at >= 0 && at < width) store<f32>(logprobs + (<usize>p << 2), load<f32>(chunk + (<usize>at << 2)));
    }
    let high: f32 = first ? -Infinity : load<f32>(largest);
    const before = high;
    if (whole > 0) {
      let high4 = v128.load(chunk);
      for (let i: usize = 16; i < whole; i += 16) high4 = f32x4.pmax(high4, v128.load(chunk + i));
      high = max(high, max4(high4));
    }
    for (let i = whole; i < bytes; i += 4) high = max(high, load<f32>(chunk + i));
    const shift = f32x4.splat(high);
    let sum = f32x4.splat(0);
    let tail: f32 = first ? 0 : load<f32>(sums) * exp1(before - high);
    if (keep) {
      for (let i: usize = 0; i < whole; i += 16) {
        const e = power4(f32x4.mul(f32x4.sub(v128.load(chunk + i), shift), base2), low, magic, c5, c4, c3, c2, c1, one);
        v128.store(chunk + i, e);
        sum = f32x4.add(sum, e);
      }
      for (let i = whole; i < bytes; i += 4) {
        const e = exp1(load<f32>(chunk + i) - high);
        store<f32>(chunk + i, e);
        tail += e;
      }
    } else {
      for (let i: usize = 0; i < whole; i += 16) {
        const e = power4(f32x4.mul(f32x4.sub(v128.load(chunk + i), shift), base2), low, magic, c5, c4, c3, c2, c1, one);
        sum = f32x4.add(sum, e);
      }
      for (let i = whole; i < bytes; i += 4) tail += exp1(load<f32>(chunk + i) - high);
    }
    tail += sum4(sum);
    store<f32>(largest, high);
    store<f32>(sums, tail);
    if (last) {
      const total = high + log1(tail);
      store<f32>(lse, total);
      for (let p = begin; p < end; p++) {
        const at = logprobs + (<usize>p << 2);
        store<f32>(at, load<f32>(at) - total);
      }
    }
  }
}

/**
 * A chunk of logits (or, with `kept`, of exp(logit − max)) becomes dlogits = Σ_pairs g·1[v = id] − (Σ_pairs g)·softmax.
 */
export function gradient(
  chunk: usize, starts: usize, ids: usize, largest: usize, lse: usize, dlogprobs: usize,
  rows: i32, width: i32, start: i32, kept: bool,
): void {
  const bytes = <usize>width << 2, whole = <usize>(width & ~3) << 2;
  const low = f32x4.splat(-126 * unit), magic = f32x4.splat(MAGIC * unit), c5 = f32x4.splat(C5 * unit);
  const c4 = f32x4.splat(C4 * unit), c3 = f32x4.splat(C3 * unit), c2 = f32x4.splat(C2 * unit);
  const c1 = f32x4.splat(C1 * unit), one = f32x4.splat(unit);
  const base2 = f32x4.splat(LOG2E * unit); // e^x = 2^(x·log₂e): an error of |x|·2⁻²³, nothing where e^x counts
  for (let r = 0; r < rows; r++, chunk += bytes, starts += 4, largest += 4, lse += 4) {
    const begin = load<i32>(starts), end = load<i32>(starts + 4);
    let g: f32 = 0;
    for (let p = begin; p < end; p++) g -= load<f32>(dlogprobs + (<usize>p << 2));
    const total = load<f32>(lse);
    if (g == 0) {
      memory.fill(chunk, 0, bytes);
    } else if (kept) {
      const scale = g * exp1(load<f32>(largest) - total), scale4 = f32x4.splat(scale);
      for (let i: usize = 0; i < whole; i += 16) v128.store(chunk + i, f32x4.mul(v128.load(chunk + i), scale4));
      for (let i = whole; i < bytes; i += 4) store<f32>(chunk + i, load<f32>(chunk + i) * scale);
    } else {
      const shift = f32x4.splat(total), scale4 = f32x4.splat(g);
      for (let i: usize = 0; i < whole; i += 16) {
        const e = power4(f32x4.mul(f32x4.sub(v128.load(chunk + i), shift), base2), low, magic, c5, c4, c3, c2, c1, one);
        v128.store(chunk + i, f32x4.mul(e, scale4));
      }
      for (let i = whole; i < bytes; i += 4) store<f32>(chunk + i, exp1(load<f32>(chunk + i) - total) * g);
    }
    for (let p = begin; p < end; p++) {
      const at = load<i32>(ids + (<usize>p << 2)) - start;
      if (at >= 0 && at < width) {
        const place = chunk + (<usize>at << 2);
        store<f32>(place, load<f32>(place) + load<f32>(dlogprobs + (<usize>p << 2)));
      }
    }
  }
}
