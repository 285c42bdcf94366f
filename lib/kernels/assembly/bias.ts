// AssemblyScript of ../linear.ts: a bias over all rows, and its gradient. All pointers are byte offsets.

/** Every row of y ← bias: the matrix product is then added to it. */
export function fillRows(bias: usize, y: usize, rows: i32, n: i32): void {
  const bytes = <usize>n << 2;
  for (let r = 0; r < rows; r++, y += bytes) memory.copy(y, bias, bytes);
}

/** dbias += Σ_rows dy, four rows at a time so that dbias is read and written a quarter as often. */
export function addColumnSums(dy: usize, dbias: usize, rows: i32, n: i32): void {
  const bytes = <usize>n << 2, whole = <usize>(n & ~3) << 2;
  let r = 0;
  for (; r + 4 <= rows; r += 4) {
    const second = dy + bytes, third = second + bytes, fourth = third + bytes;
    for (let i: usize = 0; i < whole; i += 16) {
      const upper = f32x4.add(v128.load(dy + i), v128.load(second + i));
      const lower = f32x4.add(v128.load(third + i), v128.load(fourth + i));
      v128.store(dbias + i, f32x4.add(v128.load(dbias + i), f32x4.add(upper, lower)));
    }
    for (let i = whole; i < bytes; i += 4) {
      store<f32>(
        dbias + i,
        load<f32>(dbias + i) + (load<f32>(dy + i) + load<f32>(second + i)) + (load<f32>(third + i) + load<f32>(fourth + i)),
      );
    }
    dy = fourth + bytes;
  }
  for (; r < rows; r++) {
    for (let i: usize = 0; i < whole; i += 16) {
      v128.store(dbias + i, f32x4.add(v128.load(dbias + i), v128.load(dy + i)));
    }
    for (let i = whole; i < bytes; i += 4) store<f32>(dbias + i, load<f32>(dbias + i) + load<f32>(dy + i));
    dy += bytes;
  }
}
