// AssemblyScript of ../widen.ts. Pointers are byte offsets.

/** `count` bfloat16 numbers to float32: their 16 bits become the upper half, NaN's payload with them. */
export function widenBfloats(from: usize, to: usize, count: i32): void {
  const zero = i16x8.splat(0), whole = count & ~7;
  for (let i = 0; i < whole; i += 8, from += 16, to += 32) {
    const b = v128.load(from);
    v128.store(to, v128.shuffle<i16>(zero, b, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(to, v128.shuffle<i16>(zero, b, 4, 12, 5, 13, 6, 14, 7, 15), 16);
  }
  for (let i = whole; i < count; i++, from += 2, to += 4) store<u32>(to, <u32>load<u16>(from) << 16);
}

/**
 * `count` IEEE halves to float32. Shifted into place, exponent and fraction times 2^112 have float32's bias, subnormal
 * numbers too; what is infinite or no number gets its exponent by its bits.
 */
export function widenHalves(from: usize, to: usize, count: i32): void {
  const whole = count & ~7;
  for (let i = 0; i < whole; i += 8, from += 16, to += 32) {
    const h = v128.load(from);
    v128.store(to, widen4(i32x4.extend_low_i16x8_u(h)));
    v128.store(to, widen4(i32x4.extend_high_i16x8_u(h)), 16);
  }
  for (let i = whole; i < count; i++, from += 2, to += 4) {
    v128.store32_lane(to, widen4(i32x4.splat(load<u16>(from))), 0);
  }
}

// @ts-ignore: decorator
@inline
function widen4(h: v128): v128 {
  const magnitude = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13), exponent = i32x4.splat(0x7f800000);
  const finite = f32x4.mul(magnitude, f32x4.splat(5.192296858534828e33));
  const special = i32x4.gt_s(magnitude, i32x4.splat(0x0f7fffff));
  const value = v128.bitselect(v128.or(magnitude, exponent), finite, special);
  return v128.or(value, i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16));
}
