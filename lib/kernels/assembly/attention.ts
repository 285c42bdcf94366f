// AssemblyScript of ../attention.ts: what lies between the matrix products, on blocks of scores, and decoding whole.
// Pointers are byte offsets, strides too. Scores are in base 2: the product that made them was scaled by scale·log2 e.
//
// A row of a block holds the scores of the shared keys `sharedLow…` from column 0, and those of the own keys `ownLow…`
// from column `ownAt`, a multiple of 4. `spans` says which of them count (see ../span_layout.ts); the rest become 0.
import { max4, sum4 } from "./simd";

// @ts-ignore: decorator
@inline
const NONE: f32 = -1e30; // the log-sum-exp of nothing; finite, so that it can be subtracted
// @ts-ignore: decorator
@inline
const LN2: f32 = 0.6931471805599453;
// @ts-ignore: decorator
@inline
const CHUNK = 128; // keys of one pass of `decode`: their rows stay in the first cache for the heads that share them

/**
 * One. Exported so that no compiler knows its value: V8 builds a 128-bit constant anew at each use, several
 * instructions inside the innermost loops, while a constant times this stays in a register.
 */
export let unit: f32 = 1;

// @ts-ignore: decorator
@inline
const MAGIC: f32 = 12582912; // 1.5·2²³: adding it rounds and leaves the integer in the low bits
// A minimax polynomial of 2^r on [−½, ½].
// @ts-ignore: decorator
@inline
const C5: f32 = 1.3264727176893725e-3;
// @ts-ignore: decorator
@inline
const C4: f32 = 9.671512650064154e-3;
// @ts-ignore: decorator
@inline
const C3: f32 = 5.5507337433075635e-2;
// @ts-ignore: decorator
@inline
const C2: f32 = 0.24022242085148215;
// @ts-ignore: decorator
@inline
const C1: f32 = 0.6931469775991476;

/**
 * 2^x in four lanes for x ≤ 0 (and up to 127), within 2 units in the last place; below −126, 2^−126. The integer part
 * is added to the exponent: 16 instructions against exp4's 24, and exponentials are half of the work here.
 */
// @ts-ignore: decorator
@inline
function power4(
  x: v128, low: v128, magic: v128, c5: v128, c4: v128, c3: v128, c2: v128, c1: v128, one: v128,
): v128 {
  const c = f32x4.pmax(x, low);
  const t = f32x4.add(c, magic);
  const r = f32x4.sub(c, f32x4.sub(t, magic));
  let p = f32x4.add(f32x4.mul(c5, r), c4);
  p = f32x4.add(f32x4.mul(p, r), c3);
  p = f32x4.add(f32x4.mul(p, r), c2);
  p = f32x4.add(f32x4.mul(p, r), c1);
  p = f32x4.add(f32x4.mul(p, r), one);
  return i32x4.add(p, i32x4.shl(t, 23));
}

/** Base-2 logarithm of one number of at least 2^−126. */
function log2of(x: f32): f32 {
  const bits = reinterpret<i32>(x) - 0x3f3504f3; // so that the mantissa lies in [√½, √2)
  const m = reinterpret<f32>((bits & 0x7fffff) + 0x3f3504f3);
  const s: f32 = (m - 1) / (m + 1), z: f32 = s * s;
  const ln: f32 = 2 * s * (1 + z * (<f32>(1.0 / 3) + z * (<f32>0.2 + z * (<f32>(1.0 / 7) + z * <f32>(1.0 / 9)))));
  return <f32>(bits >> 23) + ln * <f32>1.4426950408889634;
}

/** All ones in the lanes i…i+3 that lie in from…to. */
// @ts-ignore: decorator
@inline
function inside(i: i32, from: i32, to: i32): v128 {
  const at = i32x4.add(i32x4.splat(i), i32x4(0, 1, 2, 3));
  return v128.andnot(i32x4.lt_s(at, i32x4.splat(to)), i32x4.lt_s(at, i32x4.splat(from)));
}

/** The largest of elements from…to, lane by lane; `row` is 4 elements wide beyond them. */
// @ts-ignore: decorator
@inline
function largest(row: usize, from: i32, to: i32, start: v128): v128 {
  let most = start, i = from & ~3;
  if (from >= to) return most;
  if (i != from) {
    most = f32x4.pmax(most, v128.bitselect(v128.load(row + (<usize>i << 2)), f32x4.splat(NONE), inside(i, from, to)));
    i += 4;
  }
  for (; i + 4 <= to; i += 4) most = f32x4.pmax(most, v128.load(row + (<usize>i << 2)));
  if (i < to) {
    most = f32x4.pmax(most, v128.bitselect(v128.load(row + (<usize>i << 2)), f32x4.splat(NONE), inside(i, from, to)));
  }
  return most;
}

// @ts-ignore: decorator
@inline
function clear(row: usize, from: i32, to: i32): void {
  for (let i = from; i < to; i += 4) v128.store(row + (<usize>i << 2), f32x4.splat(0));
}

/** Elements from…to become 2^(element − shift), the others of `columns` 0; returns their sum, lane by lane. */
// @ts-ignore: decorator
@inline
function exponentials(
  row: usize, columns: i32, from: i32, to: i32, shift: v128, start: v128, low: v128, magic: v128, c5: v128, c4: v128,
  c3: v128, c2: v128, c1: v128, one: v128,
): v128 {
  let total = start;
  if (from >= to) {
    clear(row, 0, columns);
    return total;
  }
  let i = from & ~3;
  clear(row, 0, i);
  if (i != from) {
    const at = row + (<usize>i << 2);
    const x = f32x4.sub(v128.load(at), shift);
    const p = v128.and(power4(x, low, magic, c5, c4, c3, c2, c1, one), inside(i, from, to));
    v128.store(at, p);
    total = f32x4.add(total, p);
    i += 4;
  }
  for (; i + 4 <= to; i += 4) {
    const at = row + (<usize>i << 2);
    const p = power4(f32x4.sub(v128.load(at), shift), low, magic, c5, c4, c3, c2, c1, one);
    v128.store(at, p);
    total = f32x4.add(total, p);
  }
  if (i < to) {
    const at = row + (<usize>i << 2);
    const x = f32x4.sub(v128.load(at), shift);
    const p = v128.and(power4(x, low, magic, c5, c4, c3, c2, c1, one), inside(i, from, to));
    v128.store(at, p);
    total = f32x4.add(total, p);
    i += 4;
  }
  clear(row, i, columns);
  return total;
}

// @ts-ignore: decorator
@inline
function between(value: i32, low: i32, columns: i32): i32 {
  return min(max(value - low, 0), columns);
}

/** Scores become their unnormalised weights; `lse` gets log Σ exp and `inverse` what the output is to be scaled by. */
export function weights(
  s: usize, stride: usize, rows: i32, spans: usize, sharedLow: i32, sharedColumns: i32, ownAt: i32, ownLow: i32,
  ownColumns: i32, lse: usize, lseStride: usize, inverse: usize,
): void {
  const low = f32x4.splat(-126 * unit), magic = f32x4.splat(MAGIC * unit), c5 = f32x4.splat(C5 * unit);
  const c4 = f32x4.splat(C4 * unit), c3 = f32x4.splat(C3 * unit), c2 = f32x4.splat(C2 * unit);
  const c1 = f32x4.splat(C1 * unit), one = f32x4.splat(unit);
  for (let r = 0; r < rows; r++) {
    const a = between(load<i32>(spans), sharedLow, sharedColumns);
    const b = between(load<i32>(spans, 4), sharedLow, sharedColumns);
    const c = between(load<i32>(spans, 8), ownLow, ownColumns), d = between(load<i32>(spans, 12), ownLow, ownColumns);
    const own = s + (<usize>ownAt << 2);
    const most = max4(largest(own, c, d, largest(s, a, b, f32x4.splat(NONE))));
    const shift = f32x4.splat(most);
    let total = exponentials(s, ownAt, a, b, shift, f32x4.splat(0), low, magic, c5, c4, c3, c2, c1, one);
    total = exponentials(own, (ownColumns + 3) & ~3, c, d, shift, total, low, magic, c5, c4, c3, c2, c1, one);
    const sum = sum4(total);
    store<f32>(lse, sum > 0 ? (most + log2of(sum)) * LN2 : NONE);
    store<f32>(inverse, sum > 0 ? 1 / sum : 0);
    s += stride;
    spans += 16;
    lse += lseStride;
    inverse += 4;
  }
}

/** Rows of `out` times `inverse`. */
export function scaleRows(out: usize, stride: usize, rows: i32, d: i32, inverse: usize): void {
  const whole = <usize>(d & ~3) << 2, bytes = <usize>d << 2;
  for (let r = 0; r < rows; r++) {
    const by = load<f32>(inverse), by4 = f32x4.splat(by);
    for (let i: usize = 0; i < whole; i += 16) v128.store(out + i, f32x4.mul(v128.load(out + i), by4));
    for (let i = whole; i < bytes; i += 4) store<f32>(out + i, load<f32>(out + i) * by);
    out += stride;
    inverse += 4;
  }
}

/** p = 2^(s − lse), ds = p∘(dp − pull)·scale, in place of s and dp, in from…to; 0 in the other columns. */
// @ts-ignore: decorator
@inline
function weightsAndPulls(
  s: usize, dp: usize, columns: i32, from: i32, to: i32, shift: v128, pull: v128, scale: v128, low: v128, magic: v128,
  c5: v128, c4: v128, c3: v128, c2: v128, c1: v128, one: v128,
): void {
  let i = from >= to ? columns : from & ~3;
  clear(s, 0, i);
  clear(dp, 0, i);
  if (from >= to) return;
  if (i != from) {
    const o = <usize>i << 2, mask = inside(i, from, to);
    const p = v128.and(power4(f32x4.sub(v128.load(s + o), shift), low, magic, c5, c4, c3, c2, c1, one), mask);
    v128.store(s + o, p);
    v128.store(dp + o, v128.and(f32x4.mul(p, f32x4.mul(f32x4.sub(v128.load(dp + o), pull), scale)), mask));
    i += 4;
  }
  for (; i + 4 <= to; i += 4) {
    const o = <usize>i << 2;
    const p = power4(f32x4.sub(v128.load(s + o), shift), low, magic, c5, c4, c3, c2, c1, one);
    v128.store(s + o, p);
    v128.store(dp + o, f32x4.mul(p, f32x4.mul(f32x4.sub(v128.load(dp + o), pull), scale)));
  }
  if (i < to) {
    const o = <usize>i << 2, mask = inside(i, from, to);
    const p = v128.and(power4(f32x4.sub(v128.load(s + o), shift), low, magic, c5, c4, c3, c2, c1, one), mask);
    v128.store(s + o, p);
    v128.store(dp + o, v128.and(f32x4.mul(p, f32x4.mul(f32x4.sub(v128.load(dp + o), pull), scale)), mask));
    i += 4;
  }
  clear(s, i, columns);
  clear(dp, i, columns);
}

/** The gradient's half: scores become weights, `dp` (dout·vᵀ) becomes the gradient of q·k. */
export function gradients(
  s: usize, dp: usize, stride: usize, rows: i32, spans: usize, sharedLow: i32, sharedColumns: i32, ownAt: i32,
  ownLow: i32, ownColumns: i32, lse: usize, lseStride: usize, out: usize, dout: usize, outStride: usize, d: i32,
  scale: f32,
): void {
  const low = f32x4.splat(-126 * unit), magic = f32x4.splat(MAGIC * unit), c5 = f32x4.splat(C5 * unit);
  const c4 = f32x4.splat(C4 * unit), c3 = f32x4.splat(C3 * unit), c2 = f32x4.splat(C2 * unit);
  const c1 = f32x4.splat(C1 * unit), one = f32x4.splat(unit);
  const whole = <usize>(d & ~3) << 2, bytes = <usize>d << 2, factor = f32x4.splat(scale);
  for (let r = 0; r < rows; r++) {
    let dots = f32x4.splat(0);
    for (let i: usize = 0; i < whole; i += 16) {
      dots = f32x4.add(dots, f32x4.mul(v128.load(out + i), v128.load(dout + i)));
    }
    let dot = sum4(dots);
    for (let i = whole; i < bytes; i += 4) dot += load<f32>(out + i) * load<f32>(dout + i);
    const a = between(load<i32>(spans), sharedLow, sharedColumns);
    const b = between(load<i32>(spans, 4), sharedLow, sharedColumns);
    const c = between(load<i32>(spans, 8), ownLow, ownColumns), e = between(load<i32>(spans, 12), ownLow, ownColumns);
    const shift = f32x4.splat(load<f32>(lse) * <f32>1.4426950408889634), pull = f32x4.splat(dot);
    const own = <usize>ownAt << 2;
    weightsAndPulls(s, dp, ownAt, a, b, shift, pull, factor, low, magic, c5, c4, c3, c2, c1, one);
    weightsAndPulls(
      s + own, dp + own, (ownColumns + 3) & ~3, c, e, shift, pull, factor, low, magic, c5, c4, c3, c2, c1, one,
    );
    s += stride;
    dp += stride;
    spans += 16;
    lse += lseStride;
    out += outStride;
    dout += outStride;
  }
}

/** Dot products of q with four keys. */
// @ts-ignore: decorator
@inline
function dots4(q: usize, k0: usize, k1: usize, k2: usize, k3: usize, d: i32): v128 {
  const whole = <usize>(d & ~3) << 2;
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
  for (let i: usize = 0; i < whole; i += 16) {
    const x = v128.load(q + i);
    a0 = f32x4.add(a0, f32x4.mul(x, v128.load(k0 + i)));
    a1 = f32x4.add(a1, f32x4.mul(x, v128.load(k1 + i)));
    a2 = f32x4.add(a2, f32x4.mul(x, v128.load(k2 + i)));
    a3 = f32x4.add(a3, f32x4.mul(x, v128.load(k3 + i)));
  }
  if (d & 2) {
    const x = v128.load64_zero(q + whole);
    a0 = f32x4.add(a0, f32x4.mul(x, v128.load64_zero(k0 + whole)));
    a1 = f32x4.add(a1, f32x4.mul(x, v128.load64_zero(k1 + whole)));
    a2 = f32x4.add(a2, f32x4.mul(x, v128.load64_zero(k2 + whole)));
    a3 = f32x4.add(a3, f32x4.mul(x, v128.load64_zero(k3 + whole)));
  }
  const b = f32x4.add(v128.shuffle<f32>(a0, a1, 0, 4, 1, 5), v128.shuffle<f32>(a0, a1, 2, 6, 3, 7));
  const c = f32x4.add(v128.shuffle<f32>(a2, a3, 0, 4, 1, 5), v128.shuffle<f32>(a2, a3, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(b, c, 0, 1, 4, 5), v128.shuffle<f32>(b, c, 2, 3, 6, 7));
}

/** One query against n ≤ CHUNK keys, by an online softmax: out, state[0] (largest) and state[1] (sum) go on. */
function attend(
  q: usize, k: usize, kStride: usize, v: usize, vStride: usize, out: usize, scores: usize, state: usize, n: i32, d: i32,
  scale2: f32,
): void {
  const low = f32x4.splat(-126 * unit), magic = f32x4.splat(MAGIC * unit), c5 = f32x4.splat(C5 * unit);
  const c4 = f32x4.splat(C4 * unit), c3 = f32x4.splat(C3 * unit), c2 = f32x4.splat(C2 * unit);
  const c1 = f32x4.splat(C1 * unit), one = f32x4.splat(unit);
  const last = n - 1, four = f32x4.splat(scale2), whole = <usize>(d & ~3) << 2;
  for (let j = 0; j < n; j += 4) {
    const k0 = k + <usize>j * kStride;
    v128.store(scores + (<usize>j << 2), f32x4.mul(four, dots4(
      q, k0, k + <usize>min(j + 1, last) * kStride, k + <usize>min(j + 2, last) * kStride,
      k + <usize>min(j + 3, last) * kStride, d,
    )));
  }
  const before = load<f32>(state), most = max(before, max4(largest(scores, 0, n, f32x4.splat(NONE))));
  const total = sum4(exponentials(
    scores, (n + 3) & ~3, 0, n, f32x4.splat(most), f32x4.splat(0), low, magic, c5, c4, c3, c2, c1, one,
  ));
  const kept = power4(f32x4.splat(before - most), low, magic, c5, c4, c3, c2, c1, one);
  const keep = before == NONE ? <f32>0 : f32x4.extract_lane(kept, 0);
  store<f32>(state, most);
  store<f32>(state, load<f32>(state, 4) * keep + total, 4);
  const keep4 = f32x4.splat(keep);
  if (keep != 1) {
    for (let i: usize = 0; i < whole; i += 16) v128.store(out + i, f32x4.mul(v128.load(out + i), keep4));
    if (d & 2) v128.store64_lane(out + whole, f32x4.mul(v128.load64_zero(out + whole), keep4), 0);
  }
  for (let j = 0; j < n; j += 4) {
    const p = scores + (<usize>j << 2);
    const p0 = v128.load32_splat(p), p1 = v128.load32_splat(p + 4), p2 = v128.load32_splat(p + 8);
    const p3 = v128.load32_splat(p + 12);
    const v0 = v + <usize>j * vStride, v1 = v + <usize>min(j + 1, last) * vStride;
    const v2 = v + <usize>min(j + 2, last) * vStride, v3 = v + <usize>min(j + 3, last) * vStride;
    for (let i: usize = 0; i < whole; i += 16) {
      const low = f32x4.add(f32x4.mul(p0, v128.load(v0 + i)), f32x4.mul(p1, v128.load(v1 + i)));
      const high = f32x4.add(f32x4.mul(p2, v128.load(v2 + i)), f32x4.mul(p3, v128.load(v3 + i)));
      v128.store(out + i, f32x4.add(v128.load(out + i), f32x4.add(low, high)));
    }
    if (d & 2) {
      const low = f32x4.add(f32x4.mul(p0, v128.load64_zero(v0 + whole)), f32x4.mul(p1, v128.load64_zero(v1 + whole)));
      const high = f32x4.add(f32x4.mul(p2, v128.load64_zero(v2 + whole)), f32x4.mul(p3, v128.load64_zero(v3 + whole)));
      v128.store64_lane(out + whole, f32x4.add(v128.load64_zero(out + whole), f32x4.add(low, high)), 0);
    }
  }
}

/** Whole attention row by row; `scratch` holds CHUNK scores and two numbers a query head. */
export function decode(
  q: usize, qStride: usize, k: usize, kStride: usize, v: usize, vStride: usize, spans: usize, out: usize, lse: usize,
  scratch: usize, rows: i32, heads: i32, kvHeads: i32, d: i32, scale2: f32,
): void {
  const bytes = <usize>d << 2, shared = heads / kvHeads, states = scratch + (CHUNK << 2);
  for (let r = 0; r < rows; r++) {
    memory.fill(out, 0, bytes * heads);
    for (let h = 0; h < heads; h++) {
      store<f32>(states + (<usize>h << 3), NONE);
      store<f32>(states + (<usize>h << 3), 0, 4);
    }
    for (let part = 0; part < 2; part++) {
      const end = load<i32>(spans, 4);
      for (let key = load<i32>(spans); key < end; key += CHUNK) {
        const n = min(end - key, CHUNK);
        for (let h = 0; h < heads; h++) {
          const at = <usize>(h / shared) * bytes;
          attend(
            q + <usize>h * bytes, k + <usize>key * kStride + at, kStride, v + <usize>key * vStride + at, vStride,
            out + <usize>h * bytes, scratch, states + (<usize>h << 3), n, d, scale2,
          );
        }
      }
      spans += 8;
    }
    for (let h = 0; h < heads; h++) {
      const most = load<f32>(states + (<usize>h << 3)), sum = load<f32>(states + (<usize>h << 3), 4);
      store<f32>(states + (<usize>h << 3), sum > 0 ? 1 / sum : 0);
      scaleRows(out, bytes, 1, d, states + (<usize>h << 3));
      store<f32>(lse, sum > 0 ? (most + log2of(sum)) * LN2 : NONE);
      out += bytes;
      lse += 4;
    }
    q += qStride;
  }
}
