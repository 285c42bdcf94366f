// AssemblyScript of ../quantized_linear.ts: narrow weights to float32. All pointers are byte offsets; rows have a
// multiple of 32 weights.
import { sum4 } from "./simd";

/** Four float32 of the halves in the low halves of four lanes: shifted into place, 2^112 moves the exponent's bias. */
// @ts-ignore: decorator
@inline
function widen4(h: v128): v128 {
  const magnitude = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16);
  return v128.or(f32x4.mul(magnitude, f32x4.splat(5.192296858534828e33)), sign);
}

/** `count` halves. */
export function widenHalves(words: usize, out: usize, count: i32): void {
  for (let i = 0; i < count; i += 8) {
    const h = v128.load(words);
    v128.store(out, widen4(i32x4.extend_low_i16x8_u(h)));
    v128.store(out, widen4(i32x4.extend_high_i16x8_u(h)), 16);
    words += 16;
    out += 32;
  }
}

/** 16 signed bytes times a scale. */
// @ts-ignore: decorator
@inline
function put16(bytes: v128, scale: v128, out: usize): void {
  const low = i16x8.extend_low_i8x16_s(bytes), high = i16x8.extend_high_i8x16_s(bytes);
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)), scale));
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)), scale), 16);
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)), scale), 32);
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)), scale), 48);
}

/** `rows` rows of `columns` signed bytes, a scale each. */
export function scaleBytes(words: usize, scales: usize, out: usize, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++) {
    const scale = f32x4.splat(load<f32>(scales));
    for (let c = 0; c < columns; c += 16) {
      put16(v128.load(words), scale, out);
      words += 16;
      out += 64;
    }
    scales += 4;
  }
}

/** Blocks of 32 nibbles, a scale each; a nibble is q + 8. */
export function scaleNibbles(words: usize, scales: usize, out: usize, blocks: i32): void {
  const eight = i8x16.splat(8), mask = i8x16.splat(15);
  for (let b = 0; b < blocks; b++) {
    const bytes = v128.load(words), scale = f32x4.splat(load<f32>(scales));
    const even = i8x16.sub(v128.and(bytes, mask), eight), odd = i8x16.sub(i8x16.shr_u(bytes, 4), eight);
    put16(v128.shuffle<i8>(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), scale, out);
    put16(v128.shuffle<i8>(even, odd, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), scale, out + 64);
    words += 16;
    scales += 4;
    out += 128;
  }
}

/**
 * Rows of x in the order that nibbles come out of words: number 8·l + j of 32 goes to place 4·j + l. Rows are filled up
 * with zeros to `stride` columns.
 */
export function orderColumns(x: usize, out: usize, rows: i32, columns: i32, stride: i32): void {
  for (let r = 0; r < rows; r++, x += <usize>columns << 2) {
    for (let from = 0; from < stride; from += 32, out += 128) {
      const many = min(32, columns - from), base = x + (<usize>from << 2);
      if (many < 32) memory.fill(out, 0, 128);
      for (let c = 0; c < many; c++) {
        store<f32>(out + ((((c & 7) << 2) + (c >> 3)) << 2), load<f32>(base + (<usize>c << 2)));
      }
    }
  }
}

/** Nibble j of four words, at the top of its lane; `shift` is 28 − 4·j. As a signed number it is q·2²⁸. */
// @ts-ignore: decorator
@inline
function nibble(words: v128, shift: i32, top: v128): v128 {
  return f32x4.convert_i32x4_s(v128.and(i32x4.shl(words, shift), top));
}

// @ts-ignore: decorator
@inline
function plus(sum: v128, a: v128, x: usize): v128 {
  return f32x4.add(sum, f32x4.mul(a, v128.load(x)));
}

/**
 * y = x·Wᵀ (+ y with `add`) for few rows, W in nibbles, x in the order of {@link orderColumns}. Each weight is widened in
 * a register, once for six rows of x (then four, two, one): of a matrix too large for the caches, 0.6 bytes a weight are
 * read and none is written. Rows of y are `strideY` numbers apart.
 */
export function multiplyNibbles(
  words: usize, scales: usize, x: usize, y: usize, m: i32, n: i32, stride: i32, strideY: i32, add: bool,
): void {
  const bytes = <usize>stride << 2, next = <usize>strideY << 2, blocks = stride >> 5;
  for (let j = 0; j < n; j++, y += 4, words += <usize>blocks << 4, scales += <usize>blocks << 2) {
    let i = 0;
    for (; i + 6 <= m; i += 6) six(words, scales, x + <usize>i * bytes, bytes, blocks, y + <usize>i * next, next, add);
    for (; i + 4 <= m; i += 4) four(words, scales, x + <usize>i * bytes, bytes, blocks, y + <usize>i * next, next, add);
    if (i + 2 <= m) {
      two(words, scales, x + <usize>i * bytes, bytes, blocks, y + <usize>i * next, next, add);
      i += 2;
    }
    if (i < m) one(words, scales, x + <usize>i * bytes, blocks, y + <usize>i * next, add);
  }
}

// @ts-ignore: decorator
@inline
function put(y: usize, sum: v128, add: bool): void {
  const total = sum4(sum);
  store<f32>(y, add ? load<f32>(y) + total : total);
}

function one(words: usize, scales: usize, x: usize, blocks: i32, y: usize, add: bool): void {
  const top = i32x4.splat(0xf0000000), flip = i32x4.splat(0x88888888);
  let sum = f32x4.splat(0);
  for (let b = 0; b < blocks; b++, words += 16, scales += 4, x += 128) {
    const w = v128.xor(v128.load(words), flip); // q + 8 becomes q in two's complement
    let t = f32x4.mul(nibble(w, 28, top), v128.load(x));
    t = plus(t, nibble(w, 24, top), x + 16);
    t = plus(t, nibble(w, 20, top), x + 32);
    t = plus(t, nibble(w, 16, top), x + 48);
    t = plus(t, nibble(w, 12, top), x + 64);
    t = plus(t, nibble(w, 8, top), x + 80);
    t = plus(t, nibble(w, 4, top), x + 96);
    t = plus(t, nibble(w, 0, top), x + 112);
    sum = f32x4.add(sum, f32x4.mul(t, f32x4.splat(load<f32>(scales) * UNIT)));
  }
  put(y, sum, add);
}

/** 2⁻²⁸ */
// @ts-ignore: decorator
@inline
const UNIT: f32 = 3.725290298461914e-9;

function two(words: usize, scales: usize, x: usize, bytes: usize, blocks: i32, y: usize, next: usize, add: bool): void {
  const top = i32x4.splat(0xf0000000), flip = i32x4.splat(0x88888888);
  let sum0 = f32x4.splat(0), sum1 = sum0;
  for (let b = 0; b < blocks; b++, words += 16, scales += 4, x += 128) {
    const w = v128.xor(v128.load(words), flip), z = x + bytes;
    let q = nibble(w, 28, top);
    let t0 = f32x4.mul(q, v128.load(x)), t1 = f32x4.mul(q, v128.load(z));
    q = nibble(w, 24, top); t0 = plus(t0, q, x + 16); t1 = plus(t1, q, z + 16);
    q = nibble(w, 20, top); t0 = plus(t0, q, x + 32); t1 = plus(t1, q, z + 32);
    q = nibble(w, 16, top); t0 = plus(t0, q, x + 48); t1 = plus(t1, q, z + 48);
    q = nibble(w, 12, top); t0 = plus(t0, q, x + 64); t1 = plus(t1, q, z + 64);
    q = nibble(w, 8, top); t0 = plus(t0, q, x + 80); t1 = plus(t1, q, z + 80);
    q = nibble(w, 4, top); t0 = plus(t0, q, x + 96); t1 = plus(t1, q, z + 96);
    q = nibble(w, 0, top); t0 = plus(t0, q, x + 112); t1 = plus(t1, q, z + 112);
    const scale = f32x4.splat(load<f32>(scales) * UNIT);
    sum0 = f32x4.add(sum0, f32x4.mul(t0, scale));
    sum1 = f32x4.add(sum1, f32x4.mul(t1, scale));
  }
  put(y, sum0, add);
  put(y + next, sum1, add);
}

function four(words: usize, scales: usize, x: usize, bytes: usize, blocks: i32, y: usize, next: usize, add: bool): void {
  const top = i32x4.splat(0xf0000000), flip = i32x4.splat(0x88888888);
  let sum0 = f32x4.splat(0), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  for (let b = 0; b < blocks; b++, words += 16, scales += 4, x += 128) {
    const w = v128.xor(v128.load(words), flip), scale = f32x4.splat(load<f32>(scales) * UNIT);
    const z = x + bytes, u = z + bytes, v = u + bytes;
    let q = nibble(w, 28, top);
    let t0 = f32x4.mul(q, v128.load(x)), t1 = f32x4.mul(q, v128.load(z));
    let t2 = f32x4.mul(q, v128.load(u)), t3 = f32x4.mul(q, v128.load(v));
    q = nibble(w, 24, top);
    t0 = plus(t0, q, x + 16); t1 = plus(t1, q, z + 16); t2 = plus(t2, q, u + 16); t3 = plus(t3, q, v + 16);
    q = nibble(w, 20, top);
    t0 = plus(t0, q, x + 32); t1 = plus(t1, q, z + 32); t2 = plus(t2, q, u + 32); t3 = plus(t3, q, v + 32);
    q = nibble(w, 16, top);
    t0 = plus(t0, q, x + 48); t1 = plus(t1, q, z + 48); t2 = plus(t2, q, u + 48); t3 = plus(t3, q, v + 48);
    q = nibble(w, 12, top);
    t0 = plus(t0, q, x + 64); t1 = plus(t1, q, z + 64); t2 = plus(t2, q, u + 64); t3 = plus(t3, q, v + 64);
    q = nibble(w, 8, top);
    t0 = plus(t0, q, x + 80); t1 = plus(t1, q, z + 80); t2 = plus(t2, q, u + 80); t3 = plus(t3, q, v + 80);
    q = nibble(w, 4, top);
    t0 = plus(t0, q, x + 96); t1 = plus(t1, q, z + 96); t2 = plus(t2, q, u + 96); t3 = plus(t3, q, v + 96);
    q = nibble(w, 0, top);
    t0 = plus(t0, q, x + 112); t1 = plus(t1, q, z + 112); t2 = plus(t2, q, u + 112); t3 = plus(t3, q, v + 112);
    sum0 = f32x4.add(sum0, f32x4.mul(t0, scale));
    sum1 = f32x4.add(sum1, f32x4.mul(t1, scale));
    sum2 = f32x4.add(sum2, f32x4.mul(t2, scale));
    sum3 = f32x4.add(sum3, f32x4.mul(t3, scale));
  }
  put(y, sum0, add);
  put(y + next, sum1, add);
  put(y + 2 * next, sum2, add);
  put(y + 3 * next, sum3, add);
}

function six(words: usize, scales: usize, x: usize, bytes: usize, blocks: i32, y: usize, next: usize, add: bool): void {
  const top = i32x4.splat(0xf0000000), flip = i32x4.splat(0x88888888);
  let sum0 = f32x4.splat(0), sum1 = sum0, sum2 = sum0, sum3 = sum0, sum4 = sum0, sum5 = sum0;
  for (let b = 0; b < blocks; b++, words += 16, scales += 4, x += 128) {
    const w = v128.xor(v128.load(words), flip), scale = f32x4.splat(load<f32>(scales) * UNIT);
    const z = x + bytes, u = z + bytes, v = u + bytes, s = v + bytes, r = s + bytes;
    let q = nibble(w, 28, top);
    let t0 = f32x4.mul(q, v128.load(x)), t1 = f32x4.mul(q, v128.load(z));
    let t2 = f32x4.mul(q, v128.load(u)), t3 = f32x4.mul(q, v128.load(v));
    let t4 = f32x4.mul(q, v128.load(s)), t5 = f32x4.mul(q, v128.load(r));
    q = nibble(w, 24, top);
    t0 = plus(t0, q, x + 16); t1 = plus(t1, q, z + 16); t2 = plus(t2, q, u + 16);
    t3 = plus(t3, q, v + 16); t4 = plus(t4, q, s + 16); t5 = plus(t5, q, r + 16);
    q = nibble(w, 20, top);
    t0 = plus(t0, q, x + 32); t1 = plus(t1, q, z + 32); t2 = plus(t2, q, u + 32);
    t3 = plus(t3, q, v + 32); t4 = plus(t4, q, s + 32); t5 = plus(t5, q, r + 32);
    q = nibble(w, 16, top);
    t0 = plus(t0, q, x + 48); t1 = plus(t1, q, z + 48); t2 = plus(t2, q, u + 48);
    t3 = plus(t3, q, v + 48); t4 = plus(t4, q, s + 48); t5 = plus(t5, q, r + 48);
    q = nibble(w, 12, top);
    t0 = plus(t0, q, x + 64); t1 = plus(t1, q, z + 64); t2 = plus(t2, q, u + 64);
    t3 = plus(t3, q, v + 64); t4 = plus(t4, q, s + 64); t5 = plus(t5, q, r + 64);
    q = nibble(w, 8, top);
    t0 = plus(t0, q, x + 80); t1 = plus(t1, q, z + 80); t2 = plus(t2, q, u + 80);
    t3 = plus(t3, q, v + 80); t4 = plus(t4, q, s + 80); t5 = plus(t5, q, r + 80);
    q = nibble(w, 4, top);
    t0 = plus(t0, q, x + 96); t1 = plus(t1, q, z + 96); t2 = plus(t2, q, u + 96);
    t3 = plus(t3, q, v + 96); t4 = plus(t4, q, s + 96); t5 = plus(t5, q, r + 96);
    q = nibble(w, 0, top);
    t0 = plus(t0, q, x + 112); t1 = plus(t1, q, z + 112); t2 = plus(t2, q, u + 112);
    t3 = plus(t3, q, v + 112); t4 = plus(t4, q, s + 112); t5 = plus(t5, q, r + 112);
    sum0 = f32x4.add(sum0, f32x4.mul(t0, scale));
    sum1 = f32x4.add(sum1, f32x4.mul(t1, scale));
    sum2 = f32x4.add(sum2, f32x4.mul(t2, scale));
    sum3 = f32x4.add(sum3, f32x4.mul(t3, scale));
    sum4 = f32x4.add(sum4, f32x4.mul(t4, scale));
    sum5 = f32x4.add(sum5, f32x4.mul(t5, scale));
  }
  put(y, sum0, add);
  put(y + next, sum1, add);
  put(y + 2 * next, sum2, add);
  put(y + 3 * next, sum3, add);
  put(y + 4 * next, sum4, add);
  put(y + 5 * next, sum5, add);
}
