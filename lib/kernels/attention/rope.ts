import type { Device, Tensor } from "../../backend/device.ts";
import { dispatch, type Program } from "../../backend/dispatch.ts";
import { profile } from "../../backend/profile.ts";
import { upload } from "../../backend/tensors.ts";
import { cpuOf } from "../_assembly.ts";
import { overRows } from "../_over_rows.ts";
import module from "../built/rope.wasm.ts";

/**
 * Cosines and sines of every position: row p holds cos(p·f) for each frequency f, then sin(p·f).
 *
 * @param frequencies radians a position, one for each pair of dimensions [headDim/2]
 * @param positions how many
 * @returns [positions, headDim]
 */
export function ropeTable(device: Device, frequencies: ArrayLike<number>, positions: number): Tensor {
  const half = frequencies.length, values = new Float32Array(positions * 2 * half);
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < half; i++) {
      values[p * 2 * half + i] = Math.cos(p * frequencies[i]);
      values[p * 2 * half + half + i] = Math.sin(p * frequencies[i]);
    }
  }
  return upload(device, values, [positions, 2 * half]);
}

/**
 * Rotary position embedding, in place on the first `heads` heads of each row (queries, then keys, of a fused row).
 *
 *   (a, b) → (a·cos − b·sin, b·cos + a·sin),  a = dimension i, b = dimension i + headDim/2
 *
 * It is a rotation, so its gradient is the rotation back: `inverse`. Source: Su et al., arXiv 2104.09864, in the
 * half-split order of Hugging Face's checkpoints.
 *
 * @param x fused rows [N, stride]
 * @param positions position of each row [N] int32
 * @param options `table` of {@linkcode ropeTable}; `heads` to rotate; `inverse`, rotate back (default false)
 */
export function rope(
  x: Tensor,
  positions: Tensor,
  options: { readonly table: Tensor; readonly heads: number; readonly inverse?: boolean },
): void {
  const [rows, stride] = x.shape;
  const { table, heads, inverse = false } = options;
  const half = table.shape[1]! / 2, sign = inverse ? -1 : 1;
  if (x.device.name === "wasm") {
    const at = cpuOf(x).pointer;
    profile.run(
      "rope",
      () =>
        overRows(cpuOf(x), { kernel: [module, "rotate"], rows: rows!, each: heads * half }, (from, count) => {
          const row = at(x) + 4 * from * stride!, position = at(positions) + 4 * from;
          return [row, position, at(table), count, stride!, heads, half, sign];
        }),
    );
    return;
  }
  const quad = half % 4 === 0 && stride! % 4 === 0, unit = quad ? 4 : 1;
  dispatch(quad ? byFours : byOnes, {
    tensors: { x, positions, table },
    params: { rows, units: heads * half / unit, stride: stride! / unit, half: half / unit, sign },
    groups: [rows],
  });
}

/** A workgroup turns a row, pair by pair or four pairs at a time. */
const program = (unit: "f32" | "vec4<f32>"): Program => ({
  name: `rope_${unit === "f32" ? 1 : 4}`,
  inputs: { positions: "i32", table: unit },
  outputs: { x: unit },
  params: { rows: "u32", units: "u32", stride: "u32", half: "u32", sign: "f32" },
  workgroup: [64],
  body: `
  if (row >= params.rows) { return; }
  let turn = u32(positions[row]) * 2u * params.half;
  for (var i = lane; i < params.units; i += 64u) {
    let head = i / params.half;
    let pair = i - head * params.half;
    let a = row * params.stride + head * 2u * params.half + pair;
    let b = a + params.half;
    let c = table[turn + pair];
    let s = table[turn + pair + params.half] * params.sign;
    let u = x[a];
    let v = x[b];
    x[a] = u * c - v * s;
    x[b] = v * c + u * s;
  }`,
});

const byOnes = program("f32"), byFours = program("vec4<f32>");
