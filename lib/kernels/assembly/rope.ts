// AssemblyScript of ../rope.ts: rotates the first `heads` heads of each row in place.
// table: [positions, half] pairs of (cos block of half, sin block of half): cos at p·2·half, sin behind it.

export function rotate(
  x: usize, positions: usize, table: usize, rows: i32, stride: i32, heads: i32, half: i32, sign: f32,
): void {
  const halfBytes = <usize>half << 2, whole = <usize>(half & ~3) << 2;
  const sign4 = f32x4.splat(sign);
  for (let r = 0; r < rows; r++) {
    const cos = table + (<usize>load<i32>(positions) * 2) * halfBytes, sin = cos + halfBytes;
    let a = x;
    for (let h = 0; h < heads; h++) {
      const b = a + halfBytes;
      for (let i: usize = 0; i < whole; i += 16) {
        const c = v128.load(cos + i), s = f32x4.mul(v128.load(sin + i), sign4);
        const u = v128.load(a + i), v = v128.load(b + i);
        v128.store(a + i, f32x4.sub(f32x4.mul(u, c), f32x4.mul(v, s)));
        v128.store(b + i, f32x4.add(f32x4.mul(v, c), f32x4.mul(u, s)));
      }
      for (let i = whole; i < halfBytes; i += 4) {
        const c = load<f32>(cos + i), s: f32 = load<f32>(sin + i) * sign;
        const u = load<f32>(a + i), v = load<f32>(b + i);
        store<f32>(a + i, u * c - v * s);
        store<f32>(b + i, v * c + u * s);
      }
      a += 2 * halfBytes;
    }
    x += <usize>stride << 2;
    positions += 4;
  }
}
