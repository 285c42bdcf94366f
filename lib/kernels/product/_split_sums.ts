import type { WebgpuDevice } from "../../backend/device.ts";
import type { Program } from "../../backend/dispatch.ts";
import { tileSteps } from "./_gemm_tiled.ts";
import type { Cut } from "./tiles.ts";

/** Most parts that the sums of a product are cut into, and bytes that they may take together. */
const MOST_PARTS = 64, MOST_BYTES = 2 ** 25;

/** Fewest steps along k of a part: fewer do not pay for the second launch. */
const FEWEST_STEPS = 2;

/** Into how many parts the sums along k of a product are cut, and how much of k is in each. */
export function partsAlongK(
  { limits }: WebgpuDevice,
  { m, n, k }: { readonly m: number; readonly n: number; readonly k: number },
  cut: Cut,
): { readonly parts: number; readonly each: number } {
  const groups = Math.ceil(m / cut.tileM) * Math.ceil(n / cut.tileN), step = tileSteps(cut);
  const bytes = Math.min(MOST_BYTES, limits.maxStorageBufferBindingSize);
  const wanted = Math.min(
    Math.floor(cut.fill / groups),
    Math.floor(k / (FEWEST_STEPS * step)),
    Math.floor(bytes / (4 * m * n)),
    MOST_PARTS,
  );
  if (wanted < 2) return { parts: 1, each: k };
  const each = Math.ceil(k / wanted / step) * step;
  return { parts: Math.ceil(k / each), each };
}

const THREADS = 256;

/** C ← scale·Σ parts (+ C or bias), where `parts` is [count, m, n]: summed in their order, so the same every time. */
export function addParts(epilogue: "set" | "add" | "bias"): Program {
  return {
    name: `gemm_parts_${epilogue}`,
    inputs: { parts: "f32", ...(epilogue === "bias" && { bias: "f32" }) },
    outputs: { c: "f32" },
    params: { count: "u32", size: "u32", n: "u32", c_stride: "u32", c_column: "u32", scale: "f32" },
    workgroup: [THREADS],
    body: `
  let i = row * ${THREADS}u + lane;
  if (i < params.size) {
    var sum = 0.0;
    for (var part = 0u; part < params.count; part++) { sum += parts[part * params.size + i]; }
    let j = i % params.n;
    let at = (i / params.n) * params.c_stride + params.c_column + j;
    ${
      epilogue === "add"
        ? "c[at] += params.scale * sum;"
        : `c[at] = params.scale * sum${epilogue === "bias" ? " + bias[j]" : ""};`
    }
  }`,
  };
}

/** Workgroups of {@linkcode addParts}. */
export const partGroups = (size: number): number => Math.ceil(size / THREADS);
