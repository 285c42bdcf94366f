import type { Tensor } from "../../backend/device.ts";
import { dispatch, type Program } from "../../backend/dispatch.ts";
import { empty } from "../../backend/tensors.ts";
import { decodingProgram, forwardProgram } from "./_forward_wgsl.ts";
import { keysProgram, queriesProgram } from "./_gradient_wgsl.ts";
import { type Shape, shapeOf } from "./_wgsl.ts";
import type { Attended, Heads, RowView } from "./shapes.ts";
import type { SpanLayout } from "./span_layout.ts";

const HELD = 4;

/**
 * Rows of a thread in the gradient, which holds four vectors of each. With 2 they fill 128 registers of a GPU; a CPU
 * that stands in for one keeps them in memory anyway, and 4 rows a read of the tile are 1.4 times as fast.
 */
function heldInGradient({ device }: Tensor): number {
  return device.name === "webgpu" && device.isCpu ? 4 : 2;
}

const programs = new Map<string, Program>();

function cached(make: (shape: Shape) => Program, shape: Shape): Program {
  const key = `${make.name} ${shape.d} ${shape.aligned} ${shape.held}`;
  let program = programs.get(key);
  if (!program) programs.set(key, program = make(shape));
  return program;
}

/** Forward on WebGPU: one launch. */
export function attendOnGpu(
  { q, k, v }: { readonly q: RowView; readonly k: RowView; readonly v: RowView },
  { out, lse }: Attended,
  { layout, heads, kvHeads, headDim: d, scale = 1 / Math.sqrt(d) }: Heads & { readonly layout: SpanLayout },
): void {
  const aligned = [d, q.stride, q.offset, k.stride, k.offset, v.stride, v.offset].every((n) => n % 4 === 0);
  const shape = shapeOf(d, { aligned, held: HELD, dots: 1 });
  const [program, groups] = layout.segments
    ? [forwardProgram, Math.ceil(layout.rows / shape.rows)]
    : [decodingProgram, layout.rows];
  dispatch(cached(program, shape), {
    tensors: { q: q.tensor, k: k.tensor, v: v.tensor, spans: layout.querySpans, out, lse },
    params: {
      rows: layout.rows,
      key_rows: layout.keyRows,
      heads,
      shared_by: heads / kvHeads,
      vectors: Math.ceil(d / 4),
      held_vectors: shape.held * shape.slice,
      parts: shape.parts,
      q_stride: q.stride,
      q_offset: q.offset,
      k_stride: k.stride,
      k_offset: k.offset,
      v_stride: v.stride,
      v_offset: v.offset,
      scale2: scale * Math.LOG2E,
    },
    groups: [groups, heads],
    work: 4 * layout.rows * layout.keyRows * heads * d, // at most
  });
}

/**
 * The gradient on WebGPU: one launch for D and dq, one for dk and dv.
 *
 * @param options `held`: rows of a thread, by default what suits the adapter
 */
export function gradientOnGpu(
  given: { readonly qkv: Tensor; readonly dout: Tensor; readonly dqkv: Tensor } & Attended,
  layout: SpanLayout,
  { heads, kvHeads, headDim: d, scale = 1 / Math.sqrt(d), held = heldInGradient(given.qkv) }: Heads & {
    readonly held?: number;
  },
): void {
  const { qkv, out, lse, dout, dqkv } = given, { rows, querySpans: spans, keySpans: key_spans } = layout;
  if (!key_spans) throw new Error("The gradient of attention needs a layout with keySpans");
  const shape = shapeOf(d, { aligned: d % 4 === 0, held, dots: 2 });
  const pull = empty(qkv.device, [rows, heads]);
  const params = {
    rows,
    heads,
    kv_heads: kvHeads,
    held_vectors: shape.held * shape.slice,
    parts: shape.parts,
    scale,
    scale2: scale * Math.LOG2E,
  };
  const blocks = Math.ceil(rows / shape.rows);
  dispatch(cached(queriesProgram, shape), {
    tensors: { qkv, out, dout, lse, spans, dqkv, pull },
    params,
    work: 6 * rows * rows * heads * d,
    groups: [blocks, heads],
  });
  dispatch(cached(keysProgram, shape), {
    tensors: { qkv, dout, lse, pull, spans, key_spans, dqkv },
    params,
    work: 8 * rows * rows * heads * d,
    groups: [blocks, kvHeads],
  });
  pull.dispose();
}
