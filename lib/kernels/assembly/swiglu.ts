// AssemblyScript of ../swiglu.ts. gu is [rows, 2f]: gate columns, then up columns.
import { exp1, exp4 } from "./simd";

export function forward(gu: usize, y: usize, rows: i32, f: i32): void {
  const bytes = <usize>f << 2, whole = <usize>(f & ~3) << 2;
  const one = f32x4.splat(1);
  for (let r = 0; r < rows; r++) {
    const up = gu + bytes;
    for (let i: usize = 0; i < whole; i += 16) {
      const g = v128.load(gu + i);
      v128.store(y + i, f32x4.mul(f32x4.div(g, f32x4.add(one, exp4(f32x4.neg(g)))), v128.load(up + i)));
    }
    for (let i = whole; i < bytes; i += 4) {
      const g = load<f32>(gu + i);
      store<f32>(y + i, g / (1 + exp1(-g)) * load<f32>(up + i));
    }
    gu += 2 * bytes;
    y += bytes;
  }
}

/** dgu may be gu itself. */
export function backward(gu: usize, dy: usize, dgu: usize, rows: i32, f: i32): void {
  const bytes = <usize>f << 2, whole = <usize>(f & ~3) << 2;
  const one = f32x4.splat(1);
  for (let r = 0; r < rows; r++) {
    for (let i: usize = 0; i < whole; i += 16) {
      const g = v128.load(gu + i), u = v128.load(gu + bytes + i), d = v128.load(dy + i);
      const s = f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(g))));
      const gs = f32x4.mul(g, s);
      // silu' = s·(1 + g·(1 − s)) = s + gs − gs·s
      const slope = f32x4.sub(f32x4.add(s, gs), f32x4.mul(gs, s));
      v128.store(dgu + i, f32x4.mul(f32x4.mul(d, u), slope));
      v128.store(dgu + bytes + i, f32x4.mul(d, gs));
    }
    for (let i = whole; i < bytes; i += 4) {
      const g = load<f32>(gu + i), u = load<f32>(gu + bytes + i), d = load<f32>(dy + i);
      const s: f32 = 1 / (1 + exp1(-g));
      store<f32>(dgu + i, d * u * (s + g * s * (1 - s)));
      store<f32>(dgu + bytes + i, d * g * s);
    }
    gu += 2 * bytes;
    dgu += 2 * bytes;
    dy += bytes;
  }
}
