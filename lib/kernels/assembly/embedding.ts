// AssemblyScript of ../embedding.ts.

/** y[i] = table[ids[i]] */
export function gather(table: usize, ids: usize, y: usize, rows: i32, d: i32): void {
  const bytes = <usize>d << 2;
  for (let r = 0; r < rows; r++) {
    memory.copy(y, table + <usize>load<i32>(ids) * bytes, bytes);
    ids += 4;
    y += bytes;
  }
}

/** table[ids[i]] += dy[i] */
export function scatter(table: usize, ids: usize, dy: usize, rows: i32, d: i32): void {
  const bytes = <usize>d << 2, whole = <usize>(d & ~3) << 2;
  for (let r = 0; r < rows; r++) {
    const at = table + <usize>load<i32>(ids) * bytes;
    for (let i: usize = 0; i < whole; i += 16) v128.store(at + i, f32x4.add(v128.load(at + i), v128.load(dy + i)));
    for (let i = whole; i < bytes; i += 4) store<f32>(at + i, load<f32>(at + i) + load<f32>(dy + i));
    ids += 4;
    dy += bytes;
  }
}
