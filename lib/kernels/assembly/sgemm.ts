// AssemblyScript of ../_sgemm.ts: single-precision matrix products without a BLAS. Row-major; pointers are byte offsets,
// strides in elements.

// A tile of C has 3 × 16 elements: 12 accumulators of 4 floats, which with 4 registers for operands are the 16 that
// x86 has. Of 4×8, 5×8, 6×8, 4×12, 3×16 it was the fastest in V8 and JavaScriptCore alike (28 GFLOP/s on one core).
const ROWS: i32 = 3, COLUMNS: i32 = 16;
// The block of A that stays in the second-level cache while B goes by: 240 × 256 floats. The sliver of B that stays in
// the first-level cache while A's block goes by has 256 × 16.
const BLOCK_M: i32 = 240, BLOCK_K: i32 = 256;

// Built twice (FUSED, which the build sets, is 0 or 1): in sgemm_fused a multiplication and an addition are one
// instruction.

/** c + a·b: in one instruction, rounded once, or in two. */
// @ts-ignore: decorator
@inline
function madd(a: v128, b: v128, c: v128): v128 {
  if (FUSED) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(c, f32x4.mul(a, b));
}

/** One, but no compiler knows. */
export let unit: f32 = 1;

/** Whether the engine has one instruction for a·b + c here: then a² − fl(a²) is what rounding took away, else nothing. */
export function fuses(): bool {
  const a = f32x4.splat((1 + <f32>(1.0 / 4096)) * unit), rounded = f32x4.mul(a, a);
  return f32x4.extract_lane(madd(a, a, f32x4.neg(rounded)), 0) != 0;
}

/** Bytes of scratch that `sgemm` needs: the block of A, the sliver of B and one tile of C. */
export function scratchBytes(): i32 {
  return (BLOCK_M * BLOCK_K + BLOCK_K * COLUMNS + ROWS * COLUMNS) * 4;
}

/** C ← alpha·op(A)·op(B) + beta·C; beta is 0 (C may hold anything, NaN too) or any number. */
export function sgemm(
  transposeA: bool, transposeB: bool, m: i32, n: i32, k: i32, alpha: f32, a: usize, lda: i32, b: usize, ldb: i32,
  beta: f32, c: usize, ldc: i32, scratch: usize,
): void {
  if (k == 0) return scale(m, n, beta, c, ldc);
  const sliver = scratch + BLOCK_M * BLOCK_K * 4, tile = sliver + BLOCK_K * COLUMNS * 4;
  // Two equal parts of k rather than a whole block and a small rest.
  const parts = (k + BLOCK_K - 1) / BLOCK_K, step = (k + parts - 1) / parts;
  for (let k0 = 0; k0 < k; k0 += step) {
    const kc = min(step, k - k0);
    const keep: f32 = k0 == 0 ? beta : 1;
    for (let m0 = 0; m0 < m; m0 += BLOCK_M) {
      const mc = min(BLOCK_M, m - m0);
      packA(transposeA, transposeA ? at(a, k0, m0, lda) : at(a, m0, k0, lda), lda, mc, kc, scratch);
      for (let n0 = 0; n0 < n; n0 += COLUMNS) {
        const nc = min(COLUMNS, n - n0);
        let right = sliver;
        let stride = <usize>COLUMNS * 4;
        if (!transposeB && nc == COLUMNS && mc <= DIRECT_ROWS) {
          right = at(b, k0, n0, ldb); // too few rows to pay for a copy
          stride = <usize>ldb * 4;
        } else if (transposeB) packTurned(at(b, n0, k0, ldb), ldb, nc, kc, sliver);
        else packStraight(at(b, k0, n0, ldb), ldb, nc, kc, sliver);
        let left = scratch;
        for (let r = 0; r < mc; r += ROWS, left += <usize>kc * ROWS * 4) {
          multiply(left, right, stride, tile, kc);
          put(tile, at(c, m0 + r, n0, ldc), ldc, min(ROWS, mc - r), nc, alpha, keep);
        }
      }
    }
  }
}

const DIRECT_ROWS: i32 = 24;

// @ts-ignore: decorator
@inline
function at(matrix: usize, row: i32, column: i32, stride: i32): usize {
  return matrix + ((<usize>row * <usize>stride + <usize>column) << 2);
}

/** The block of op(A) as slivers of 3 rows, each k-major; missing rows are zero. */
function packA(transposed: bool, a: usize, lda: i32, m: i32, k: i32, to: usize): void {
  for (let r = 0; r < m; r += ROWS) {
    const rows = m - r;
    if (transposed) {
      let from = a + (<usize>r << 2);
      for (let p = 0; p < k; p++, from += <usize>lda << 2, to += 12) {
        store<f32>(to, load<f32>(from));
        store<f32>(to, rows > 1 ? load<f32>(from, 4) : 0, 4);
        store<f32>(to, rows > 2 ? load<f32>(from, 8) : 0, 8);
      }
    } else {
      const first = at(a, r, 0, lda);
      const second = rows > 1 ? at(a, r + 1, 0, lda) : 0, third = rows > 2 ? at(a, r + 2, 0, lda) : 0;
      const bytes = <usize>k << 2;
      for (let p: usize = 0; p < bytes; p += 4, to += 12) {
        store<f32>(to, load<f32>(first + p));
        store<f32>(to, second ? load<f32>(second + p) : 0, 4);
        store<f32>(to, third ? load<f32>(third + p) : 0, 8);
      }
    }
  }
}

/** 16 columns of B [k, n], k-major; missing columns are zero. */
function packStraight(b: usize, ldb: i32, n: i32, k: i32, to: usize): void {
  for (let p = 0; p < k; p++, b += <usize>ldb << 2, to += 64) {
    if (n == COLUMNS) {
      v128.store(to, v128.load(b));
      v128.store(to, v128.load(b, 16), 16);
      v128.store(to, v128.load(b, 32), 32);
      v128.store(to, v128.load(b, 48), 48);
    } else {
      for (let j = 0; j < COLUMNS; j++) {
        const o = <usize>j << 2;
        store<f32>(to + o, j < n ? load<f32>(b + o) : 0);
      }
    }
  }
}

/** 16 rows of B [n, k] turned to k-major, four by four; missing rows are zero. */
function packTurned(b: usize, ldb: i32, n: i32, k: i32, to: usize): void {
  const stride = <usize>ldb << 2;
  for (let j = 0; j < COLUMNS; j += 4, to += 16) {
    let from = b + <usize>j * stride, out = to;
    if (j + 4 <= n) {
      const whole = k & ~3;
      for (let p = 0; p < whole; p += 4, from += 16, out += 256) {
        const r0 = v128.load(from), r1 = v128.load(from + stride), r2 = v128.load(from + 2 * stride);
        const r3 = v128.load(from + 3 * stride);
        const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
        const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5), high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
        v128.store(out, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
        v128.store(out, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7), 64);
        v128.store(out, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5), 128);
        v128.store(out, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7), 192);
      }
      for (let p = whole; p < k; p++, from += 4, out += 64) {
        store<f32>(out, load<f32>(from));
        store<f32>(out, load<f32>(from + stride), 4);
        store<f32>(out, load<f32>(from + 2 * stride), 8);
        store<f32>(out, load<f32>(from + 3 * stride), 12);
      }
    } else {
      for (let p = 0; p < k; p++, from += 4, out += 64) {
        for (let i = 0; i < 4; i++) {
          store<f32>(out + (<usize>i << 2), j + i < n ? load<f32>(from + <usize>i * stride) : 0);
        }
      }
    }
  }
}

/** One tile: 3 rows of k-major A times 16 columns of k-major B whose rows are `stride` bytes apart. */
function multiply(a: usize, b: usize, stride: usize, out: usize, k: i32): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c02 = f32x4.splat(0), c03 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0), c12 = f32x4.splat(0), c13 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c22 = f32x4.splat(0), c23 = f32x4.splat(0);
  // A row of A first, then one register of B after the other: with 12 accumulators these are the 16 there are.
  for (; k >= 2; k -= 2, a += 24) {
    const a00 = v128.load32_splat(a);
    const a01 = v128.load32_splat(a, 4);
    const a02 = v128.load32_splat(a, 8);
    const b00 = v128.load(b);
    c00 = madd(a00, b00, c00);
    c10 = madd(a01, b00, c10);
    c20 = madd(a02, b00, c20);
    const b01 = v128.load(b, 16);
    c01 = madd(a00, b01, c01);
    c11 = madd(a01, b01, c11);
    c21 = madd(a02, b01, c21);
    const b02 = v128.load(b, 32);
    c02 = madd(a00, b02, c02);
    c12 = madd(a01, b02, c12);
    c22 = madd(a02, b02, c22);
    const b03 = v128.load(b, 48);
    c03 = madd(a00, b03, c03);
    c13 = madd(a01, b03, c13);
    c23 = madd(a02, b03, c23);
    b += stride;
    const a10 = v128.load32_splat(a, 12);
    const a11 = v128.load32_splat(a, 16);
    const a12 = v128.load32_splat(a, 20);
    const b10 = v128.load(b);
    c00 = madd(a10, b10, c00);
    c10 = madd(a11, b10, c10);
    c20 = madd(a12, b10, c20);
    const b11 = v128.load(b, 16);
    c01 = madd(a10, b11, c01);
    c11 = madd(a11, b11, c11);
    c21 = madd(a12, b11, c21);
    const b12 = v128.load(b, 32);
    c02 = madd(a10, b12, c02);
    c12 = madd(a11, b12, c12);
    c22 = madd(a12, b12, c22);
    const b13 = v128.load(b, 48);
    c03 = madd(a10, b13, c03);
    c13 = madd(a11, b13, c13);
    c23 = madd(a12, b13, c23);
    b += stride;
  }
  for (; k > 0; k--, a += 12, b += stride) {
    const a0 = v128.load32_splat(a);
    const a1 = v128.load32_splat(a, 4);
    const a2 = v128.load32_splat(a, 8);
    const b0 = v128.load(b);
    c00 = madd(a0, b0, c00);
    c10 = madd(a1, b0, c10);
    c20 = madd(a2, b0, c20);
    const b1 = v128.load(b, 16);
    c01 = madd(a0, b1, c01);
    c11 = madd(a1, b1, c11);
    c21 = madd(a2, b1, c21);
    const b2 = v128.load(b, 32);
    c02 = madd(a0, b2, c02);
    c12 = madd(a1, b2, c12);
    c22 = madd(a2, b2, c22);
    const b3 = v128.load(b, 48);
    c03 = madd(a0, b3, c03);
    c13 = madd(a1, b3, c13);
    c23 = madd(a2, b3, c23);
  }
  v128.store(out, c00);
  v128.store(out, c01, 16);
  v128.store(out, c02, 32);
  v128.store(out, c03, 48);
  v128.store(out, c10, 64);
  v128.store(out, c11, 80);
  v128.store(out, c12, 96);
  v128.store(out, c13, 112);
  v128.store(out, c20, 128);
  v128.store(out, c21, 144);
  v128.store(out, c22, 160);
  v128.store(out, c23, 176);
}

/** C ← alpha·tile + keep·C. */
function put(tile: usize, c: usize, ldc: i32, rows: i32, columns: i32, alpha: f32, keep: f32): void {
  const alpha4 = f32x4.splat(alpha), keep4 = f32x4.splat(keep);
  for (let r = 0; r < rows; r++, tile += 64, c += <usize>ldc << 2) {
    if (columns == COLUMNS) {
      for (let i: usize = 0; i < 64; i += 16) {
        let v = f32x4.mul(alpha4, v128.load(tile + i));
        if (keep != 0) v = f32x4.add(v, f32x4.mul(keep4, v128.load(c + i)));
        v128.store(c + i, v);
      }
    } else {
      for (let j = 0; j < columns; j++) {
        const o = <usize>j << 2;
        let v = alpha * load<f32>(tile + o);
        if (keep != 0) v += keep * load<f32>(c + o);
        store<f32>(c + o, v);
      }
    }
  }
}

function scale(m: i32, n: i32, beta: f32, c: usize, ldc: i32): void {
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const place = at(c, i, j, ldc);
      store<f32>(place, beta == 0 ? 0 : beta * load<f32>(place));
    }
  }
}

/**
 * C ← alpha·A·Bᵀ + beta·C of few rows: rows of both lie along k, so each element is a dot product of two contiguous runs and nothing is
 * copied. 3 × 4 elements at a time, then 1 × 4.
 */
export function dots(
  m: i32, n: i32, k: i32, alpha: f32, a: usize, lda: i32, b: usize, ldb: i32, beta: f32, c: usize, ldc: i32,
): void {
  const strideA = <usize>lda << 2, strideB = <usize>ldb << 2;
  const bytes = <usize>k << 2, whole = <usize>(k & ~3) << 2;
  for (let j = 0; j < n; j += 4, b += 4 * strideB) {
    const columns = min(4, n - j);
    // Past the last row of B the first of the four is read again, and its products are dropped.
    const B0 = b, B1 = columns > 1 ? b + strideB : b, B2 = columns > 2 ? b + 2 * strideB : b;
    const B3 = columns > 3 ? b + 3 * strideB : b;
    let i = 0;
    for (; i + 3 <= m; i += 3) {
      const A0 = a + <usize>i * strideA, A1 = A0 + strideA, A2 = A1 + strideA;
      let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c02 = f32x4.splat(0), c03 = f32x4.splat(0);
      let c10 = f32x4.splat(0), c11 = f32x4.splat(0), c12 = f32x4.splat(0), c13 = f32x4.splat(0);
      let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c22 = f32x4.splat(0), c23 = f32x4.splat(0);
      for (let p: usize = 0; p < whole; p += 16) {
        const b0 = v128.load(B0 + p), b1 = v128.load(B1 + p), b2 = v128.load(B2 + p), b3 = v128.load(B3 + p);
        const a0 = v128.load(A0 + p);
        c00 = madd(a0, b0, c00);
        c01 = madd(a0, b1, c01);
        c02 = madd(a0, b2, c02);
        c03 = madd(a0, b3, c03);
        const a1 = v128.load(A1 + p);
        c10 = madd(a1, b0, c10);
        c11 = madd(a1, b1, c11);
        c12 = madd(a1, b2, c12);
        c13 = madd(a1, b3, c13);
        const a2 = v128.load(A2 + p);
        c20 = madd(a2, b0, c20);
        c21 = madd(a2, b1, c21);
        c22 = madd(a2, b2, c22);
        c23 = madd(a2, b3, c23);
      }
      finish(sums(c00, c01, c02, c03), A0, B0, B1, B2, B3, whole, bytes, alpha, beta, at(c, i + 0, j, ldc), columns);
      finish(sums(c10, c11, c12, c13), A1, B0, B1, B2, B3, whole, bytes, alpha, beta, at(c, i + 1, j, ldc), columns);
      finish(sums(c20, c21, c22, c23), A2, B0, B1, B2, B3, whole, bytes, alpha, beta, at(c, i + 2, j, ldc), columns);
    }
    for (; i < m; i++) {
      const A0 = a + <usize>i * strideA;
      let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c02 = f32x4.splat(0), c03 = f32x4.splat(0);
      for (let p: usize = 0; p < whole; p += 16) {
        const a0 = v128.load(A0 + p);
        c00 = madd(a0, v128.load(B0 + p), c00);
        c01 = madd(a0, v128.load(B1 + p), c01);
        c02 = madd(a0, v128.load(B2 + p), c02);
        c03 = madd(a0, v128.load(B3 + p), c03);
      }
      finish(sums(c00, c01, c02, c03), A0, B0, B1, B2, B3, whole, bytes, alpha, beta, at(c, i, j, ldc), columns);
    }
  }
}

/** The sums of the lanes of each of four vectors. */
// @ts-ignore: decorator
@inline
function sums(r0: v128, r1: v128, r2: v128, r3: v128): v128 {
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5), high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  const s01 = f32x4.add(low01, high01), s23 = f32x4.add(low23, high23); // 0 1 0 1 and 2 3 2 3
  return f32x4.add(v128.shuffle<f32>(s01, s23, 0, 1, 4, 5), v128.shuffle<f32>(s01, s23, 2, 3, 6, 7));
}

/** Adds the last k % 4 products to four dot products and stores them: c ← alpha·dots + beta·c. */
function finish(
  dots: v128, A0: usize, B0: usize, B1: usize, B2: usize, B3: usize, from: usize, end: usize, alpha: f32, beta: f32,
  c: usize, columns: i32,
): void {
  for (let p = from; p < end; p += 4) {
    const right = f32x4(0, 0, 0, 0);
    let r = f32x4.replace_lane(right, 0, load<f32>(B0 + p));
    r = f32x4.replace_lane(r, 1, load<f32>(B1 + p));
    r = f32x4.replace_lane(r, 2, load<f32>(B2 + p));
    r = f32x4.replace_lane(r, 3, load<f32>(B3 + p));
    dots = f32x4.add(dots, f32x4.mul(v128.load32_splat(A0 + p), r));
  }
  dots = f32x4.mul(f32x4.splat(alpha), dots);
  if (columns == 4) {
    if (beta != 0) dots = f32x4.add(dots, f32x4.mul(f32x4.splat(beta), v128.load(c)));
    v128.store(c, dots);
    return;
  }
  for (let j = 0; j < columns; j++, c += 4) {
    const dot = f32x4.extract_lane(dots, 0);
    dots = v128.shuffle<f32>(dots, dots, 1, 2, 3, 3);
    store<f32>(c, beta == 0 ? dot : dot + beta * load<f32>(c));
  }
}
