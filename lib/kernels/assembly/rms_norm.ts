// AssemblyScript of ../rms_norm.ts: row by row on the heap of TF.js. All pointers are byte offsets.
import { sum4 } from "./simd";

/** sum = x + residual (where residual ≠ 0); y = sum · rstd · w, rstd = 1/√(mean(sum²) + eps); sum and x may be one. */
export function forward(
  x: usize, residual: usize, w: usize, sum: usize, y: usize, rstd: usize, rows: i32, d: i32, eps: f32,
): void {
  const bytes = <usize>d << 2, whole = <usize>(d & ~3) << 2;
  for (let r = 0; r < rows; r++) {
    let squares = f32x4.splat(0);
    let tail: f32 = 0;
    if (residual != 0) {
      for (let i: usize = 0; i < whole; i += 16) {
        const v = f32x4.add(v128.load(x + i), v128.load(residual + i));
        v128.store(sum + i, v);
        squares = f32x4.add(squares, f32x4.mul(v, v));
      }
      for (let i = whole; i < bytes; i += 4) {
        const v = load<f32>(x + i) + load<f32>(residual + i);
        store<f32>(sum + i, v);
        tail += v * v;
      }
      residual += bytes;
    } else {
      for (let i: usize = 0; i < whole; i += 16) {
        const v = v128.load(x + i);
        squares = f32x4.add(squares, f32x4.mul(v, v));
      }
      for (let i = whole; i < bytes; i += 4) tail += load<f32>(x + i) * load<f32>(x + i);
    }
    const scale: f32 = 1 / sqrt<f32>((sum4(squares) + tail) / <f32>d + eps);
    store<f32>(rstd, scale);
    const four = f32x4.splat(scale);
    for (let i: usize = 0; i < whole; i += 16) {
      v128.store(y + i, f32x4.mul(f32x4.mul(v128.load(sum + i), four), v128.load(w + i)));
    }
    for (let i = whole; i < bytes; i += 4) store<f32>(y + i, load<f32>(sum + i) * scale * load<f32>(w + i));
    x += bytes;
    sum += bytes;
    y += bytes;
    rstd += 4;
  }
}

/**
 * dx = dsum + rstd·(w·dy − x·rstd²·mean(w·dy·x)) (dsum 0: none; it may be dx);
 * dw += Σ_rows dy·x·rstd, y = x·rstd·w (0: none).
 */
export function backward(
  x: usize, w: usize, rstd: usize, dy: usize, dsum: usize, dx: usize, dw: usize, y: usize, rows: i32, d: i32,
): void {
  const bytes = <usize>d << 2, whole = <usize>(d & ~3) << 2;
  for (let r = 0; r < rows; r++) {
    let dots = f32x4.splat(0);
    let tail: f32 = 0;
    for (let i: usize = 0; i < whole; i += 16) {
      dots = f32x4.add(dots, f32x4.mul(f32x4.mul(v128.load(w + i), v128.load(dy + i)), v128.load(x + i)));
    }
    for (let i = whole; i < bytes; i += 4) tail += load<f32>(w + i) * load<f32>(dy + i) * load<f32>(x + i);
    const scale = load<f32>(rstd);
    const pull: f32 = (sum4(dots) + tail) * scale * scale * scale / <f32>d;
    const scale4 = f32x4.splat(scale), pull4 = f32x4.splat(pull);
    for (let i: usize = 0; i < whole; i += 16) {
      const xi = v128.load(x + i), dyi = v128.load(dy + i);
      const wi = v128.load(w + i);
      let g = f32x4.sub(f32x4.mul(f32x4.mul(wi, dyi), scale4), f32x4.mul(xi, pull4));
      if (dsum != 0) g = f32x4.add(g, v128.load(dsum + i));
      if (dw != 0) v128.store(dw + i, f32x4.add(v128.load(dw + i), f32x4.mul(f32x4.mul(dyi, xi), scale4)));
      if (y != 0) v128.store(y + i, f32x4.mul(f32x4.mul(xi, scale4), wi));
      v128.store(dx + i, g);
    }
    for (let i = whole; i < bytes; i += 4) {
      const xi = load<f32>(x + i), dyi = load<f32>(dy + i);
      let g: f32 = load<f32>(w + i) * dyi * scale - xi * pull;
      if (dsum != 0) g += load<f32>(dsum + i);
      if (dw != 0) store<f32>(dw + i, load<f32>(dw + i) + dyi * xi * scale);
      if (y != 0) store<f32>(y + i, xi * scale * load<f32>(w + i));
      store<f32>(dx + i, g);
    }
    x += bytes;
    dy += bytes;
    dx += bytes;
    if (dsum != 0) dsum += bytes;
    if (y != 0) y += bytes;
    rstd += 4;
  }
}
