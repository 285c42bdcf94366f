import type { Program } from "../../backend/dispatch.ts";

/** Which of the tiled products. */
export interface GemmVariant {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** `set`: C ← P, `add`: C ← C + P, `bias`: C ← P + bias, where P is the product times `params.scale`. */
  readonly epilogue: "set" | "add" | "bias";
  /** Whether rows of A, B and C, as they are stored, are a multiple of 4 long, so that they are read and written as vec4. */
  readonly quadA: boolean;
  readonly quadB: boolean;
  readonly quadC: boolean;
  /** A workgroup's tile of C, and a thread's block of it: multiples of 4. */
  readonly tileM: number;
  readonly tileN: number;
  readonly blockM: number;
  readonly blockN: number;
  /**
   * Whether each workgroup along z takes its own part of k, `params.each` numbers from `group.z·each` on, and puts its sums
   * into a matrix of its own, C being [parts, m, n].
   */
  readonly split?: boolean;
  /** Where B comes from other than from an array of float32; then rows as it stores them are a multiple of 4 long. */
  readonly loader?: Loader;
}

/** Another source of B. */
export interface Loader {
  /** Goes before the program's name. */
  readonly name: string;
  /** Arrays and scalars in the place of B's array. */
  readonly inputs: Program["inputs"];
  readonly params: Program["params"];
  /** Declares `load_b(r, c4)`, four neighbours of a stored row of B, from column 4·c4 on. */
  readonly header: string;
}

/**
 * WGSL of `of_four(v, j)`, element j of a vector. FXC, by which Deno compiles on Windows, takes no index into a vector
 * that is known at run time alone (wgpu #8334).
 */
export const OF_FOUR = `
fn of_four(v: vec4<f32>, j: u32) -> f32 {
  return select(select(v.x, v.y, j == 1u), select(v.z, v.w, j == 3u), j > 1u);
}`;

/** How much of k the tiles of A and B hold: 16 KiB of both, and at most 32. */
export function tileSteps({ tileM, tileN }: Pick<GemmVariant, "tileM" | "tileN">): number {
  return Math.min(32, Math.floor(4096 / (tileM + tileN) / 4) * 4);
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/**
 * A product by tiles in workgroup memory: each workgroup computes a tile of C, going along k by steps for which the
 * tiles of A and B fit 16 KiB; each thread keeps a block of C in registers.
 *
 * Both tiles lie k-major with vec4 along m or n, so that one step of k reads (blockM + blockN)/4 vec4 for
 * blockM·blockN multiplications. Operands come in as 4×4 blocks, which are turned on the way where their contiguous
 * side is k; so every layout reads global memory along its contiguous side.
 */
export function tiledGemm(v: GemmVariant): Program {
  const threads = (v.tileM / v.blockM) * (v.tileN / v.blockN);
  const tileK = tileSteps(v);
  const rows = v.blockM / 4, columns = v.blockN / 4; // vec4 of a thread's block
  const side = {
    a: { tile: v.tileM, group: "group.y", outer: "m", quad: v.quadA },
    b: { tile: v.tileN, group: "group.x", outer: "n", quad: v.quadB },
  };
  /** Four neighbours of a tile. */
  const four = (name: "a" | "b", at: string) =>
    side[name].quad
      ? `tile_${name}[kk * ${side[name].tile / 4}u + ${at}]`
      : `vec4(${
        range(4).map((i) => `tile_${name}[kk * ${side[name].tile}u + (${at}) * 4u + ${i}u]`).join(", ")
      })`;
  const across = v.tileN / v.blockN, down = v.tileM / v.blockM;
  /**
   * Fills a tile: where the matrix lies along k by 4×4 blocks, which are turned on the way; else by vec4; number by
   * number where its side is no multiple of 4. Neighbouring threads go along the contiguous side.
   */
  const load = (name: "a" | "b", along: boolean) => {
    const { tile, group, quad } = side[name];
    const kUnit = quad && along ? 4 : 1, unit = quad ? 4 : 1;
    const ks = tileK / kUnit, os = tile / unit;
    const slot = (r: number) => `tile_${name}[(kk + ${r}u) * ${os}u + o]`;
    return `
    for (var i = lane; i < ${ks * os}u; i += ${threads}u) {
      let kk = (i ${along ? "%" : "/"} ${along ? ks : os}u) * ${kUnit}u;
      let o = i ${along ? "/" : "%"} ${along ? ks : os}u;
      let at = ${group} * ${tile}u + o * ${unit}u; let k0 = step + kk;
      ${
      quad && along
        ? `${range(4).map((r) => `let q${r} = get_${name}(at + ${r}u, k0);`).join(" ")}
      ${range(4).map((c) => `${slot(c)} = vec4(q0[${c}], q1[${c}], q2[${c}], q3[${c}]);`).join(" ")}`
        : `${slot(0)} = get_${name}(${along ? "at, k0" : "k0, at"});`
    }
    }`;
  };
  /** Reads one number, or 4 along the contiguous side; zero outside the matrix. */
  const get = (name: "a" | "b", along: boolean) => {
    const { outer, quad } = side[name];
    const [rows, columns] = along ? [outer, "k"] : ["k", outer];
    const place = `(r * params.${name}_stride + params.${name}_column + c)${quad ? " / 4u" : ""}`;
    return `
fn get_${name}(r: u32, c: u32) -> ${quad ? "vec4<f32>" : "f32"} {
  var q = ${quad ? "vec4<f32>()" : "0.0"};
  if (r < params.${rows} && c < params.${columns}) { q = ${
      name === "b" && v.loader ? "load_b(r, c / 4u)" : `${name}[${place}]`
    }; }
  return q;
}`;
  };
  const put = (place: string, value: string, column: string) =>
    v.epilogue === "add"
      ? `c[${place}] += params.scale * ${value};`
      : `c[${place}] = params.scale * ${value}${v.epilogue === "bias" ? ` + bias[${column}]` : ""};`;
  return {
    name: `${v.loader?.name ?? ""}gemm_${v.transposeA ? "t" : "n"}${v.transposeB ? "t" : "n"}_${v.epilogue}_${
      [v.quadA, v.quadB, v.quadC].map((q) => q ? 4 : 1).join("")
    }_${v.tileM}x${v.tileN}_${v.blockM}x${v.blockN}${v.split ? "_split" : ""}`,
    inputs: {
      a: v.quadA ? "vec4<f32>" : "f32",
      ...v.loader?.inputs ?? { b: v.quadB ? "vec4<f32>" : "f32" },
      ...(v.epilogue === "bias" ? { bias: v.quadC ? "vec4<f32>" : "f32" } : {}),
    },
    outputs: { c: v.quadC ? "vec4<f32>" : "f32" },
    params: {
      ...{ m: "u32", n: "u32", k: "u32" },
      ...{
        a_stride: "u32",
        a_column: "u32",
        b_stride: "u32",
        b_column: "u32",
        c_stride: "u32",
        c_column: "u32",
        scale: "f32",
      },
      ...(v.split && { each: "u32" as const }),
      ...v.loader?.params,
    },
    workgroup: [threads],
    header: `
var<workgroup> tile_a: array<${v.quadA ? "vec4<f32>" : "f32"}, ${tileK * v.tileM / (v.quadA ? 4 : 1)}>;
var<workgroup> tile_b: array<${v.quadB ? "vec4<f32>" : "f32"}, ${tileK * v.tileN / (v.quadB ? 4 : 1)}>;
${v.quadC ? "" : OF_FOUR}
${v.loader?.header ?? ""}${get("a", !v.transposeA)}
${get("b", v.transposeB)}`,
    body: `
  let tx = lane % ${across}u; let ty = lane / ${across}u;
  ${
      range(v.blockM).map((r) => range(columns).map((s) => `var acc_${r}_${s} = vec4<f32>();`).join(" "))
        .join(
          "\n  ",
        )
    }
  ${
      v.split
        ? "let first = group.z * params.each; let last = min(params.k, first + params.each);"
        : "let first = 0u; let last = params.k;"
    }
  for (var step = first; step < last; step += ${tileK}u) {
    ${load("a", !v.transposeA)}
    ${load("b", v.transposeB)}
    workgroupBarrier();
    for (var kk = 0u; kk < ${tileK}u; kk++) {
      ${range(rows).map((r) => `let a${r} = ${four("a", `ty + ${r * down}u`)};`).join("\n      ")}
      ${
      range(columns).map((s) => `let b${s} = ${four("b", `tx + ${s * across}u`)};`).join(
        "\n      ",
      )
    }
      ${
      range(v.blockM).map((r) =>
        range(columns).map((s) => `acc_${r}_${s} += a${r >> 2}[${r & 3}] * b${s};`).join(" ")
      ).join("\n      ")
    }
    }
    workgroupBarrier();
  }
  // A loop that compilers cannot unroll: 64 stores in a row take software Vulkan seconds to compile.
  var block = array<vec4<f32>, ${v.blockM * columns}>(${
      range(v.blockM).map((r) => range(columns).map((s) => `acc_${r}_${s}`).join(", ")).join(", ")
    });
  let r0 = group.y * ${v.tileM}u + ty * 4u; let c0 = group.x * ${v.tileN}u + tx * 4u;
  let many = select(0u, ${v.blockM * columns}u, r0 < params.m && c0 < params.n);
  for (var i = 0u; i < many; i++) {
    let q = i / ${columns}u; let s = i % ${columns}u;
    let r = r0 + (q >> 2u) * ${down * 4}u + (q & 3u); let c1 = c0 + s * ${across * 4}u;
    if (r >= params.m) { continue; }
    let start = ${
      v.split ? "(group.z * params.m + r) * params.n" : "r * params.c_stride + params.c_column"
    } + c1;
    ${
      v.quadC
        ? `if (c1 < params.n) { ${put("start / 4u", "block[i]", "c1 / 4u")} }`
        : `for (var j = 0u; j < min(4u, max(params.n, c1) - c1); j++) { ${
          put("start + j", "of_four(block[i], j)", "c1 + j")
        } }`
    }
  }`,
  };
}
