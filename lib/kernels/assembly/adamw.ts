// AssemblyScript of ../adamw.ts.

/** Σ x². Partial sums of four lanes are widened to float64 every 4,096 elements, so long tensors lose nothing. */
export function sum_of_squares(x: usize, size: i32): f64 {
  let total: f64 = 0;
  let left = size;
  while (left > 0) {
    const run = min(left, 4096), whole = run & ~3;
    let squares = f32x4.splat(0);
    for (let i = 0; i < whole; i += 4) {
      const v = v128.load(x);
      squares = f32x4.add(squares, f32x4.mul(v, v));
      x += 16;
    }
    for (let i = whole; i < run; i++) {
      total += <f64>load<f32>(x) * <f64>load<f32>(x);
      x += 4;
    }
    total += (<f64>f32x4.extract_lane(squares, 0) + <f64>f32x4.extract_lane(squares, 1)) +
      (<f64>f32x4.extract_lane(squares, 2) + <f64>f32x4.extract_lane(squares, 3));
    left -= run;
  }
  return total;
}

/** {@link sum_of_squares}, put at `out`. */
export function put_sum_of_squares(x: usize, size: i32, out: usize): void {
  store<f64>(out, sum_of_squares(x, size));
}

/** One AdamW update in place; g is scaled by `clip` first and set to zero after. rate = lr/c1, keep = 1 − lr·wd. */
export function update(
  p: usize, g: usize, m: usize, v: usize, size: i32, clip: f32, beta1: f32, beta2: f32,
  rate: f32, rootC2: f32, epsilon: f32, keep: f32,
): void {
  const whole = <usize>(size & ~3) << 2, bytes = <usize>size << 2;
  const b1 = f32x4.splat(beta1), n1 = f32x4.splat(1 - beta1), b2 = f32x4.splat(beta2), n2 = f32x4.splat(1 - beta2);
  const clip4 = f32x4.splat(clip), rate4 = f32x4.splat(rate), root4 = f32x4.splat(rootC2);
  const epsilon4 = f32x4.splat(epsilon), keep4 = f32x4.splat(keep), zero = f32x4.splat(0);
  for (let i: usize = 0; i < whole; i += 16) {
    const gi = f32x4.mul(v128.load(g + i), clip4);
    const mi = f32x4.add(f32x4.mul(v128.load(m + i), b1), f32x4.mul(gi, n1));
    const vi = f32x4.add(f32x4.mul(v128.load(v + i), b2), f32x4.mul(f32x4.mul(gi, gi), n2));
    v128.store(m + i, mi);
    v128.store(v + i, vi);
    v128.store(g + i, zero);
    const step = f32x4.div(f32x4.mul(mi, rate4), f32x4.add(f32x4.div(f32x4.sqrt(vi), root4), epsilon4));
    v128.store(p + i, f32x4.sub(f32x4.mul(v128.load(p + i), keep4), step));
  }
  for (let i = whole; i < bytes; i += 4) {
    const gi: f32 = load<f32>(g + i) * clip;
    const mi: f32 = load<f32>(m + i) * beta1 + gi * (1 - beta1);
    const vi: f32 = load<f32>(v + i) * beta2 + gi * gi * (1 - beta2);
    store<f32>(m + i, mi);
    store<f32>(v + i, vi);
    store<f32>(g + i, 0);
    store<f32>(p + i, load<f32>(p + i) * keep - mi * rate / (sqrt<f32>(vi) / rootC2 + epsilon));
  }
}
