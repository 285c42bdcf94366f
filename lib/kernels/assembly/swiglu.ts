// AssemblyScript of ../swiglu.ts. gu is [rows, 2f]: gate columns, then up columns.
import { C1, C2, C3, C4, C5, exp1, LOG2E, MAGIC, power4 } from "./simd";

/** One, but no compiler knows: see power4. */
export let unit: f32 = 1;

/** σ(g), with the constants of power4. */
// @ts-ignore: decorator
@inline
function sigmoid4(
  g: v128, turn: v128, high: v128, low: v128, magic: v128, c5: v128, c4: v128, c3: v128, c2: v128, c1: v128, one: v128,
): v128 {
  const e = power4(f32x4.pmin(f32x4.mul(turn, g), high), low, magic, c5, c4, c3, c2, c1, one);
  return f32x4.div(one, f32x4.add(one, e));
}

export function forward(gu: usize, y: usize, rows: i32, f: i32): void {
  const bytes = <usize>f << 2, whole = <usize>(f & ~3) << 2;
  const low = f32x4.splat(-126 * unit), magic = f32x4.splat(MAGIC * unit), c5 = f32x4.splat(C5 * unit);
  const c4 = f32x4.splat(C4 * unit), c3 = f32x4.splat(C3 * unit), c2 = f32x4.splat(C2 * unit);
  const c1 = f32x4.splat(C1 * unit), one = f32x4.splat(unit);
  const high = f32x4.splat(126 * unit), turn = f32x4.splat(-LOG2E * unit);
  for (let r = 0; r < rows; r++) {
    const up = gu + bytes;
    for (let i: usize = 0; i < whole; i += 16) {
      const g = v128.load(gu + i);
      const s = sigmoid4(g, turn, high, low, magic, c5, c4, c3, c2, c1, one);
      v128.store(y + i, f32x4.mul(f32x4.mul(g, s), v128.load(up + i)));
    }
    for (let i = whole; i < bytes; i += 4) {
      const g = load<f32>(gu + i);
      store<f32>(y + i, g / (1 + exp1(-g)) * load<f32>(up + i));
    }
    gu += 2 * bytes;
    y += bytes;
  }
}

/** dgu may be gu itself; y, where it is not 0, gets the forward result. */
export function backward(gu: usize, dy: usize, dgu: usize, y: usize, rows: i32, f: i32): void {
  const bytes = <usize>f << 2, whole = <usize>(f & ~3) << 2;
  const low = f32x4.splat(-126 * unit), magic = f32x4.splat(MAGIC * unit), c5 = f32x4.splat(C5 * unit);
  const c4 = f32x4.splat(C4 * unit), c3 = f32x4.splat(C3 * unit), c2 = f32x4.splat(C2 * unit);
  const c1 = f32x4.splat(C1 * unit), one = f32x4.splat(unit);
  const high = f32x4.splat(126 * unit), turn = f32x4.splat(-LOG2E * unit);
  for (let r = 0; r < rows; r++) {
    for (let i: usize = 0; i < whole; i += 16) {
      const g = v128.load(gu + i), u = v128.load(gu + bytes + i), d = v128.load(dy + i);
      const s = sigmoid4(g, turn, high, low, magic, c5, c4, c3, c2, c1, one), gs = f32x4.mul(g, s);
      // silu' = s·(1 + g·(1 − s)) = s + gs − gs·s
      const slope = f32x4.sub(f32x4.add(s, gs), f32x4.mul(gs, s));
      v128.store(dgu + i, f32x4.mul(f32x4.mul(d, u), slope));
      v128.store(dgu + bytes + i, f32x4.mul(d, gs));
      if (y != 0) v128.store(y + i, f32x4.mul(gs, u));
    }
    for (let i = whole; i < bytes; i += 4) {
      const g = load<f32>(gu + i), u = load<f32>(gu + bytes + i), d = load<f32>(dy + i);
      const s: f32 = 1 / (1 + exp1(-g));
      store<f32>(dgu + i, d * u * (s + g * s * (1 - s)));
      store<f32>(dgu + bytes + i, d * g * s);
      if (y != 0) store<f32>(y + i, g * s * u);
    }
    gu += 2 * bytes;
    dgu += 2 * bytes;
    if (y != 0) y += bytes;
    dy += bytes;
  }
}
