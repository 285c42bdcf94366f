import type { Tensor } from "../../backend/device.ts";
import { type Binding, dispatch, type Program } from "../../backend/dispatch.ts";
import { profile } from "../../backend/profile.ts";
import { empty } from "../../backend/tensors.ts";
import { cpuOf } from "../_assembly.ts";
import { type GemmVariant, tiledGemm } from "./_gemm_tiled.ts";
import { rowBlocks } from "../_row_blocks.ts";
import { sgemmOn } from "./_sgemm.ts";
import { addParts, partGroups, partsAlongK } from "./_split_sums.ts";
import { cutOf } from "./tiles.ts";

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
  const { device } = c.tensor;
  if (device.name !== "webgpu") throw new Error("Cannot multiply by tiles: the tensors are not on webgpu");
  const quad = (name: "a" | "b" | "c") => {
    const { stride, column } = product[name];
    return [stride, column, product.sizes[axes[name].columns]].every((length) => length % 4 === 0);
  };
  const cut = cutOf(device, { m, n, k, ...layout }), { tileM, tileN, blockM, blockN } = cut;
  const { parts, each } = partsAlongK(device, product.sizes, cut), split = parts > 1;
  const epilogue = add ? "add" : bias ? "bias" : "set";
  const variant: GemmVariant = {
    ...layout,
    epilogue: split ? "set" : epilogue,
    quadA: quad("a"),
    quadB: quad("b"),
    quadC: split ? n % 4 === 0 : quad("c"),
    ...{ tileM, tileN, blockM, blockN, split },
  };
  const key = Object.values(variant).join();
  let program = programs.get(key);
  if (!program) programs.set(key, program = tiledGemm(variant));
  const bound = ({ tensor, offset, rows, stride }: Side): Binding =>
    offset === 0 && rows * stride === tensor.size ? tensor : { tensor, offset, length: rows * stride };
  const biased = epilogue === "bias" ? { bias: bias! } : {};
  const place = { c_stride: c.stride, c_column: c.column, scale };
  using sums = split ? empty(device, [parts, m, n]) : undefined;
  dispatch(program, {
    tensors: { a: bound(a), b: bound(b), ...(sums ? { c: sums } : { c: bound(c), ...biased }) },
    params: {
      m,
      n,
      k,
      a_stride: a.stride,
      a_column: a.column,
      b_stride: b.stride,
      b_column: b.column,
      ...place,
      ...(sums && { scale: 1, each }),
    },
    groups: [Math.ceil(n / tileN), Math.ceil(m / tileM), parts],
    work: 2 * m * n * k,
  });
  if (!sums) return;
  dispatch(addParts(epilogue), {
    tensors: { parts: sums, ...biased, c: bound(c) },
    params: { count: parts, size: m * n, n, ...place },
    groups: [partGroups(m * n)],
    work: parts * m * n,
  });
}

/** Byte offset on the WASM heap of a tensor or of a run of its elements. */
export function heapPointer(binding: Binding): number {
  const tensor = tensorOf(binding), at = cpuOf(tensor).pointer(tensor);
  return "tensor" in binding ? at + binding.offset * 4 : at;
}

function tensorOf(binding: Binding): Tensor {
  return "tensor" in binding ? binding.tensor : binding;
}
