import type { Program } from "../backend/dispatch.ts";

/** Which of the tiled products. */
export interface GemmVariant {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** `set`: C ← P, `add`: C ← C + P, `bias`: C ← P + bias. */
  readonly epilogue: "set" | "add" | "bias";
  /** Whether the contiguous side of A, B and C is a multiple of 4, so that they are read and written as vec4. */
  readonly quadA: boolean;
  readonly quadB: boolean;
  readonly quadC: boolean;
  /** A workgroup's tile of C, and a thread's block of it: multiples of 4. */
  readonly tileM: number;
  readonly tileN: number;
  readonly blockM: number;
  readonly blockN: number;
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
  const tileK = Math.min(32, Math.floor(4096 / (v.tileM + v.tileN) / 4) * 4);
  const rows = v.blockM / 4, columns = v.blockN / 4; // vec4 of a thread's block
  const across = v.tileN / v.blockN, down = v.tileM / v.blockM;
  const load = (name: "a" | "b", tile: number, group: string, turned: boolean, outer: string) => `
    for (var i = lane; i < ${tile * tileK / 16}u; i += ${threads}u) {
      ${
    turned // contiguous along k: neighbouring threads take neighbouring quads of k
      ? `let o = (i / ${tileK / 4}u) * 4u; let kk = (i % ${tileK / 4}u) * 4u;`
      : `let o = (i % ${tile / 4}u) * 4u; let kk = (i / ${tile / 4}u) * 4u;`
  }
      let at = ${group} * ${tile}u + o; let k0 = step + kk;
      let at_tile = kk * ${tile / 4}u + o / 4u;
      ${
    turned
      ? range(4).map((r) => `let q${r} = quad_${name}(at + ${r}u, k0, params.${outer}, params.k);`).join(
        "\n",
      ) +
        range(4).map((c) =>
          `tile_${name}[at_tile + ${c * tile / 4}u] = vec4(q0[${c}], q1[${c}], q2[${c}], q3[${c}]);`
        ).join("\n")
      : range(4).map((r) =>
        `tile_${name}[at_tile + ${r * tile / 4}u] = quad_${name}(k0 + ${r}u, at, params.k, params.${outer});`
      ).join("\n")
  }
    }`;
  const quad = (name: "a" | "b", wide: boolean) => `
fn quad_${name}(r: u32, c: u32, rows: u32, columns: u32) -> vec4<f32> {
  var q = vec4<f32>();
  ${
    wide ? `if (r < rows && c < columns) { q = ${name}[(r * columns + c) / 4u]; }` : `if (r < rows) {
    let at = r * columns + c;
    ${range(4).map((i) => `if (c + ${i}u < columns) { q[${i}] = ${name}[at + ${i}u]; }`).join("\n")}
  }`
  }
  return q;
}`;
  const store = (r: number, s: number) => {
    const value = `acc_${r}_${s}`;
    const at = `let c0 = group.x * ${v.tileN}u + (tx + ${s * across}u) * 4u; let start = r * params.n + c0;`;
    const put = (place: string, part: string, column: string) =>
      v.epilogue === "add"
        ? `c[${place}] += ${value}${part};`
        : `c[${place}] = ${value}${part}${v.epilogue === "bias" ? ` + bias[${column}]` : ""};`;
    return `{ ${at} ${
      v.quadC
        ? `if (c0 < params.n) { ${put("start / 4u", "", "c0 / 4u")} }`
        : range(4).map((i) =>
          `if (c0 + ${i}u < params.n) { ${put(`start + ${i}u`, `[${i}]`, `c0 + ${i}u`)} }`
        ).join(" ")
    } }`;
  };
  return {
    name: `gemm_${v.transposeA ? "t" : "n"}${v.transposeB ? "t" : "n"}_${v.epilogue}_${
      [v.quadA, v.quadB, v.quadC].map((q) => q ? 4 : 1).join("")
    }_${v.tileM}x${v.tileN}_${v.blockM}x${v.blockN}`,
    inputs: {
      a: v.quadA ? "vec4<f32>" : "f32",
      b: v.quadB ? "vec4<f32>" : "f32",
      ...(v.epilogue === "bias" ? { bias: v.quadC ? "vec4<f32>" : "f32" } : {}),
    },
    outputs: { c: v.quadC ? "vec4<f32>" : "f32" },
    params: { m: "u32", n: "u32", k: "u32" },
    workgroup: [threads],
    header: `
var<workgroup> tile_a: array<vec4<f32>, ${tileK * v.tileM / 4}>;
var<workgroup> tile_b: array<vec4<f32>, ${tileK * v.tileN / 4}>;
${quad("a", v.quadA)}
${quad("b", v.quadB)}`,
    body: `
  let tx = lane % ${across}u; let ty = lane / ${across}u;
  ${
      range(v.blockM).map((r) => range(columns).map((s) => `var acc_${r}_${s} = vec4<f32>();`).join(" "))
        .join(
          "\n  ",
        )
    }
  for (var step = 0u; step < params.k; step += ${tileK}u) {
    ${load("a", v.tileM, "group.y", !v.transposeA, "m")}
    ${load("b", v.tileN, "group.x", v.transposeB, "n")}
    workgroupBarrier();
    for (var kk = 0u; kk < ${tileK}u; kk++) {
      ${
      range(rows).map((r) => `let a${r} = tile_a[kk * ${v.tileM / 4}u + ty + ${r * down}u];`).join("\n      ")
    }
      ${
      range(columns).map((s) => `let b${s} = tile_b[kk * ${v.tileN / 4}u + tx + ${s * across}u];`).join(
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
  ${
      range(v.blockM).map((r) =>
        `{ let r = group.y * ${v.tileM}u + (ty + ${(r >> 2) * down}u) * 4u + ${r & 3}u;
    if (r < params.m) { ${range(columns).map((s) => store(r, s)).join("\n      ")} } }`
      ).join("\n  ")
    }`,
  };
}
