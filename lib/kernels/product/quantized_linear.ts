import type { CpuDevice, Tensor } from "../../backend/device.ts";
import { dispatch } from "../../backend/dispatch.ts";
import { profile } from "../../backend/profile.ts";
import { empty } from "../../backend/tensors.ts";
import { cpuOf } from "../_assembly.ts";
import { dotsOfRounded } from "./_narrow_dots.ts";
import { fewRows, TILE_N, tiled, tiledAsWide } from "./_quantized_wgsl.ts";
import { elementsOf, rowBlocks, type Run } from "../_row_blocks.ts";
import { overRows } from "../_over_rows.ts";
import { sgemmIn, sgemmOn, sgemmScratch } from "./_sgemm.ts";
import { SCRATCH } from "../../backend/threads.ts";
import module from "../built/quantized_linear.wasm.ts";
import { plainTile } from "./tiles.ts";
import { BLOCK, paddedColumns, type QuantizedMatrix, weightsPerWord } from "./quantize.ts";

/** How a product with a narrow matrix is made. */
export interface QuantizedLinearOptions {
  /** [out] */
  readonly bias?: Tensor | undefined;
  /**
   * Whether the CPU may round x, and so multiply whole numbers: each number of x is then within half a step of what it
   * was, a step being max|row| / 8127 beside int8, max|32 numbers| / 127 beside int4. So
   *
   *   |error of y_ij| ≤ max|x_i| / 16254 · Σ_k |w_jk|           beside int8
   *   |error of y_ij| ≤ Σ_blocks max|x_ib| / 254 · Σ_b |w_jb|   beside int4
   */
  readonly rounded?: boolean | undefined;
}

/**
 * A linear layer whose frozen weight is kept in fewer bits: y = x·Wᵀ (+ bias). The weight is widened as it is
 * multiplied and never stands in memory as float32.
 *
 * @param x [N, in]
 * @param weight [out, in]
 * @returns [N, out]
 */
export function quantizedLinear(
  x: Tensor,
  weight: QuantizedMatrix,
  { bias, rounded = false }: QuantizedLinearOptions = {},
): Tensor {
  const [m, k] = x.shape as [number, number], { rows: n, dtype } = weight;
  if (k !== weight.columns) {
    throw new Error(`Cannot multiply [${x.shape}] by [${n},${weight.columns}]ᵀ`);
  }
  const y = empty(x.device, [m, n]);
  const active = x.device;
  if (active.name === "webgpu") {
    // A CPU that stands in for a GPU takes 42 ms for 6 rows of 3072×512 so, and 14 by tiles.
    const few = k % 4 === 0 && m <= (active.isCpu ? 1 : 8), tile = tileOf(m), has = bias !== undefined;
    if (!few && k % 4 === 0 && n % 4 === 0) {
      asWide(weight, { a: x, c: y, bias, m, transposed: true });
      return y;
    }
    const program = few
      ? fewRows(dtype, m === 1 ? 1 : 8, has)
      : tiled(dtype, { kind: "forward", tileM: tile, bias: has });
    for (const run of partsOf(weight)) {
      dispatch(program, {
        tensors: {
          a: x,
          ...boundPart(weight, run),
          ...(bias &&
            { bias: run.count === n ? bias : { tensor: bias, offset: run.from, length: run.count } }),
          c: y,
        },
        params: {
          ...{ m, n: run.count, k, words_a_row: paddedColumns(k) / weightsPerWord[dtype] },
          ...{ a_stride: k, a_column: 0, c_stride: n, c_column: run.from, add: 0 },
        },
        groups: few ? [Math.ceil(run.count / 8)] : [Math.ceil(run.count / TILE_N), Math.ceil(m / tile)],
        work: 2 * m * k * run.count,
      });
    }
    return y;
  }
  const { pointer: at, memory } = cpuOf(x);
  if (bias) {
    const values = new Float32Array(memory.buffer, at(bias), n);
    const all = new Float32Array(memory.buffer, at(y), m * n);
    for (let i = 0; i < m; i++) all.set(values, i * n);
  }
  if (rounded && isWhole(weight) && multipliesWhole(active, m)) {
    dotsOfRounded(x, weight, { y, add: bias !== undefined });
    return y;
  }
  const beta = bias ? 1 : 0;
  if (m <= ROWS_IN_CACHE) multiplyInCache(x, weight, { y, beta });
  else {
    const sgemm = sgemmOn(cpuOf(x));
    forRowBlocks(
      weight,
      ({ block, from, rows, stride }) =>
        sgemm(false, true, m, rows, k, 1, at(x), k, block, stride, beta, at(y) + 4 * from, n),
    );
  }
  return y;
}

function isWhole(weight: QuantizedMatrix): weight is QuantizedMatrix & { dtype: "int8" | "int4" } {
  return weight.dtype !== "f16";
}

/**
 * Whether so many rows, where they may be rounded, are multiplied as whole numbers, which a BLAS outruns in the end. At 1536×576 on one core, in ms,
 * f32 without a BLAS / int8 / int4: 1 row 0.44 / 0.16 / 0.08, 4 rows 0.66 / 0.26 / 0.19, 96 rows 7.7 / 4.9 / 4.6.
 */
export function multipliesWhole({ blas }: CpuDevice, rows: number): boolean {
  return !blas || rows <= ROWS_IN_CACHE;
}

/**
 * y = x·Wᵀ + beta·y: each thread widens some rows of W into what its core's own cache holds, and multiplies them there and
 * then.
 */
function multiplyInCache(
  x: Tensor,
  weight: QuantizedMatrix,
  { y, beta }: { readonly y: Tensor; readonly beta: number },
): void {
  const device = cpuOf(x),
    { pointer: at, threads } = device,
    { rows, columns, dtype } = weight,
    m = x.shape[0]!;
  const stride = paddedColumns(columns),
    many = Math.min(rows, Math.max(1, Math.floor(CACHE_BYTES / (4 * stride))));
  const place = sgemmScratch(device), widen = widenerOf(weight);
  profile.run(`quantized_few_${dtype}`, () =>
    threads.run(place + 4 * many * stride, (job) => {
      const sgemm = sgemmIn(device, job);
      for (let from = 0; from < rows; from += many) {
        const count = Math.min(many, rows - from), block = SCRATCH + place;
        job.unit();
        job.call(threads.kernel(module, widen.kernel), ...widen.values(from, count, block));
        sgemm(false, true, m, count, columns, 1, at(x), columns, block, stride, beta, at(y) + 4 * from, rows);
      }
    }));
}

/**
 * Gradient of {@linkcode quantizedLinear} with respect to x: dx = dy·W.
 *
 * @param dy [N, out]
 * @returns dx [N, in]
 */
export function quantizedLinearGradient(weight: QuantizedMatrix, dy: Tensor): Tensor {
  const [m, k] = dy.shape as [number, number], { columns: n, dtype } = weight;
  if (k !== weight.rows) throw new Error(`Cannot multiply [${dy.shape}] by [${weight.rows},${n}]`);
  const dx = empty(dy.device, [m, n]);
  if (dy.device.name === "webgpu") {
    const tile = tileOf(m);
    if (k % 4 === 0 && n % 4 === 0) {
      asWide(weight, { a: dy, c: dx, m, transposed: false });
      return dx;
    }
    for (const run of partsOf(weight)) {
      dispatch(tiled(dtype, { kind: "gradient", tileM: tile, bias: false }), {
        tensors: { a: dy, ...boundPart(weight, run), c: dx },
        params: {
          ...{ m, n, k: run.count, words_a_row: paddedColumns(n) / weightsPerWord[dtype] },
          ...{ a_stride: k, a_column: run.from, c_stride: n, c_column: 0, add: run.from > 0 ? 1 : 0 },
        },
        groups: [Math.ceil(n / TILE_N), Math.ceil(m / tile)],
      });
    }
    return dx;
  }
  const at = cpuOf(dy).pointer;
  const sgemm = sgemmOn(cpuOf(dy));
  forRowBlocks(
    weight,
    ({ block, from, rows, stride }) =>
      sgemm(false, false, m, n, rows, 1, at(dy) + 4 * from, k, block, stride, from > 0 ? 1 : 0, at(dx), n),
  );
  return dx;
}

/** C ← A·Wᵀ (+ bias), or C ← A·W where not `transposed`, on WebGPU: a launch for each part of W that fits a binding. */
function asWide(weight: QuantizedMatrix, product: {
  readonly a: Tensor;
  readonly c: Tensor;
  readonly bias?: Tensor | undefined;
  readonly m: number;
  readonly transposed: boolean;
}): void {
  const { a, c, bias, m, transposed } = product, { dtype, columns } = weight;
  const a_stride = a.shape[1]!, c_stride = c.shape[1]!;
  for (const run of partsOf(weight)) {
    const whole = run.count === weight.rows, add = !transposed && run.from > 0;
    const epilogue = add ? "add" : bias ? "bias" : "set", n = transposed ? run.count : columns;
    const tile = plainTile(a.device, m, n);
    dispatch(tiledAsWide(dtype, { transposeB: transposed, epilogue, ...tile }), {
      tensors: {
        a,
        ...boundPart(weight, run),
        ...(bias && { bias: whole ? bias : { tensor: bias, offset: run.from, length: run.count } }),
        c,
      },
      params: {
        ...{ m, n, k: transposed ? columns : run.count },
        ...{ a_stride, a_column: transposed ? 0 : run.from, b_stride: 0, b_column: 0 },
        ...{ c_stride, c_column: transposed ? run.from : 0 },
        ...{ scale: 1, words_a_row: paddedColumns(columns) / weightsPerWord[dtype] },
      },
      groups: [Math.ceil(n / tile.tileN), Math.ceil(m / tile.tileM)],
      work: 2 * m * n * (transposed ? columns : run.count),
    });
  }
}

/** Runs of a weight's rows whose words each fit a binding; its scales are fewer than its words. */
function partsOf({ rows, words }: QuantizedMatrix): Run[] {
  return rowBlocks(words.device, rows, words.size / rows);
}

/** The words and scales of some of a weight's rows, as bindings. */
function boundPart({ dtype, rows, words, scales }: QuantizedMatrix, { from, count }: Run) {
  const part = (tensor: Tensor) =>
    elementsOf(tensor, { from: from * tensor.size / rows, count: count * tensor.size / rows });
  return { words: part(words), ...(dtype !== "f16" && { scales: part(scales) }) };
}

/** Rows of a tile: in decoding, no more than there are. */
function tileOf(m: number): 16 | 32 | 64 {
  return m <= 16 ? 16 : m <= 32 ? 32 : 64;
}

/**
 * Up to how many rows of x a weight is widened into what a core's own cache holds and multiplied there and then on that
 * core. For more, a few large blocks are widened by all threads and then multiplied by all.
 */
const ROWS_IN_CACHE = 24;

/** Bytes of widened rows at once: of a thread, and of all. */
const CACHE_BYTES = 2 ** 19, BLOCK_BYTES = 2 ** 23;

/** The kernel that widens rows of a weight, and its arguments for `count` of them from `from` on, to be put at `block`. */
function widenerOf({ dtype, words, scales, columns }: QuantizedMatrix): {
  readonly kernel: "widenHalves" | "scaleBytes" | "scaleNibbles";
  values(from: number, count: number, block: number): number[];
} {
  const at = cpuOf(words).pointer,
    stride = paddedColumns(columns),
    bytes = stride * 4 / weightsPerWord[dtype];
  const source = (from: number) => at(words) + from * bytes;
  if (dtype === "f16") {
    return { kernel: "widenHalves", values: (from, count, block) => [source(from), block, count * stride] };
  }
  if (dtype === "int8") {
    return {
      kernel: "scaleBytes",
      values: (from, count, block) => [source(from), at(scales) + 4 * from, block, count, stride],
    };
  }
  const blocks = stride / BLOCK;
  return {
    kernel: "scaleNibbles",
    values: (from, count, block) => [source(from), at(scales) + 4 * from * blocks, block, count * blocks],
  };
}

/** Some rows of a weight, widened. */
interface RowBlock {
  /** Where they lie. */
  readonly block: number;
  /** The first of them. */
  readonly from: number;
  /** How many. */
  readonly rows: number;
  /** Numbers from one to the next. */
  readonly stride: number;
}

/** Widens a weight some of its rows at a time, into memory that the next ones take over. */
function forRowBlocks(
  weight: QuantizedMatrix,
  multiply: (part: RowBlock) => void,
): void {
  const { dtype, words, rows, columns } = weight, device = cpuOf(words), widen = widenerOf(weight);
  const stride = paddedColumns(columns);
  const many = Math.min(rows, Math.max(1, Math.floor(BLOCK_BYTES / (4 * stride))));
  const block = device.allocate(many * stride * 4);
  try {
    for (let first = 0; first < rows; first += many) {
      const part = Math.min(many, rows - first);
      profile.run(
        `widen_${dtype}`,
        () =>
          overRows(
            device,
            { kernel: [module, widen.kernel], rows: part, each: stride / 2 },
            (from, count) => widen.values(first + from, count, block + 4 * from * stride),
          ),
      );
      profile.run("sgemm", () => multiply({ block, from: first, rows: part, stride }));
    }
  } finally {
    device.free(block);
  }
}
