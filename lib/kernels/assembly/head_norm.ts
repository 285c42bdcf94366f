// AssemblyScript of ../head_norm.ts: head by head on fused rows of queries, keys and values.
import { sum4 } from "./simd";

// @ts-ignore: decorator
@inline
function inverseRoot(x: usize, whole: usize, bytes: usize, d: i32, eps: f32): f32 {
  let squares = f32x4.splat(0);
  let tail: f32 = 0;
  for (let i: usize = 0; i < whole; i += 16) squares = f32x4.add(squares, f32x4.mul(v128.load(x + i), v128.load(x + i)));
  for (let i = whole; i < bytes; i += 4) tail += load<f32>(x + i) * load<f32>(x + i);
  return 1 / sqrt<f32>((sum4(squares) + tail) / <f32>d + eps);
}

export function forward(x: usize, q: usize, k: usize, y: usize, rows: i32, heads: i32, kvHeads: i32, d: i32, eps: f32): void {
  const bytes = <usize>d << 2, whole = <usize>(d & ~3) << 2, values = <usize>kvHeads * bytes;
  for (let r = 0; r < rows; r++) {
    for (let h = 0; h < heads + kvHeads; h++) {
      const w = h < heads ? q : k;
      const scale = inverseRoot(x, whole, bytes, d, eps), scale4 = f32x4.splat(scale);
      for (let i: usize = 0; i < whole; i += 16) {
        v128.store(y + i, f32x4.mul(f32x4.mul(v128.load(x + i), scale4), v128.load(w + i)));
      }
      for (let i = whole; i < bytes; i += 4) store<f32>(y + i, load<f32>(x + i) * scale * load<f32>(w + i));
      x += bytes;
      y += bytes;
    }
    memory.copy(y, x, values);
    x += values;
    y += values;
  }
}

/** dy becomes dx = r·(w·dy − x·r²·mean(w·dy·x)); dq, dk += Σ dy·x·r (0: none). */
export function backward(
  x: usize, q: usize, k: usize, dy: usize, dq: usize, dk: usize, rows: i32, heads: i32, kvHeads: i32, d: i32, eps: f32,
): void {
  const bytes = <usize>d << 2, whole = <usize>(d & ~3) << 2, values = <usize>kvHeads * bytes;
  for (let r = 0; r < rows; r++) {
    for (let h = 0; h < heads + kvHeads; h++) {
      const w = h < heads ? q : k, dw = h < heads ? dq : dk;
      const scale = inverseRoot(x, whole, bytes, d, eps);
      let dots = f32x4.splat(0);
      let tail: f32 = 0;
      for (let i: usize = 0; i < whole; i += 16) {
        dots = f32x4.add(dots, f32x4.mul(f32x4.mul(v128.load(w + i), v128.load(dy + i)), v128.load(x + i)));
      }
      for (let i = whole; i < bytes; i += 4) tail += load<f32>(w + i) * load<f32>(dy + i) * load<f32>(x + i);
      const pull: f32 = (sum4(dots) + tail) * scale * scale * scale / <f32>d;
      const scale4 = f32x4.splat(scale), pull4 = f32x4.splat(pull);
      for (let i: usize = 0; i < whole; i += 16) {
        const v = v128.load(x + i), g = f32x4.mul(v128.load(dy + i), scale4);
        if (dw != 0) v128.store(dw + i, f32x4.add(v128.load(dw + i), f32x4.mul(g, v)));
        v128.store(dy + i, f32x4.sub(f32x4.mul(v128.load(w + i), g), f32x4.mul(v, pull4)));
      }
      for (let i = whole; i < bytes; i += 4) {
        const v = load<f32>(x + i), g = load<f32>(dy + i) * scale;
        if (dw != 0) store<f32>(dw + i, load<f32>(dw + i) + g * v);
        store<f32>(dy + i, load<f32>(w + i) * g - v * pull);
      }
      x += bytes;
      dy += bytes;
    }
    x += values;
    dy += values;
  }
}
