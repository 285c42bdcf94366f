import type * as tf from "@tensorflow/tfjs";
import { dispatch, type Program } from "../backend/dispatch.ts";
import { empty } from "../backend/tensors.ts";
import { decodingProgram, forwardProgram } from "./_attention_forward_wgsl.ts";
import { keysProgram, queriesProgram } from "./_attention_gradient_wgsl.ts";
import { shapeOf } from "./_attention_wgsl.ts";
import type { Attended, Heads, RowView } from "./attention.ts";
import type { SpanLayout } from "./span_layout.ts";

const programs = new Map<string, Program>();

function cached(key: string, make: () => Program): Program {
  let program = programs.get(key);
  if (!program) programs.set(key, program = make());
  return program;
}

/** Forward on WebGPU: one launch. */
export function attendOnGpu(
  { q, k, v }: { readonly q: RowView; readonly k: RowView; readonly v: RowView },
  { out, lse }: Attended,
  layout: SpanLayout,
  { heads, kvHeads, headDim: d, scale = 1 / Math.sqrt(d) }: Heads,
): void {
  const aligned = [d, q.stride, q.offset, k.stride, k.offset, v.stride, v.offset].every((n) => n % 4 === 0);
  const call = {
    tensors: { q: q.tensor, k: k.tensor, v: v.tensor, spans: layout.querySpans, out, lse },
    params: {
      rows: layout.rows,
      key_rows: layout.keyRows,
      heads,
      shared_by: heads / kvHeads,
      q_stride: q.stride,
      q_offset: q.offset,
      k_stride: k.stride,
      k_offset: k.offset,
      v_stride: v.stride,
      v_offset: v.offset,
      scale2: scale * Math.LOG2E,
    },
  };
  if (layout.segments) {
    const shape = shapeOf(d, { aligned, vectors: 16, dots: 1 });
    const program = cached(`forward ${d} ${aligned}`, () => forwardProgram(shape));
    dispatch(program, { ...call, groups: [Math.ceil(layout.rows / shape.rows), heads] });
  } else {
    const shape = shapeOf(d, { aligned, vectors: 64, dots: 1 });
    const program = cached(`decoding ${d} ${aligned}`, () => decodingProgram(shape));
    dispatch(program, { ...call, groups: [layout.rows, heads] });
  }
}

/** The gradient on WebGPU: one launch for D and dq, one for dk and dv. */
export function gradientOnGpu(
  given: { readonly qkv: tf.Tensor; readonly dout: tf.Tensor; readonly dqkv: tf.Tensor } & Attended,
  layout: SpanLayout,
  { heads, kvHeads, headDim: d, scale = 1 / Math.sqrt(d) }: Heads,
): void {
  const { qkv, out, lse, dout, dqkv } = given;
  if (!layout.keySpans) throw new Error("The gradient of attention needs a layout with keySpans");
  const aligned = d % 4 === 0, shape = shapeOf(d, { aligned, vectors: 8, dots: 2 });
  const pull = empty([layout.rows, heads]);
  const params = { rows: layout.rows, heads, kv_heads: kvHeads, scale, scale2: scale * Math.LOG2E };
  const blocks = Math.ceil(layout.rows / shape.rows), { querySpans: spans, keySpans: key_spans } = layout;
  dispatch(cached(`queries ${d} ${aligned}`, () => queriesProgram(shape)), {
    tensors: { qkv, out, dout, lse, spans, dqkv, pull },
    params,
    groups: [blocks, heads],
  });
  dispatch(cached(`keys ${d} ${aligned}`, () => keysProgram(shape)), {
    tensors: { qkv, dout, lse, pull, spans, key_spans, dqkv },
    params,
    groups: [blocks, kvHeads],
  });
  pull.dispose();
}
