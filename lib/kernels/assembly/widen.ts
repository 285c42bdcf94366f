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
