// AssemblyScript of ../layer_norm.ts: row by row on the heap of TF.js. All pointers are byte offsets.
import { sum4 } from "./simd";

/**
 * sum = x + residual (where residual ≠ 0); y = (sum − mean)·rstd·w + b, rstd = 1/√(variance + eps); sum and x may be
 * one.
 */
export function forward(
  x: usize, residual: usize, w: usize, b: usize, sum: usize, y: usize, mean: usize, rstd: usize, rows: i32, d: i32, eps: f32,
): void {
  const bytes = <usize>d << 2, whole = <usize>(d & ~3) << 2;
  for (let r = 0; r < rows; r++) {
    let total = f32x4.splat(0);
    let tail: f32 = 0;
    if (residual != 0) {
      for (let i: usize = 0; i < whole; i += 16) {
        const v = f32x4.add(v128.load(x + i), v128.load(residual + i));
        v128.store(sum + i, v);
        total = f32x4.add(total, v);
      }
      for (let i = whole; i < bytes; i += 4) {
        const v = load<f32>(x + i) + load<f32>(residual + i);
        store<f32>(sum + i, v);
        tail += v;
      }
      residual += bytes;
    } else {
      for (let i: usize = 0; i < whole; i += 16) total = f32x4.add(total, v128.load(x + i));
      for (let i = whole; i < bytes; i += 4) tail += load<f32>(x + i);
    }
    const middle: f32 = (sum4(total) + tail) / <f32>d, middle4 = f32x4.splat(middle);
    let squares = f32x4.splat(0);
    tail = 0;
    for (let i: usize = 0; i < whole; i += 16) {
      const v = f32x4.sub(v128.load(sum + i), middle4);
      squares = f32x4.add(squares, f32x4.mul(v, v));
    }
    for (let i = whole; i < bytes; i += 4) {
      const v = load<f32>(sum + i) - middle;
      tail += v * v;
    }
    const scale: f32 = 1 / sqrt<f32>((sum4(squares) + tail) / <f32>d + eps), scale4 = f32x4.splat(scale);
    store<f32>(mean, middle);
    store<f32>(rstd, scale);
    for (let i: usize = 0; i < whole; i += 16) {
      const z = f32x4.mul(f32x4.sub(v128.load(sum + i), middle4), scale4);
      v128.store(y + i, f32x4.add(f32x4.mul(z, v128.load(w + i)), v128.load(b + i)));
    }
    for (let i = whole; i < bytes; i += 4) {
      store<f32>(y + i, (load<f32>(sum + i) - middle) * scale * load<f32>(w + i) + load<f32>(b + i));
    }
    x += bytes;
    sum += bytes;
    y += bytes;
    mean += 4;
    rstd += 4;
  }
}

/**
 * With z = (x − mean)·rstd: dx = dsum + rstd·(w·dy − mean(w·dy) − z·mean(w·dy·z)) (dsum 0: none; it may be dx);
 * dw += Σ_rows dy·z, db += Σ_rows dy, y = z·w + b (0: none).
 */
export function backward(
  x: usize, w: usize, mean: usize, rstd: usize, dy: usize, dsum: usize, dx: usize, dw: usize, db: usize, y: usize, b: usize, rows: i32, d: i32,
): void {
  const bytes = <usize>d << 2, whole = <usize>(d & ~3) << 2;
  for (let r = 0; r < rows; r++) {
    const middle = load<f32>(mean), scale = load<f32>(rstd);
    const middle4 = f32x4.splat(middle), scale4 = f32x4.splat(scale);
    let total4 = f32x4.splat(0), dots4 = f32x4.splat(0);
    let total: f32 = 0, dots: f32 = 0;
    for (let i: usize = 0; i < whole; i += 16) {
      const v = f32x4.mul(v128.load(w + i), v128.load(dy + i));
      total4 = f32x4.add(total4, v);
      dots4 = f32x4.add(dots4, f32x4.mul(v, f32x4.mul(f32x4.sub(v128.load(x + i), middle4), scale4)));
    }
    for (let i = whole; i < bytes; i += 4) {
      const v = load<f32>(w + i) * load<f32>(dy + i);
      total += v;
      dots += v * ((load<f32>(x + i) - middle) * scale);
    }
    const shift: f32 = (sum4(total4) + total) / <f32>d, pull: f32 = (sum4(dots4) + dots) / <f32>d;
    const shift4 = f32x4.splat(shift), pull4 = f32x4.splat(pull);
    for (let i: usize = 0; i < whole; i += 16) {
      const z = f32x4.mul(f32x4.sub(v128.load(x + i), middle4), scale4), dyi = v128.load(dy + i);
      const inner = f32x4.sub(f32x4.sub(f32x4.mul(v128.load(w + i), dyi), shift4), f32x4.mul(z, pull4));
      let g = f32x4.mul(scale4, inner);
      if (dsum != 0) g = f32x4.add(g, v128.load(dsum + i));
      if (dw != 0) v128.store(dw + i, f32x4.add(v128.load(dw + i), f32x4.mul(dyi, z)));
      if (db != 0) v128.store(db + i, f32x4.add(v128.load(db + i), dyi));
      if (y != 0) v128.store(y + i, f32x4.add(f32x4.mul(z, v128.load(w + i)), v128.load(b + i)));
      v128.store(dx + i, g);
    }
    for (let i = whole; i < bytes; i += 4) {
      const z: f32 = (load<f32>(x + i) - middle) * scale, dyi = load<f32>(dy + i);
      let g: f32 = scale * (load<f32>(w + i) * dyi - shift - z * pull);
      if (dsum != 0) g += load<f32>(dsum + i);
      if (dw != 0) store<f32>(dw + i, load<f32>(dw + i) + dyi * z);
      if (db != 0) store<f32>(db + i, load<f32>(db + i) + dyi);
      if (y != 0) store<f32>(y + i, z * load<f32>(w + i) + load<f32>(b + i));
      store<f32>(dx + i, g);
    }
    x += bytes;
    dy += bytes;
    dx += bytes;
    if (dsum != 0) dsum += bytes;
    if (y != 0) y += bytes;
    mean += 4;
    rstd += 4;
  }
}
