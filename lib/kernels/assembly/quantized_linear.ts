// AssemblyScript of ../quantized_linear.ts: narrow weights to float32. All pointers are byte offsets; rows have a
// multiple of 32 weights.

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
