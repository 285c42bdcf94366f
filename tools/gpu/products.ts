/** Products of matrices, in float32 and on narrow weights. */

import type { Device } from "../../lib/backend/device.ts";
import {
  addBlockProduct,
  addBlockWeightGradient,
  blockProductGradient,
} from "../../lib/kernels/product/block_product.ts";
import {
  addColumnSums,
  addLinearGradients,
  linear,
  linearGradient,
} from "../../lib/kernels/product/linear.ts";
import { matmul } from "../../lib/kernels/product/matmul.ts";
import { quantize, quantizedBytes, type QuantizedDtype } from "../../lib/kernels/product/quantize.ts";
import { quantizedLinear, quantizedLinearGradient } from "../../lib/kernels/product/quantized_linear.ts";
import { Inputs, normals } from "./_inputs.ts";
import { type Kernel, numbers, type Prepared } from "./kernel.ts";
import { flatBatch, type Shape } from "./shapes.ts";

/** Sizes of C = op(A)·op(B): m×n, along k. */
interface Sizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

const cost = ({ m, n, k }: Sizes) => ({
  shape: `${m}×${n}×${k}`,
  flops: 2 * m * n * k,
  bytes: numbers(m * k, k * n, m * n),
});

const rowsOf = (shape: Shape) => flatBatch(shape).ids.length;

/** A product of A and B, either turned. */
function product(
  name: string,
  sizes: (shape: Shape) => Sizes,
  turned: { readonly transposeA?: boolean; readonly transposeB?: boolean } = {},
): Kernel {
  return {
    name,
    prepare(device, shape) {
      const inputs = new Inputs(device), size = sizes(shape), { m, n, k } = size;
      const a = turned.transposeA ? inputs.normal(k, m) : inputs.normal(m, k);
      const b = turned.transposeB ? inputs.normal(n, k) : inputs.normal(k, n);
      return { ...cost(size), call: () => [matmul(a, b, turned)], dispose: () => inputs[Symbol.dispose]() };
    },
  };
}

/** The gate's and up projection's product: x [N, D], W [2F, D]. */
const layer = (shape: Shape): Sizes => ({ m: rowsOf(shape), n: 2 * shape.inner, k: shape.width });

function linearLayer(
  name: string,
  run: (inputs: Inputs, sizes: Sizes) => Pick<Prepared, "call" | "changed">,
  bytes: (sizes: Sizes) => number = ({ m, n, k }) => numbers(m * k, k * n, m * n),
): Kernel {
  return {
    name,
    prepare(device, shape) {
      const inputs = new Inputs(device), sizes = layer(shape);
      const prepared = run(inputs, sizes);
      return {
        ...cost(sizes),
        bytes: bytes(sizes),
        ...prepared,
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  };
}

/** A product of a few or of many rows with a matrix of 16, 8 or 4 bits. */
function quantized(
  name: string,
  { dtype, rows, back = false }: {
    readonly dtype: QuantizedDtype;
    readonly rows: (shape: Shape) => number;
    readonly back?: boolean;
  },
): Kernel {
  return {
    name,
    prepare(device, shape) {
      const inputs = new Inputs(device), m = rows(shape), out = 2 * shape.inner, { width } = shape;
      const values = normals(out * width, { from: 3 });
      const weight = inputs.own(quantize(device, values, { shape: [out, width], dtype }));
      const x = back ? inputs.normal(m, out) : inputs.normal(m, width);
      return {
        ...cost({ m, n: out, k: width }),
        bytes: quantizedBytes([out, width], dtype) + numbers(m * width, m * out),
        call: () => [back ? quantizedLinearGradient(weight, x) : quantizedLinear(x, weight)],
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  };
}

const RANK = 16;

/** The second half of a low-rank update of queries, keys and values, and its gradients. */
function block(
  name: string,
  run: (
    inputs: Inputs,
    given: {
      readonly options: Parameters<typeof blockProductGradient>[2];
      readonly rows: number;
      readonly out: number;
    },
  ) => Pick<Prepared, "call" | "changed">,
): Kernel {
  return {
    name,
    prepare(device: Device, shape: Shape) {
      const { width } = shape, rows = rowsOf(shape), out = 3 * width, inputs = new Inputs(device);
      const blocks = [0, 1, 2].map((p) => ({ row: p * width, rows: width, column: p * width, scale: 2 }));
      return {
        shape: `${rows}×${out}×${RANK}`,
        flops: 2 * rows * out * RANK,
        bytes: numbers(rows * 3 * RANK, out * RANK, 2 * rows * out),
        ...run(inputs, { options: { blocks }, rows, out }),
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  };
}

/** Every product. */
export const products: readonly Kernel[] = [
  product("product, square", ({ square }) => ({ m: square, n: square, k: square })),
  linearLayer("linear", (inputs, { m, n, k }) => {
    const x = inputs.normal(m, k), w = inputs.normal(n, k);
    return { call: () => [linear(x, w)] };
  }),
  linearLayer("linear with bias", (inputs, { m, n, k }) => {
    const x = inputs.normal(m, k), w = inputs.normal(n, k), bias = inputs.normal(n);
    return { call: () => [linear(x, w, bias)] };
  }),
  linearLayer("linear, dx", (inputs, { m, n, k }) => {
    const dy = inputs.normal(m, n), w = inputs.normal(n, k);
    return { call: () => [linearGradient(w, dy)] };
  }),
  linearLayer("linear, dW", (inputs, { m, n, k }) => {
    const x = inputs.normal(m, k), dy = inputs.normal(m, n), dweight = inputs.zeros(n, k);
    return {
      call: () => {
        addLinearGradients(x, dy, { dweight });
        return [];
      },
      changed: [dweight],
    };
  }, ({ m, n, k }) => numbers(m * k, 2 * k * n, m * n)),
  {
    name: "linear, db",
    prepare(device, shape) {
      const inputs = new Inputs(device), rows = rowsOf(shape), n = 2 * shape.inner;
      const dy = inputs.normal(rows, n), dbias = inputs.zeros(n);
      return {
        shape: `${rows}×${n}`,
        flops: rows * n,
        bytes: numbers(rows * n, 2 * n),
        call: () => {
          addColumnSums(dy, dbias);
          return [];
        },
        changed: [dbias],
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  },
  product("linear, one row", ({ width: k, inner }) => ({ m: 1, n: 2 * inner, k }), { transposeB: true }),
  product(
    "linear, decoded rows",
    ({ width: k, inner, sequences: m }) => ({ m, n: 2 * inner, k }),
    { transposeB: true },
  ),
  product(
    "logits, decoded rows",
    ({ width: k, vocabulary: n, sequences: m }) => ({ m, n, k }),
    { transposeB: true },
  ),
  product(
    "adapter, x·Aᵀ",
    (shape) => ({ m: rowsOf(shape), n: RANK, k: shape.width }),
    { transposeB: true },
  ),
  block("adapter, blocks", (inputs, { options, rows, out }) => {
    const u = inputs.normal(rows, 3 * RANK), b = inputs.normal(out, RANK), y = inputs.normal(rows, out);
    return {
      call: () => {
        addBlockProduct(u, b, { ...options, y });
        return [];
      },
      changed: [y],
    };
  }),
  block("adapter, blocks, du", (inputs, { options, rows, out }) => {
    const b = inputs.normal(out, RANK), dy = inputs.normal(rows, out);
    return { call: () => [blockProductGradient(b, dy, options)] };
  }),
  block("adapter, blocks, dB", (inputs, { options, rows, out }) => {
    const u = inputs.normal(rows, 3 * RANK), dy = inputs.normal(rows, out), db = inputs.zeros(out, RANK);
    return {
      call: () => {
        addBlockWeightGradient(u, dy, { ...options, db });
        return [];
      },
      changed: [db],
    };
  }),
  ...(["f16", "int8", "int4"] as const).flatMap((dtype) => [
    quantized(`linear ${dtype}`, { dtype, rows: rowsOf }),
    quantized(`linear ${dtype}, dx`, { dtype, rows: rowsOf, back: true }),
    quantized(`linear ${dtype}, one row`, { dtype, rows: () => 1 }),
    quantized(`linear ${dtype}, decoded rows`, { dtype, rows: ({ sequences }) => sequences }),
  ]),
];
