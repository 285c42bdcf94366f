import type { Device, Tensor } from "../../backend/device.ts";
import { type Binding, dispatch, type Program } from "../../backend/dispatch.ts";
import { profile } from "../../backend/profile.ts";
import { cpuOf } from "../_assembly.ts";
import { type GemmVariant, tiledGemm } from "./_gemm_tiled.ts";
import { rowBlocks } from "../_row_blocks.ts";
import { sgemmOn } from "./_sgemm.ts";

/** The operands of one product: op(A) [m, k], op(B) [k, n], C [m, n], all row-major without gaps. */
export interface GemmOperands {
  readonly a: Binding;
  readonly b: Binding;
  readonly c: Binding;
  /** [n], added to every row of a product that is not accumulated. WebGPU only. */
  readonly bias?: Tensor;
}

/** Sizes and layout of one product; k > 0. */
export interface GemmOptions {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** A lies as [k, m]. */
  readonly transposeA?: boolean;
  /** B lies as [n, k]. */
  readonly transposeB?: boolean;
  /** C ← C + op(A)·op(B) instead of C ← op(A)·op(B). */
  readonly add?: boolean;
}

/** A stored matrix, or a part of its columns: where its rows start in the tensor, their number, their length. */
interface Side {
  readonly tensor: Tensor;
  readonly offset: number;
  readonly rows: number;
  readonly stride: number;
  /** First of the columns that are meant. */
  readonly column: number;
}

/** A product whose operands may be parts of larger matrices. */
interface Product {
  readonly a: Side;
  readonly b: Side;
  readonly c: Side;
  readonly bias?: Binding | undefined;
  readonly sizes: Readonly<Record<"m" | "n" | "k", number>>;
  readonly add: boolean;
  /** Factor of the product. */
  readonly scale: number;
}

const programs = new Map<string, Program>();

/**
 * C ← op(A)·op(B) (+ bias), or C ← C + op(A)·op(B), on tensors or runs of their rows: one launch, or one for each part
 * of an operand that is too large for a binding.
 */
export function gemm(operands: GemmOperands, options: GemmOptions): void {
  const { a, b, c, bias } = operands;
  const { m, n, k, transposeA = false, transposeB = false, add = false } = options;
  if (m === 0 || n === 0) return;
  const { device } = tensorOf(c);
  if (device.name === "wasm") {
    const sgemm = sgemmOn(device);
    const lda = transposeA ? m : k, ldb = transposeB ? k : n;
    const [pa, pb, pc] = [a, b, c].map(heapPointer), beta = add ? 1 : 0;
    profile.run("sgemm", () => sgemm(transposeA, transposeB, m, n, k, 1, pa!, lda, pb!, ldb, beta, pc!, n));
    return;
  }
  const product: Product = {
    a: transposeA ? sideOf(a, k, m) : sideOf(a, m, k),
    b: transposeB ? sideOf(b, n, k) : sideOf(b, k, n),
    c: sideOf(c, m, n),
    bias,
    sizes: { m, n, k },
    add,
    scale: 1,
  };
  for (const part of partsThatFit(product, { transposeA, transposeB })) {
    launch(part, { transposeA, transposeB });
  }
}

/** A part of a matrix [rows, stride] that begins `from` elements after its first. */
export interface MatrixPart {
  readonly tensor: Tensor;
  readonly from: number;
}

/** C ← scale·op(A)·op(B), or C ← C + scale·op(A)·op(B), on parts of matrices. WebGPU only. */
export function gemmOfParts(
  { a, b, c }: Readonly<Record<"a" | "b" | "c", MatrixPart>>,
  options: GemmOptions & { readonly scale: number },
): void {
  const { m, n, k, transposeA = false, transposeB = false, add = false, scale } = options;
  const side = ({ tensor, from }: MatrixPart): Side => {
    const [rows, stride] = tensor.shape as [number, number];
    return { tensor, offset: 0, rows, stride, column: from };
  };
  const product = { a: side(a), b: side(b), c: side(c), sizes: { m, n, k }, add, scale };
  for (const part of partsThatFit(product, { transposeA, transposeB })) {
    launch(part, { transposeA, transposeB });
  }
}

function sideOf(binding: Binding, rows: number, stride: number): Side {
  return "tensor" in binding
    ? { tensor: binding.tensor, offset: binding.offset, rows, stride, column: 0 }
    : { tensor: binding, offset: 0, rows, stride, column: 0 };
}

/** Which of m, n and k is the number of an operand's stored rows, and which that of its columns. */
function axesOf({ transposeA, transposeB }: Transposes): Readonly<Record<"a" | "b" | "c", Axes>> {
  return {
    a: transposeA ? { rows: "k", columns: "m" } : { rows: "m", columns: "k" },
    b: transposeB ? { rows: "n", columns: "k" } : { rows: "k", columns: "n" },
    c: { rows: "m", columns: "n" },
  };
}

type Axis = "m" | "n" | "k";
type Axes = { readonly rows: Axis; readonly columns: Axis };

type Transposes = { readonly transposeA: boolean; readonly transposeB: boolean };

/** A part of a product: `count` of one of its sizes, from the `from`-th on. */
function part(
  product: Product,
  axes: ReturnType<typeof axesOf>,
  { along, from, count }: { readonly along: Axis; readonly from: number; readonly count: number },
): Product {
  const cut = (name: "a" | "b" | "c"): Side => {
    const side = product[name];
    if (axes[name].rows === along) return { ...side, offset: side.offset + from * side.stride, rows: count };
    return axes[name].columns === along ? { ...side, column: side.column + from } : side;
  };
  return {
    a: cut("a"),
    b: cut("b"),
    c: cut("c"),
    bias: product.bias && along === "n"
      ? { tensor: tensorOf(product.bias), offset: from, length: count }
      : product.bias,
    sizes: { ...product.sizes, [along]: count },
    scale: product.scale,
    add: product.add || (along === "k" && from > 0),
  };
}

/**
 * The product in parts whose operands each fit a binding, by rows of the operand that does not, then of the next; and
 * none of which takes a GPU too long, by rows of C.
 */
function* partsThatFit(product: Product, layout: Transposes): Generator<Product> {
  const axes = axesOf(layout), names = ["a", "b", "c"] as const;
  for (const name of names) {
    const runs = rowBlocks(product.c.tensor.device, product[name].rows, product[name].stride),
      along = axes[name].rows;
    if (runs.length === 1) continue;
    for (const { from, count } of runs) {
      yield* partsThatFit(part(product, axes, { along, from, count }), layout);
    }
    return;
  }
  const { device } = product.c.tensor, { m, n, k } = product.sizes;
  // A multiple of 64, on which bindings may begin.
  const most = device.name === "webgpu"
    ? Math.max(64, Math.floor(device.submissionWork / (2 * n * k) / 64) * 64)
    : m;
  for (let from = 0; from < m; from += most) {
    yield m <= most ? product : part(product, axes, { along: "m", from, count: Math.min(most, m - from) });
  }
}

function launch(product: Product, layout: Transposes): void {
  const { a, b, c, bias, sizes: { m, n, k }, add, scale } = product, axes = axesOf(layout);
  const quad = (name: "a" | "b" | "c") => {
    const { stride, column } = product[name];
    return [stride, column, product.sizes[axes[name].columns]].every((length) => length % 4 === 0);
  };
  const variant: GemmVariant = {
    ...layout,
    epilogue: add ? "add" : bias ? "bias" : "set",
    quadA: quad("a"),
    quadB: quad("b"),
    quadC: quad("c"),
    ...tileOf(c.tensor.device, m, n),
  };
  const key = Object.values(variant).join();
  let program = programs.get(key);
  if (!program) programs.set(key, program = tiledGemm(variant));
  const bound = ({ tensor, offset, rows, stride }: Side): Binding =>
    offset === 0 && rows * stride === tensor.size ? tensor : { tensor, offset, length: rows * stride };
  const tensors = { a: bound(a), b: bound(b), c: bound(c) };
  dispatch(program, {
    tensors: variant.epilogue === "bias" ? { ...tensors, bias: bias! } : tensors,
    params: {
      m,
      n,
      k,
      a_stride: a.stride,
      a_column: a.column,
      b_stride: b.stride,
      b_column: b.column,
      c_stride: c.stride,
      c_column: c.column,
      scale,
    },
    groups: [Math.ceil(n / variant.tileN), Math.ceil(m / variant.tileM)],
    work: 2 * m * n * k,
  });
}

/** Sizes of tiles and blocks of one product. */
export type Tile = Pick<GemmVariant, "tileM" | "tileN" | "blockM" | "blockN">;

/**
 * The tile of C a workgroup computes, and a thread's block of it. Blocks of 8×8 halve the reads of workgroup memory
 * that 4×4 needs, and fill about as many registers as GPUs give a thread without halving those at work. Flat tiles keep
 * products of few rows, as in decoding, from multiplying rows that are not there.
 *
 * A CPU that stands in for a GPU keeps registers in memory anyway and pays for each read of a tile by the lane: blocks
 * of 16×16 took software Vulkan (Mesa 22.3) from 4.9 to 8.8 GFLOP a CPU second at 1664×384×128, from 5.2 to 9.2 at
 * 1664×128×768 and from 5.6 to 9.7 at 768×128×1664 with A transposed; at 8×1024×128 8×8 beat both 8×4 and 8×16.
 */
export function tileOf(device: Device, m: number, n: number): Tile {
  const tile = gpuTileOf(m, n);
  if (device.name !== "webgpu" || !device.isCpu) return tile;
  const block = m <= 8 ? 8 : 16;
  return { ...tile, blockM: Math.min(block, tile.tileM), blockN: block };
}

function gpuTileOf(m: number, n: number): Tile {
  if (m <= 8) return { tileM: 8, tileN: 128, blockM: 8, blockN: 4 };
  if (m <= 16) return { tileM: 16, tileN: 128, blockM: 8, blockN: 8 };
  // Up to 128 rows, half a tile of nothing at the end would cost a quarter and more.
  const last = m % 64;
  if (m < 128 && last > 0 && last <= 32) return { tileM: 32, tileN: 64, blockM: 8, blockN: 8 };
  if (n <= 32) return { tileM: 64, tileN: 32, blockM: 8, blockN: 8 };
  return { tileM: 64, tileN: 64, blockM: 8, blockN: 8 };
}

/** Byte offset on the WASM heap of a tensor or of a run of its elements. */
export function heapPointer(binding: Binding): number {
  const tensor = tensorOf(binding), at = cpuOf(tensor).pointer(tensor);
  return "tensor" in binding ? at + binding.offset * 4 : at;
}

function tensorOf(binding: Binding): Tensor {
  return "tensor" in binding ? binding.tensor : binding;
}
