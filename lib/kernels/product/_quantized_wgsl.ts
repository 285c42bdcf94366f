import type { Program } from "../../backend/dispatch.ts";
import { type GemmVariant, type Loader, OF_FOUR, tiledGemm } from "./_gemm_tiled.ts";
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
    params: {
      m: "u32",
      n: "u32",
      k: "u32",
      words_a_row: "u32",
      a_stride: "u32",
      a_column: "u32",
      c_stride: "u32",
      c_column: "u32",
      add: "u32",
    },
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
 * C = A·op(W) by tiles: forward C[i, j] = Σ_k A[i, k]·W[j, k], gradient C[i, j] = Σ_k A[i, k]·W[k, j]. Each thread keeps
 * 4×4 of C; W is widened on its way into workgroup memory: 16 KiB with tiles of 64×64, k-major with vec4 along i and j.
 */
export function tiled(
  dtype: QuantizedDtype,
  { kind, tileM, bias }: {
    readonly kind: "forward" | "gradient";
    readonly tileM: 16 | 32 | 64;
    readonly bias: boolean;
  },
): Program {
  const four = [0, 1, 2, 3], threads = tileM / 4 * (TILE_N / 4), wide = TILE_N / 4, high = tileM / 4;
  const load = kind === "forward"
    ? `
    for (var l = lane; l < ${wide * TILE_K / 4}u; l += ${threads}u) {
      let q = l % ${TILE_K / 4}u; let o = l / ${TILE_K / 4}u; let j = j0 + o * 4u; let k4 = step / 4u + q;
      var w0 = vec4<f32>(); var w1 = vec4<f32>(); var w2 = vec4<f32>(); var w3 = vec4<f32>();
      if (k4 * 4u < params.k) {
        ${four.map((r) => `if (j + ${r}u < params.n) { w${r} = weight4(j + ${r}u, k4); }`).join(" ")}
      }
      ${
      four.map((e) =>
        `tile_w[(q * 4u + ${e}u) * ${wide}u + o] = vec4(w0[${e}], w1[${e}], w2[${e}], w3[${e}]);`
      )
        .join(" ")
    }
    }`
    : `
    for (var l = lane; l < ${wide * TILE_K}u; l += ${threads}u) {
      let kk = l / ${wide}u; let o = l % ${wide}u;
      var w = vec4<f32>();
      if (step + kk < params.k && j0 + o * 4u < params.n) { w = weight4(step + kk, j0 / 4u + o); }
      tile_w[kk * ${wide}u + o] = w;
    }`;
  return cached({
    name: `quantized_${kind}_${dtype}_${tileM}${bias ? "_bias" : ""}`,
    ...bindings(dtype, "f32", bias),
    workgroup: [threads],
    header: `
var<workgroup> tile_a: array<vec4<f32>, ${TILE_K * high}>;
var<workgroup> tile_w: array<vec4<f32>, ${TILE_K * wide}>;
fn get_a(i: u32, kk: u32) -> f32 {
  var value = 0.0;
  if (i < params.m && kk < params.k) { value = a[i * params.a_stride + params.a_column + kk]; }
  return value;
}
${OF_FOUR}
${widen[dtype]}`,
    body: `
  let i0 = group.y * ${tileM}u; let j0 = group.x * ${TILE_N}u;
  let tx = lane % ${wide}u; let ty = lane / ${wide}u;
  ${four.map((r) => `var acc_${r} = vec4<f32>();`).join(" ")}
  for (var step = 0u; step < params.k; step += ${TILE_K}u) {
    for (var l = lane; l < ${TILE_K * high}u; l += ${threads}u) {
      let kk = l % ${TILE_K}u; let o = l / ${TILE_K}u; let i = i0 + o * 4u;
      tile_a[kk * ${high}u + o] = vec4(${four.map((r) => `get_a(i + ${r}u, step + kk)`).join(", ")});
    }
    ${load}
    workgroupBarrier();
    for (var kk = 0u; kk < ${TILE_K}u; kk++) {
      let rows = tile_a[kk * ${high}u + ty]; let w = tile_w[kk * ${wide}u + tx];
      ${four.map((r) => `acc_${r} += rows[${r}] * w;`).join(" ")}
    }
    workgroupBarrier();
  }
  // A loop that compilers cannot unroll: stores in a row take software Vulkan seconds to compile.
  var block = array<vec4<f32>, 4>(acc_0, acc_1, acc_2, acc_3);
  let i1 = i0 + ty * 4u; let j1 = j0 + tx * 4u;
  let many = select(0u, 16u, i1 < params.m && j1 < params.n);
  for (var e = 0u; e < many; e++) {
    let i = i1 + e / 4u; let j = j1 + e % 4u;
    if (i < params.m && j < params.n) {
      let at = i * params.c_stride + params.c_column + j;
      c[at] = of_four(block[e / 4u], e % 4u)${
      bias ? " + bias[j]" : ""
    } + select(0.0, c[at], params.add == 1u);
    }
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
    c[at * params.c_stride + params.c_column + j] = sums[256u * at + lane - at]${bias ? " + bias[j]" : ""};
  }`,
  });
}

/**
 * The tiled product of float32 matrices with W in B's place, widened as its tile is filled: blocks of C as large as there,
 * and A read by vec4. Lengths of rows of A, C and W are multiples of 4.
 */
export function tiledAsWide(
  dtype: QuantizedDtype,
  variant: Omit<GemmVariant, "transposeA" | "quadA" | "quadB" | "quadC" | "loader">,
): Program {
  const loader: Loader = {
    name: `quantized_${dtype}_`,
    inputs: { words: "u32", ...(dtype !== "f16" && { scales: "f32" }) },
    params: { words_a_row: "u32" },
    header: `${widen[dtype]}
fn load_b(r: u32, c4: u32) -> vec4<f32> { return weight4(r, c4); }`,
  };
  return cached(tiledGemm({ ...variant, transposeA: false, quadA: true, quadB: true, quadC: true, loader }));
}
