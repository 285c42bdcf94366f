// AssemblyScript of ../product/_narrow_dots.ts: products of rows of numbers with narrow weights, as sums of whole numbers.
// The rows are rounded first; sums of whole numbers are exact, so they are the same in any order and in either build.
// Pointers are byte offsets; rows of weights have a multiple of 32.

// Built twice (FUSED, which the build sets, is 0 or 1): in narrow_dots_fused four products of bytes and their sum are one
// instruction, whose second factor must lie within 0 and 127; here, of numbers of 16 bits, two.

/** Steps that a row's largest number has beside 8-bit weights, and a block's beside 4-bit ones. */
const FINE: f32 = 8127, COARSE: f32 = 127;
/** Half of 14 bits, in the middle of the numbers whose two halves have 7 bits each. */
const MIDDLE: i32 = 8128;
/** Numbers less than this in size are taken for zero: their steps would not be numbers. */
const LEAST: f32 = 1e-30;
/** Columns whose products with 8-bit weights 32 bits hold the sum of, four sums at a time. */
const COLUMNS: i32 = 8192;
/** Bytes before a row of fine steps: its scale. */
const HEAD: usize = 16;
/** Bytes of 32 numbers in coarse steps: themselves, −8 times their sum, and their scale. */
const BLOCK: usize = 48;

// What no compiler knows: V8 makes a constant of 128 bits anew at each use.
export let one: i32 = 1;

/** sum + products of signed bytes and bytes from 0 to 127, four to each of four sums. */
// @ts-ignore: decorator
@inline
function dot4(signed: v128, bytes: v128, sum: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(signed, bytes, sum);
}

/** Whether the engine has one instruction for the sum of four products, not two and an addition in 16 bits, which saturate. */
export function fuses(): bool {
  if (!FUSED) return false;
  const zero = i32x4.splat(0), sum = dot4(i8x16.splat(<i8>(127 * one)), i8x16.splat(<i8>(-one)), zero);
  return i32x4.extract_lane(sum, 0) != 65534;
}

// @ts-ignore: decorator
@inline
function largest(x: usize, count: i32): f32 {
  let most = f32x4.splat(0), rest: f32 = 0;
  const whole = count & ~3;
  for (let c = 0; c < whole; c += 4) most = f32x4.max(most, f32x4.abs(v128.load(x + (<usize>c << 2))));
  for (let c = whole; c < count; c++) rest = max(rest, abs(load<f32>(x + (<usize>c << 2))));
  const low = max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1));
  return max(max(low, max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3))), rest);
}

// @ts-ignore: decorator
@inline
function rounded(x: usize, inverse: f32): i32 {
  return <i32>nearest(load<f32>(x) * inverse);
}

/**
 * Rows of x in steps of an 8,127th of their largest number. A row is its scale in 16 bytes, then 32 bytes for 16 numbers:
 * fused, the upper and the lower 7 bits of each plus 8,128; else 16 bits each.
 */
export function fineSteps(x: usize, out: usize, rows: i32, columns: i32, stride: i32): void {
  for (let r = 0; r < rows; r++, x += <usize>columns << 2) {
    const most = largest(x, columns), none = most < LEAST; // NaN is not less: it is handed on by the scale
    const inverse: f32 = none ? 0 : FINE / most;
    store<f32>(out, none ? 0 : most / FINE);
    out += HEAD;
    for (let from = 0; from < stride; from += 16, out += 32) {
      const base = x + (<usize>from << 2);
      for (let c = 0; c < 16; c++) {
        const q = from + c < columns ? rounded(base + (<usize>c << 2), inverse) : 0;
        if (FUSED) {
          const up = q + MIDDLE;
          store<u8>(out + c, <u8>(up >> 7));
          store<u8>(out + c, <u8>(up & 127), 16);
        } else store<i16>(out + (<usize>c << 1), <i16>q);
      }
    }
  }
}

/**
 * Rows of x in steps of a 127th of the largest of each 32 numbers, first those of even place, then the odd ones: as they
 * come out of nibbles.
 */
export function coarseSteps(x: usize, out: usize, rows: i32, columns: i32, stride: i32): void {
  for (let r = 0; r < rows; r++, x += <usize>columns << 2) {
    for (let from = 0; from < stride; from += 32, out += BLOCK) {
      const base = x + (<usize>from << 2), count = min(32, columns - from), most = largest(base, count);
      const none = most < LEAST, inverse: f32 = none ? 0 : COARSE / most;
      let sum = 0;
      for (let c = 0; c < 32; c++) {
        const q = c < count ? rounded(base + (<usize>c << 2), inverse) : 0;
        store<i8>(out + (c >> 1) + ((c & 1) << 4), <i8>q);
        sum += q;
      }
      store<i32>(out, -8 * sum, 32);
      store<f32>(out, none ? 0 : most / COARSE, 36);
    }
  }
}

/** sum + 16 products of signed bytes at `x` and bytes from 0 to 127, in four sums. */
// @ts-ignore: decorator
@inline
function plus16(x: usize, bytes: v128, sum: v128): v128 {
  if (FUSED) return dot4(v128.load(x), bytes, sum);
  const low = i32x4.dot_i16x8_s(v128.load_ext<i8>(x), i16x8.extend_low_i8x16_u(bytes));
  const high = i32x4.dot_i16x8_s(v128.load_ext<i8>(x, 8), i16x8.extend_high_i8x16_u(bytes));
  return i32x4.add(sum, i32x4.add(low, high));
}

/** One block: sum + scale · Σ (q + 8 − 8)·x. */
// @ts-ignore: decorator
@inline
function plusBlock(even: v128, odd: v128, scale: v128, x: usize, sum: v128): v128 {
  const whole = plus16(x + 16, odd, plus16(x, even, v128.load32_zero(x, 32)));
  const numbers = f32x4.convert_i32x4_s(whole), both = f32x4.mul(scale, v128.load32_splat(x, 36));
  return FUSED ? f32x4.relaxed_madd(numbers, both, sum) : f32x4.add(sum, f32x4.mul(numbers, both));
}

// @ts-ignore: decorator
@inline
function put(y: usize, sum: v128, add: bool): void {
  const total = (f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1)) +
    (f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3));
  store<f32>(y, add ? load<f32>(y) + total : total);
}

/** y = x·Wᵀ (+ y with `add`), W in nibbles with a scale for 32, x in coarse steps. Rows of y are `strideY` numbers apart. */
export function dotNibbles(
  words: usize, scales: usize, x: usize, y: usize, m: i32, n: i32, stride: i32, strideY: i32, add: bool,
): void {
  const blocks = stride >> 5, rowX = <usize>blocks * BLOCK, next = <usize>strideY << 2, rowW = <usize>blocks << 4;
  const mask = i8x16.splat(<i8>(15 * one));
  for (let j = 0; j < n; j += 2, y += 8, words += 2 * rowW, scales += <usize>blocks << 3) {
    // Past the last row of W it is read again, and its sums are dropped.
    const two = j + 1 < n, V = two ? rowW : 0, S = two ? <usize>blocks << 2 : 0;
    let X = x, Y = y, i = 0;
    for (; i + 2 <= m; i += 2, X += 2 * rowX, Y += 2 * next) {
      let s00 = f32x4.splat(0), s01 = s00, s10 = s00, s11 = s00;
      let w = words, s = scales, x0 = X, x1 = X + rowX;
      for (let b = 0; b < blocks; b++, w += 16, s += 4, x0 += BLOCK, x1 += BLOCK) {
        const bytes = v128.load(w), even = v128.and(bytes, mask), odd = v128.and(i16x8.shr_u(bytes, 4), mask);
        const scale = v128.load32_splat(s);
        s00 = plusBlock(even, odd, scale, x0, s00);
        s10 = plusBlock(even, odd, scale, x1, s10);
        const bytes1 = v128.load(w + V), even1 = v128.and(bytes1, mask), odd1 = v128.and(i16x8.shr_u(bytes1, 4), mask);
        const scale1 = v128.load32_splat(s + S);
        s01 = plusBlock(even1, odd1, scale1, x0, s01);
        s11 = plusBlock(even1, odd1, scale1, x1, s11);
      }
      put(Y, s00, add);
      put(Y + next, s10, add);
      if (!two) continue;
      put(Y + 4, s01, add);
      put(Y + 4 + next, s11, add);
    }
    if (i == m) continue;
    let s0 = f32x4.splat(0), s1 = s0, w = words, s = scales;
    for (let b = 0; b < blocks; b++, w += 16, s += 4, X += BLOCK) {
      const bytes = v128.load(w), bytes1 = v128.load(w + V);
      s0 = plusBlock(v128.and(bytes, mask), v128.and(i16x8.shr_u(bytes, 4), mask), v128.load32_splat(s), X, s0);
      s1 = plusBlock(v128.and(bytes1, mask), v128.and(i16x8.shr_u(bytes1, 4), mask), v128.load32_splat(s + S), X, s1);
    }
    put(Y, s0, add);
    if (two) put(Y + 4, s1, add);
  }
}

// @ts-ignore: decorator
@inline
function total(sum: v128): i64 {
  return <i64>i32x4.extract_lane(sum, 0) + <i64>i32x4.extract_lane(sum, 1) + <i64>i32x4.extract_lane(sum, 2) +
    <i64>i32x4.extract_lane(sum, 3);
}

// @ts-ignore: decorator
@inline
function putWhole(y: usize, whole: i64, scaleW: f32, scaleX: f32, add: bool): void {
  const value = <f32>(<f64>whole * (<f64>scaleW * <f64>scaleX));
  store<f32>(y, add ? load<f32>(y) + value : value);
}

/** y = x·Wᵀ (+ y with `add`), W in signed bytes with a scale a row, x in fine steps. */
export function dotBytes(
  words: usize, scales: usize, x: usize, y: usize, m: i32, n: i32, stride: i32, strideY: i32, add: bool,
): void {
  const row = HEAD + (<usize>stride << 1), next = <usize>strideY << 2;
  for (let j = 0; j < n; j += 2, y += 8, words += <usize>stride << 1, scales += 8) {
    // Past the last row of W it is read again, and put to the same place.
    const last: usize = j + 1 == n ? 0 : 1;
    const V = words + <usize>stride * last, scale0 = load<f32>(scales), scale1 = load<f32>(scales + 4 * last);
    let X = x, Y = y, i = 0;
    for (; i + 2 <= m; i += 2, X += 2 * row, Y += 2 * next) {
      let t00: i64 = 0, t01: i64 = 0, t10: i64 = 0, t11: i64 = 0;
      for (let from = 0; from < stride; from += COLUMNS) {
        const end = words + min(stride, from + COLUMNS);
        let x0 = X + HEAD + (<usize>from << 1), x1 = x0 + row, v = V + from;
        let a00 = i32x4.splat(0), a01 = a00, a10 = a00, a11 = a00;
        if (FUSED) {
          const ones = i8x16.splat(<i8>one);
          let b00 = a00, b01 = a00, b10 = a00, b11 = a00, n0 = a00, n1 = a00;
          for (let w = words + from; w < end; w += 16, v += 16, x0 += 32, x1 += 32) {
            const w0 = v128.load(w), w1 = v128.load(v);
            n0 = dot4(w0, ones, n0);
            n1 = dot4(w1, ones, n1);
            const h0 = v128.load(x0);
            a00 = dot4(w0, h0, a00);
            a01 = dot4(w1, h0, a01);
            const l0 = v128.load(x0, 16);
            b00 = dot4(w0, l0, b00);
            b01 = dot4(w1, l0, b01);
            const h1 = v128.load(x1);
            a10 = dot4(w0, h1, a10);
            a11 = dot4(w1, h1, a11);
            const l1 = v128.load(x1, 16);
            b10 = dot4(w0, l1, b10);
            b11 = dot4(w1, l1, b11);
          }
          const o0 = total(n0) * MIDDLE, o1 = total(n1) * MIDDLE;
          t00 += (total(a00) << 7) + total(b00) - o0;
          t01 += (total(a01) << 7) + total(b01) - o1;
          t10 += (total(a10) << 7) + total(b10) - o0;
          t11 += (total(a11) << 7) + total(b11) - o1;
        } else {
          for (let w = words + from; w < end; w += 8, v += 8, x0 += 16, x1 += 16) {
            const w0 = v128.load_ext<i8>(w), w1 = v128.load_ext<i8>(v), q0 = v128.load(x0), q1 = v128.load(x1);
            a00 = i32x4.add(a00, i32x4.dot_i16x8_s(w0, q0));
            a01 = i32x4.add(a01, i32x4.dot_i16x8_s(w1, q0));
            a10 = i32x4.add(a10, i32x4.dot_i16x8_s(w0, q1));
            a11 = i32x4.add(a11, i32x4.dot_i16x8_s(w1, q1));
          }
          t00 += total(a00);
          t01 += total(a01);
          t10 += total(a10);
          t11 += total(a11);
        }
      }
      const s0 = load<f32>(X), s1 = load<f32>(X + row);
      putWhole(Y, t00, scale0, s0, add);
      putWhole(Y + next, t10, scale0, s1, add);
      if (last == 0) continue;
      putWhole(Y + 4, t01, scale1, s0, add);
      putWhole(Y + 4 + next, t11, scale1, s1, add);
    }
    if (i == m) continue;
    let t0: i64 = 0, t1: i64 = 0;
    for (let from = 0; from < stride; from += COLUMNS) {
      const end = words + min(stride, from + COLUMNS);
      let x0 = X + HEAD + (<usize>from << 1), v = V + from;
      let a0 = i32x4.splat(0), a1 = a0;
      if (FUSED) {
        const ones = i8x16.splat(<i8>one);
        let b0 = a0, b1 = a0, n0 = a0, n1 = a0;
        for (let w = words + from; w < end; w += 16, v += 16, x0 += 32) {
          const w0 = v128.load(w), w1 = v128.load(v), h = v128.load(x0), l = v128.load(x0, 16);
          n0 = dot4(w0, ones, n0);
          n1 = dot4(w1, ones, n1);
          a0 = dot4(w0, h, a0);
          a1 = dot4(w1, h, a1);
          b0 = dot4(w0, l, b0);
          b1 = dot4(w1, l, b1);
        }
        t0 += (total(a0) << 7) + total(b0) - total(n0) * MIDDLE;
        t1 += (total(a1) << 7) + total(b1) - total(n1) * MIDDLE;
      } else {
        for (let w = words + from; w < end; w += 8, v += 8, x0 += 16) {
          const q = v128.load(x0);
          a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v128.load_ext<i8>(w), q));
          a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v128.load_ext<i8>(v), q));
        }
        t0 += total(a0);
        t1 += total(a1);
      }
    }
    putWhole(Y, t0, scale0, load<f32>(X), add);
    if (last != 0) putWhole(Y + 4, t1, scale1, load<f32>(X), add);
  }
}
