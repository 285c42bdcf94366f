// AssemblyScript of ../gelu.ts: y = x·σ(t), t = 2√(2/π)·(c + 0.044715·c³), c = x clamped to ±10.
import { exp4 } from "./simd";

// @ts-ignore: decorator
@inline
function clamp4(x: v128): v128 {
  return f32x4.max(f32x4.splat(-10), f32x4.min(f32x4.splat(10), x));
}

// @ts-ignore: decorator
@inline
function sigma4(c: v128): v128 {
  const inner = f32x4.add(f32x4.splat(1), f32x4.mul(f32x4.splat(0.044715), f32x4.mul(c, c)));
  const t = f32x4.mul(f32x4.mul(f32x4.splat(-1.5957691216057308), c), inner);
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp4(t)));
}

// @ts-ignore: decorator
@inline
function slope4(c: v128): v128 {
  const s = sigma4(c), one = f32x4.splat(1);
  const steep = f32x4.mul(f32x4.splat(1.5957691216057308), f32x4.add(one, f32x4.mul(f32x4.splat(0.134145), f32x4.mul(c, c))));
  return f32x4.add(s, f32x4.mul(f32x4.mul(c, steep), f32x4.mul(s, f32x4.sub(one, s))));
}

export function forward(x: usize, y: usize, size: i32): void {
  const bytes = <usize>size << 2, whole = <usize>(size & ~3) << 2;
  for (let i: usize = 0; i < whole; i += 16) {
    const v = v128.load(x + i);
    v128.store(y + i, f32x4.mul(v, sigma4(clamp4(v))));
  }
  for (let i = whole; i < bytes; i += 4) {
    const v = f32x4.splat(load<f32>(x + i));
    store<f32>(y + i, f32x4.extract_lane(f32x4.mul(v, sigma4(clamp4(v))), 0));
  }
}

/** dx may be dy or x itself; y, where it is not 0, gets the forward result. */
export function backward(x: usize, dy: usize, dx: usize, y: usize, size: i32): void {
  if (y != 0) forward(x, y, size);
  const bytes = <usize>size << 2, whole = <usize>(size & ~3) << 2;
  for (let i: usize = 0; i < whole; i += 16) {
    v128.store(dx + i, f32x4.mul(v128.load(dy + i), slope4(clamp4(v128.load(x + i)))));
  }
  for (let i = whole; i < bytes; i += 4) {
    const slope = f32x4.extract_lane(slope4(clamp4(f32x4.splat(load<f32>(x + i)))), 0);
    store<f32>(dx + i, load<f32>(dy + i) * slope);
  }
}
