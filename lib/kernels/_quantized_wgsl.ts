import type { Program } from "../backend/dispatch.ts";
import type { QuantizedDtype } from "./quantize.ts";

/** Columns of C that a workgroup computes. */
export const TILE_N = 64;
const TILE_K = 32;

/** Four neighbours of a row of W, from column 4·c4 on. `unpack2x16float` needs no shader-f16. */
const widen: Readonly<Record<QuantizedDtype, string>> = {
  f16: `
fn weight4(r: u32, c4: u32) -> vec4<f32> {
  let at = r * params.words_a_row + c4 * 2u;
  return vec4(unpack2x16float(words[at]), unpack2x16float(words[at + 1u]));
}`,
  int8: `
fn weight4(r: u32, c4: u32) -> vec4<f32> {
  let bytes = vec4<i32>(bitcast<i32>(words[r * params.words_a_row + c4])) << vec4<u32>(24u, 16u, 8u, 0u);
  return vec4<f32>(bytes >> vec4<u32>(24u)) * scales[r];
}`,
  int4: `
fn weight4(r: u32, c4: u32) -> vec4<f32> {
  let word = words[r * params.words_a_row + c4 / 2u] >> (16u * (c4 & 1u));
  let nibbles = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  return (vec4<f32>(nibbles) - 8.0) * scales[r * (params.words_a_row / 4u) + c4 / 8u];
}`,
};

function bindings(dtype: QuantizedDtype, a: string, bias: boolean) {
  return {
    inputs: {
      a,
      words: "u32",
      ...(dtype !== "f16" && { scales: "f32" }),
      ...(bias && { bias: "f32" }),
    },
    outputs: { c: "f32" },
    params: { m: "u32", n: "u32", k: "u32", words_a_row: "u32" },
    workgroup: [256],
  } as const;
}

const programs = new Map<string, Program>();

function cached(program: Program): Program {
  const found = programs.get(program.name);
  if (!found) programs.set(program.name, program);
  return found ?? program;
}

/**
 * C = A·op(W) by tiles: forward C[i, j] = Σ_k A[i, k]·W[j, k], gradient C[i, j] = Σ_k A[i, k]·W[k, j]. The tile of W is
 * widened on its way into workgroup memory: 16 KiB with a tile of A of 64 rows.
 */
export function tiled(
  dtype: QuantizedDtype,
  kind: "forward" | "gradient",
  tileM: number,
  bias: boolean,
): Program {
  const spots = Array.from({ length: tileM / 16 }, (_, s) => s), columns = [0, 1, 2, 3];
  const load = kind === "forward"
    ? `
    for (var l = lane; l < ${TILE_N * TILE_K / 4}u; l += 256u) {
      let j = l / ${TILE_K / 4}u; let q = l % ${TILE_K / 4}u;
      var w = vec4<f32>();
      if (j0 + j < params.n && step + q * 4u < params.k) { w = weight4(j0 + j, step / 4u + q); }
      for (var e = 0u; e < 4u; e++) { tile_w[(q * 4u + e) * ${TILE_N}u + j] = w[e]; }
    }`
    : `
    for (var l = lane; l < ${TILE_N * TILE_K / 4}u; l += 256u) {
      let kk = l / ${TILE_N / 4}u; let q = l % ${TILE_N / 4}u;
      var w = vec4<f32>();
      if (step + kk < params.k && j0 + q * 4u < params.n) { w = weight4(step + kk, j0 / 4u + q); }
      for (var e = 0u; e < 4u; e++) { tile_w[kk * ${TILE_N}u + q * 4u + e] = w[e]; }
    }`;
  return cached({
    name: `quantized_${kind}_${dtype}_${tileM}${bias ? "_bias" : ""}`,
    ...bindings(dtype, "f32", bias),
    header: `
var<workgroup> tile_a: array<f32, ${TILE_K * tileM}>;
var<workgroup> tile_w: array<f32, ${TILE_K * TILE_N}>;
${widen[dtype]}`,
    body: `
  let i0 = group.y * ${tileM}u; let j0 = group.x * ${TILE_N}u;
  let tx = lane % 16u; let ty = lane / 16u;
  ${spots.map((s) => columns.map((c) => `var acc_${s}_${c} = 0.0;`).join(" ")).join("\n  ")}
  for (var step = 0u; step < params.k; step += ${TILE_K}u) {
    for (var l = lane; l < ${TILE_K * tileM}u; l += 256u) {
      let i = l / ${TILE_K}u; let kk = l % ${TILE_K}u;
      var value = 0.0;
      if (i0 + i < params.m && step + kk < params.k) { value = a[(i0 + i) * params.k + step + kk]; }
      tile_a[kk * ${tileM}u + i] = value;
    }
    ${load}
    workgroupBarrier();
    for (var kk = 0u; kk < ${TILE_K}u; kk++) {
      ${spots.map((s) => `let a${s} = tile_a[kk * ${tileM}u + ty + ${16 * s}u];`).join(" ")}
      ${columns.map((c) => `let w${c} = tile_w[kk * ${TILE_N}u + tx + ${16 * c}u];`).join(" ")}
      ${spots.map((s) => columns.map((c) => `acc_${s}_${c} += a${s} * w${c};`).join(" ")).join("\n      ")}
    }
    workgroupBarrier();
  }
  // A loop that compilers cannot unroll: stores in a row take software Vulkan seconds to compile.
  var block = array<f32, ${4 * spots.length}>(${
      spots.map((s) => columns.map((c) => `acc_${s}_${c}`).join(", ")).join(", ")
    });
  let many = select(0u, ${4 * spots.length}u, i0 < params.m && j0 < params.n);
  for (var e = 0u; e < many; e++) {
    let i = i0 + ty + 16u * (e / 4u); let j = j0 + tx + 16u * (e % 4u);
    if (i < params.m && j < params.n) { c[i * params.n + j] = block[e]${bias ? " + bias[j]" : ""}; }
  }`,
  });
}

/**
 * y = x·Wᵀ for at most `rows` rows, as in decoding: a workgroup takes 8 rows of W, 32 threads each, and reads each
 * weight once. `in` is a multiple of 4.
 */
export function fewRows(dtype: QuantizedDtype, rows: number, bias: boolean): Program {
  const all = Array.from({ length: rows }, (_, i) => i);
  return cached({
    name: `quantized_few_${dtype}_${rows}${bias ? "_bias" : ""}`,
    ...bindings(dtype, "vec4<f32>", bias),
    header: `
var<workgroup> sums: array<f32, ${256 * rows}>;
${widen[dtype]}`,
    body: `
  let j = row * 8u + lane / 32u; let at = lane % 32u; let fours = params.k / 4u;
  ${all.map((i) => `var acc_${i} = 0.0;`).join(" ")}
  if (j < params.n) {
    for (var q = at; q < fours; q += 32u) {
      let w = weight4(j, q);
      ${
      all.map((i) =>
        i === 0
          ? `acc_0 += dot(w, a[q]);`
          : `if (${i}u < params.m) { acc_${i} += dot(w, a[${i}u * fours + q]); }`
      ).join("\n      ")
    }
    }
  }
  ${all.map((i) => `sums[${256 * i}u + lane] = acc_${i};`).join(" ")}
  workgroupBarrier();
  for (var s = 16u; s > 0u; s >>= 1u) {
    if (at < s) { ${all.map((i) => `sums[${256 * i}u + lane] += sums[${256 * i}u + lane + s];`).join(" ")} }
    workgroupBarrier();
  }
  if (at < params.m && j < params.n) {
    c[at * params.n + j] = sums[256u * at + lane - at]${bias ? " + bias[j]" : ""};
  }`,
  });
}
