import type * as tf from "@tensorflow/tfjs";
import { currentBackend } from "../backend/backend.ts";
import { dispatch, type Program } from "../backend/dispatch.ts";
import { profile } from "../backend/profile.ts";
import { empty } from "../backend/tensors.ts";
import { wasmHeap } from "./_assembly.ts";
import { onOneThreadIfNarrow, sgemm } from "./_sgemm.ts";

/** One of the matrices B_p that lie one below the other in B: where it lies, and the columns of y that it makes. */
export interface Block {
  /** First row of B_p in B. */
  readonly row: number;
  /** Rows of B_p: as many columns of y. */
  readonly rows: number;
  /** First of these columns in y. */
  readonly column: number;
}

/** What a block product is made with. */
export interface BlockOptions {
  /** At most three, in the order of their columns in u. */
  readonly blocks: readonly Block[];
  /** Factor of every product. */
  readonly scale: number;
}

/**
 * Adds the products of blocks to slices of columns, in place:
 *
 *   y[:, column_p … column_p + rows_p − 1] += scale · u[:, p·r … (p+1)·r − 1] · B_pᵀ
 *
 * The second half of a low-rank update whose first half, u = x·Aᵀ, is one product for all blocks.
 *
 * @param u [N, T·r] for T blocks
 * @param b [Σ rows_p, r]
 * @param y [N, out]
 */
export function addBlockProduct(u: tf.Tensor, b: tf.Tensor, y: tf.Tensor, options: BlockOptions): void {
  const { blocks, scale } = options, { rows, r, wide, out } = sizesOf(u, b, y, options);
  if (currentBackend().name === "webgpu") return launch("forward", { u, b, y }, { ...options, rows, r });
  const at = wasmHeap().pointer;
  onEach("block_product", rows, r, blocks, (block, p) =>
    sgemm(
      false,
      true,
      rows,
      block.rows,
      r,
      scale,
      at(u) + 4 * p * r,
      wide,
      at(b) + 4 * block.row * r,
      r,
      1,
      at(y) + 4 * block.column,
      out,
    ));
}

/**
 * Gradient of {@linkcode addBlockProduct} with respect to u: du_p = scale·dy_p·B_p.
 *
 * @param dy [N, out]
 * @returns du [N, T·r]
 */
export function blockProductGradient(b: tf.Tensor, dy: tf.Tensor, options: BlockOptions): tf.Tensor {
  const { blocks, scale } = options, [rows, out] = dy.shape as [number, number], r = b.shape[1]!;
  const wide = blocks.length * r, du = empty([rows, wide]);
  sizesOf(du, b, dy, options);
  if (currentBackend().name === "webgpu") {
    launch("input", { dy, b, du }, { ...options, rows, r });
    return du;
  }
  const at = wasmHeap().pointer;
  onEach("block_product_gradient", rows, r, blocks, (block, p) => {
    const g = at(dy) + 4 * block.column, w = 4 * block.row * r, part = 4 * p * r;
    sgemm(false, false, rows, r, block.rows, scale, g, out, at(b) + w, r, 0, at(du) + part, wide);
  });
  return du;
}

/**
 * Gradient of {@linkcode addBlockProduct} with respect to B, added to `db` in place: dB_p += scale·dy_pᵀ·u_p.
 *
 * @param dy [N, out]
 * @param db [Σ rows_p, r]
 */
export function addBlockWeightGradient(
  u: tf.Tensor,
  dy: tf.Tensor,
  db: tf.Tensor,
  options: BlockOptions,
): void {
  const { blocks, scale } = options, { rows, r, wide, out } = sizesOf(u, db, dy, options);
  if (currentBackend().name === "webgpu") return launch("weight", { dy, u, db }, { ...options, rows, r });
  const at = wasmHeap().pointer;
  onEach("block_product_weight_gradient", rows, r, blocks, (block, p) => {
    const g = at(dy) + 4 * block.column, w = 4 * block.row * r, part = 4 * p * r;
    sgemm(true, false, block.rows, r, rows, scale, g, out, at(u) + part, wide, 1, at(db) + w, r);
  });
}

/** Runs every block's product on WASM: on one BLAS thread where they are small. */
function onEach(
  name: string,
  rows: number,
  r: number,
  blocks: readonly Block[],
  product: (block: Block, p: number) => void,
): void {
  const largest = Math.max(...blocks.map((block) => block.rows));
  profile.run(name, () => onOneThreadIfNarrow([rows, r, largest], () => blocks.forEach(product)));
}

function sizesOf(u: tf.Tensor, b: tf.Tensor, y: tf.Tensor, { blocks }: BlockOptions) {
  const [rows, wide] = u.shape as [number, number], r = b.shape[1]!, out = y.shape[1]!;
  const fits = blocks.every((block) =>
    block.row + block.rows <= b.shape[0] && block.column + block.rows <= out
  );
  if (blocks.length > 3 || wide !== blocks.length * r || y.shape[0] !== rows || !fits) {
    throw new Error(
      `Cannot multiply ${blocks.length} blocks of [${b.shape}] by [${u.shape}] for [${y.shape}]`,
    );
  }
  return { rows, r, wide, out };
}

type Kind = "forward" | "input" | "weight";

function launch(
  kind: Kind,
  tensors: Readonly<Record<string, tf.Tensor>>,
  { blocks, scale, rows, r }: BlockOptions & { readonly rows: number; readonly r: number },
): void {
  const largest = Math.max(...blocks.map((block) => block.rows));
  const [m, n] = kind === "forward" ? [rows, largest] : kind === "input" ? [rows, r] : [largest, r];
  const tileN = n <= 16 ? 16 : 32;
  const at = (p: number) => blocks[p] ?? { column: 0, row: 0, rows: 0 };
  dispatch(programs[kind][tileN], {
    tensors,
    params: {
      rows,
      r,
      wide: blocks.length * r,
      out: (tensors.y ?? tensors.dy).shape[1]!,
      scale,
      ...Object.fromEntries([0, 1, 2].flatMap((p) => [
        [`column${p}`, at(p).column],
        [`row${p}`, at(p).row],
        [`rows${p}`, at(p).rows],
      ])),
    },
    groups: [Math.ceil(n / tileN), Math.ceil(m / TILE_M), blocks.length],
  });
}

const TILE_M = 32, TILE_K = 16;

/** M, N, K, the two factors' element (i, kk) and (kk, j), and where C[i, j] goes; `along k` picks the order of loads. */
const products = {
  forward: {
    inputs: ["u", "b"],
    output: "y",
    sizes: ["params.rows", "rows_p", "params.r"],
    a: "u[i * params.wide + first + kk]",
    b: "b[(row_p + j) * params.r + kk]",
    aAlongK: true,
    bAlongK: true,
    put: "y[i * params.out + column_p + j] += params.scale * ",
  },
  input: {
    inputs: ["dy", "b"],
    output: "du",
    sizes: ["params.rows", "params.r", "rows_p"],
    a: "dy[i * params.out + column_p + kk]",
    b: "b[(row_p + kk) * params.r + j]",
    aAlongK: true,
    bAlongK: false,
    put: "du[i * params.wide + first + j] = params.scale * ",
  },
  weight: {
    inputs: ["dy", "u"],
    output: "db",
    sizes: ["rows_p", "params.r", "params.rows"],
    a: "dy[kk * params.out + column_p + i]",
    b: "u[kk * params.wide + first + j]",
    aAlongK: false,
    bAlongK: false,
    put: "db[(row_p + i) * params.r + j] += params.scale * ",
  },
} as const;

/** A product by tiles, one block along z: 256 threads, each 2 rows and 1 or 2 columns of a 32×16 or 32×32 tile. */
function program(kind: Kind, tileN: 16 | 32): Program {
  const { inputs, output, sizes: [m, n, k], a, b, aAlongK, bAlongK, put } = products[kind];
  const columns = tileN / 16;
  const pick = (name: string) =>
    `select(select(params.${name}0, params.${name}1, group.z == 1u), params.${name}2, group.z == 2u)`;
  const spots = [0, 1].flatMap((s) => Array.from({ length: columns }, (_, c) => [s, c]));
  const place = (tile: number, alongK: boolean) =>
    alongK ? [`l / ${TILE_K}u`, `l % ${TILE_K}u`] : [`l % ${tile}u`, `l / ${tile}u`];
  const [ai, ak] = place(TILE_M, aAlongK), [bj, bk] = place(tileN, bAlongK);
  return {
    name: `block_product_${kind}_${tileN}`,
    inputs: Object.fromEntries(inputs.map((name) => [name, "f32"])),
    outputs: { [output]: "f32" },
    params: {
      rows: "u32",
      r: "u32",
      wide: "u32",
      out: "u32",
      scale: "f32",
      ...Object.fromEntries(
        [0, 1, 2].flatMap((p) => ["column", "row", "rows"].map((name) => [`${name}${p}`, "u32" as const])),
      ),
    },
    workgroup: [256],
    header: `
var<workgroup> tile_a: array<f32, ${TILE_K * TILE_M}>;
var<workgroup> tile_b: array<f32, ${TILE_K * tileN}>;`,
    body: `
  let column_p = ${pick("column")}; let row_p = ${pick("row")}; let rows_p = ${pick("rows")};
  let first = group.z * params.r;
  let i0 = group.y * ${TILE_M}u; let j0 = group.x * ${tileN}u;
  let tx = lane % 16u; let ty = lane / 16u;
  ${spots.map(([s, c]) => `var acc_${s}_${c} = 0.0;`).join(" ")}
  for (var step = 0u; step < ${k}; step += ${TILE_K}u) {
    for (var l = lane; l < ${TILE_K * TILE_M}u; l += 256u) {
      let li = ${ai}; let lk = ${ak}; let i = i0 + li; let kk = step + lk;
      var value = 0.0;
      if (i < ${m} && kk < ${k}) { value = ${a}; }
      tile_a[lk * ${TILE_M}u + li] = value;
    }
    for (var l = lane; l < ${TILE_K * tileN}u; l += 256u) {
      let lj = ${bj}; let lk = ${bk}; let j = j0 + lj; let kk = step + lk;
      var value = 0.0;
      if (j < ${n} && kk < ${k}) { value = ${b}; }
      tile_b[lk * ${tileN}u + lj] = value;
    }
    workgroupBarrier();
    for (var q = 0u; q < ${TILE_K}u; q++) {
      ${
      spots.map(([s, c]) =>
        `acc_${s}_${c} += tile_a[q * ${TILE_M}u + ty + ${s * 16}u] * tile_b[q * ${tileN}u + tx + ${c * 16}u];`
      ).join(" ")
    }
    }
    workgroupBarrier();
  }
  ${
      spots.map(([s, c]) =>
        `{ let i = i0 + ty + ${s * 16}u; let j = j0 + tx + ${
          c * 16
        }u; if (i < ${m} && j < ${n}) { ${put}acc_${s}_${c}; } }`
      ).join("\n  ")
    }`,
  };
}

const programs = {
  forward: { 16: program("forward", 16), 32: program("forward", 32) },
  input: { 16: program("input", 16), 32: program("input", 32) },
  weight: { 16: program("weight", 16), 32: program("weight", 32) },
} as const;
