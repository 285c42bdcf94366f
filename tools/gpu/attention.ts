/** Attention in training and in decoding, and what stands around it. */

import { fusedViews, spanAttention, spanAttentionGradient } from "../../lib/kernels/attention/attention.ts";
import { writeCache } from "../../lib/kernels/attention/kv_cache.ts";
import { rope, ropeTable } from "../../lib/kernels/attention/rope.ts";
import { decodingLayout, type Segment, spanLayout } from "../../lib/kernels/attention/span_layout.ts";
import { Inputs } from "./_inputs.ts";
import { type Kernel, numbers } from "./kernel.ts";
import { flatBatch, type Shape } from "./shapes.ts";

const headsOf = ({ heads, kvHeads, headDim }: Shape) => ({ heads, kvHeads, headDim });
const fusedWidth = ({ heads, kvHeads, headDim }: Shape) => (heads + 2 * kvHeads) * headDim;

/** Pairs of a query and a key that it sees. */
function pairsOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, { start, end, sharedStart, sharedEnd }) => {
    const rows = end - start;
    return sum + rows * (sharedEnd - sharedStart) + rows * (rows + 1) / 2;
  }, 0);
}

/** Cache rows and spans of sequences that share one prompt. */
function cached({ prompt, response, sequences }: Shape) {
  const keyRows = prompt + sequences * response;
  const spans = Int32Array.from(
    Array.from({ length: sequences }, (_, s) => prompt + s * response).flatMap((own) => [
      0,
      prompt,
      own,
      own + response,
    ]),
  );
  return { keyRows, spans, pairs: sequences * (prompt + response) };
}

/** Every kernel of attention. */
export const attention: readonly Kernel[] = [
  {
    name: "attention",
    prepare(device, shape) {
      const inputs = new Inputs(device), { segments, ids: { length: rows } } = flatBatch(shape);
      const layout = inputs.own(spanLayout(segments, { rows, device })), heads = headsOf(shape);
      const qkv = inputs.normal(rows, fusedWidth(shape)), width = shape.heads * shape.headDim;
      return {
        shape: `${rows} rows, ${shape.heads}/${shape.kvHeads} heads of ${shape.headDim}`,
        flops: 4 * pairsOf(segments) * width,
        bytes: numbers(rows * fusedWidth(shape), rows * width, rows * shape.heads),
        call() {
          const { out, lse } = spanAttention(fusedViews(qkv, heads), layout, heads);
          return [out, lse];
        },
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  },
  {
    name: "attention, gradient",
    prepare(device, shape) {
      const inputs = new Inputs(device), { segments, ids: { length: rows } } = flatBatch(shape);
      const layout = inputs.own(spanLayout(segments, { rows, device })), heads = headsOf(shape);
      const qkv = inputs.normal(rows, fusedWidth(shape)), width = shape.heads * shape.headDim;
      const dout = inputs.normal(rows, width),
        attended = spanAttention(fusedViews(qkv, heads), layout, heads);
      inputs.own(attended.out);
      inputs.own(attended.lse);
      return {
        shape: `${rows} rows, ${shape.heads}/${shape.kvHeads} heads of ${shape.headDim}`,
        flops: 10 * pairsOf(segments) * width,
        bytes: numbers(2 * rows * fusedWidth(shape), 2 * rows * width, rows * shape.heads),
        call: () => [spanAttentionGradient(qkv, attended, { dout, layout, heads })],
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  },
  {
    name: "attention, decoded rows",
    prepare(device, shape) {
      const inputs = new Inputs(device), { keyRows, spans, pairs } = cached(shape), { sequences } = shape;
      const layout = inputs.own(decodingLayout(device, { spans, keyRows })), heads = headsOf(shape);
      const stride = fusedWidth(shape), side = shape.kvHeads * shape.headDim;
      const qkv = inputs.normal(sequences, stride), cache = inputs.normal(keyRows, 2 * side);
      const views = {
        q: { tensor: qkv, stride, offset: 0 },
        k: { tensor: cache, stride: 2 * side, offset: 0 },
        v: { tensor: cache, stride: 2 * side, offset: side },
      };
      const width = shape.heads * shape.headDim;
      return {
        shape: `${sequences} over ${keyRows} keys, ${shape.heads}/${shape.kvHeads} heads of ${shape.headDim}`,
        flops: 4 * pairs * width,
        bytes: numbers(2 * sequences * width, 2 * keyRows * side),
        call() {
          const { out, lse } = spanAttention(views, layout, heads);
          return [out, lse];
        },
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  },
  {
    name: "cache",
    prepare(device, shape) {
      const inputs = new Inputs(device), { keyRows } = cached(shape), { sequences } = shape;
      const side = 2 * shape.kvHeads * shape.headDim, fused = inputs.normal(sequences, fusedWidth(shape));
      const hostRows = Int32Array.from({ length: sequences }, (_, i) => i % 3 === 2 ? -1 : keyRows - 1 - i);
      const rows = inputs.integers(hostRows), cache = inputs.normal(keyRows, side);
      return {
        shape: `${sequences} rows of ${side}`,
        flops: 0,
        bytes: numbers(2 * sequences * side),
        call() {
          writeCache(fused, cache, { rows, hostRows });
          return [];
        },
        changed: [cache],
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  },
  {
    name: "RoPE",
    prepare(device, shape) {
      const inputs = new Inputs(device), { positions, ids: { length: rows } } = flatBatch(shape);
      const half = shape.headDim / 2, heads = shape.heads + shape.kvHeads;
      const frequencies = Array.from({ length: half }, (_, i) => 10_000 ** (-i / half));
      const table = inputs.own(ropeTable(device, frequencies, shape.prompt + shape.response));
      const qkv = inputs.normal(rows, fusedWidth(shape)), places = inputs.integers(positions);
      return {
        shape: `${rows} rows, ${heads} heads of ${shape.headDim}`,
        flops: 3 * rows * heads * shape.headDim,
        bytes: numbers(2 * rows * heads * shape.headDim),
        call() {
          rope(qkv, places, { table, heads });
          return [];
        },
        changed: [qkv],
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  },
];
