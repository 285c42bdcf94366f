import type { Tensor } from "../../backend/device.ts";
import { profile } from "../../backend/profile.ts";
import { empty } from "../../backend/tensors.ts";
import { cpuOf } from "../_assembly.ts";
import { gemmOfParts } from "./_gemm.ts";
import { sgemmOn } from "./_sgemm.ts";

/** One of the matrices B_p that lie one below the other in B: where it lies, and the columns of y that it makes. */
export interface Block {
  /** First row of B_p in B. */
  readonly row: number;
  /** Rows of B_p: as many columns of y. */
  readonly rows: number;
  /** First of these columns in y. */
  readonly column: number;
  /** Factor of its product. */
  readonly scale: number;
}

/** What a block product is made with. */
export interface BlockOptions {
  /** At most three, in the order of their columns in u. */
  readonly blocks: readonly Block[];
}

/**
 * Adds the products of blocks to slices of columns, in place:
 *
 *   y[:, column_p … column_p + rows_p − 1] += scale_p · u[:, p·r … (p+1)·r − 1] · B_pᵀ
 *
 * The second half of a low-rank update whose first half, u = x·Aᵀ, is one product for all blocks.
 *
 * @param u [N, T·r] for T blocks
 * @param b [Σ rows_p, r]
 * @param options `y` [N, out]
 */
export function addBlockProduct(
  u: Tensor,
  b: Tensor,
  options: BlockOptions & { readonly y: Tensor },
): void {
  const { blocks, y } = options, { rows, r, wide, out } = sizesOf({ u, b, y }, blocks);
  if (u.device.name === "webgpu") {
    return blocks.forEach((block, p) =>
      gemmOfParts({
        a: { tensor: u, from: p * r },
        b: { tensor: b, from: block.row * r },
        c: { tensor: y, from: block.column },
      }, { m: rows, n: block.rows, k: r, transposeB: true, add: true, scale: block.scale })
    );
  }
  const cpu = cpuOf(u), at = cpu.pointer, sgemm = sgemmOn(cpu);
  profile.run("block_product", () =>
    blocks.forEach((block, p) =>
      sgemm(
        false,
        true,
        rows,
        block.rows,
        r,
        block.scale,
        at(u) + 4 * p * r,
        wide,
        at(b) + 4 * block.row * r,
        r,
        1,
        at(y) + 4 * block.column,
        out,
      )
    ));
}

/**
 * Gradient of {@linkcode addBlockProduct} with respect to u: du_p = scale_p·dy_p·B_p.
 *
 * @param dy [N, out]
 * @returns du [N, T·r]
 */
export function blockProductGradient(b: Tensor, dy: Tensor, options: BlockOptions): Tensor {
  const { blocks } = options, [rows, out] = dy.shape as [number, number], r = b.shape[1]!;
  const wide = blocks.length * r, du = empty(b.device, [rows, wide]);
  sizesOf({ u: du, b, y: dy }, blocks);
  if (b.device.name === "webgpu") {
    blocks.forEach((block, p) =>
      gemmOfParts({
        a: { tensor: dy, from: block.column },
        b: { tensor: b, from: block.row * r },
        c: { tensor: du, from: p * r },
      }, { m: rows, n: r, k: block.rows, scale: block.scale })
    );
    return du;
  }
  const cpu = cpuOf(b), at = cpu.pointer, sgemm = sgemmOn(cpu);
  profile.run("block_product_gradient", () =>
    blocks.forEach((block, p) => {
      const g = at(dy) + 4 * block.column, w = 4 * block.row * r, part = 4 * p * r;
      sgemm(false, false, rows, r, block.rows, block.scale, g, out, at(b) + w, r, 0, at(du) + part, wide);
    }));
  return du;
}

/**
 * Gradient of {@linkcode addBlockProduct} with respect to B, added to `db` in place: dB_p += scale_p·dy_pᵀ·u_p.
 *
 * @param dy [N, out]
 * @param options `db` [Σ rows_p, r]
 */
export function addBlockWeightGradient(
  u: Tensor,
  dy: Tensor,
  options: BlockOptions & { readonly db: Tensor },
): void {
  const { blocks, db } = options, { rows, r, wide, out } = sizesOf({ u, b: db, y: dy }, blocks);
  if (u.device.name === "webgpu") {
    return blocks.forEach((block, p) =>
      gemmOfParts({
        a: { tensor: dy, from: block.column },
        b: { tensor: u, from: p * r },
        c: { tensor: db, from: block.row * r },
      }, { m: block.rows, n: r, k: rows, transposeA: true, add: true, scale: block.scale })
    );
  }
  const cpu = cpuOf(u), at = cpu.pointer, sgemm = sgemmOn(cpu);
  profile.run("block_product_weight_gradient", () =>
    blocks.forEach((block, p) => {
      const g = at(dy) + 4 * block.column, w = 4 * block.row * r, part = 4 * p * r;
      sgemm(true, false, block.rows, r, rows, block.scale, g, out, at(u) + part, wide, 1, at(db) + w, r);
    }));
}

function sizesOf(
  { u, b, y }: { readonly u: Tensor; readonly b: Tensor; readonly y: Tensor },
  blocks: readonly Block[],
) {
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
