// AssemblyScript of ../dropout.ts. All pointers are byte offsets.

// @ts-ignore: decorator
@inline
function pcg(v: u32): u32 {
  const state = v * 747796405 + 2891336453;
  const word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737;
  return (word >> 22) ^ word;
}

/** y = (or +=) x·scale where hash(i, key) ≥ threshold, else 0. */
export function dropout(x: usize, y: usize, size: i32, key: u32, threshold: u32, scale: f32, add: i32): void {
  for (let i = 0; i < size; i++) {
    const at = <usize>i << 2;
    const v: f32 = pcg(pcg(i) ^ key) >= threshold ? load<f32>(x + at) * scale : 0;
    store<f32>(y + at, add != 0 ? load<f32>(y + at) + v : v);
  }
}
