import type { Tensor } from "../../backend/device.ts";
import { profile } from "../../backend/profile.ts";
import { empty } from "../../backend/tensors.ts";
import { attendByBlocks, attendByRows, gradientByBlocks } from "./_wasm.ts";
import { attendOnGpu, gradientOnGpu } from "./_webgpu.ts";
import type { Attended, Heads, RowView } from "./shapes.ts";
import type { SpanLayout } from "./span_layout.ts";

/**
 * Span attention: each query row attends to the two contiguous key ranges of its row of `layout.querySpans`.
 *
 *   s_ij = scale · q_i·k_j,   lse_i = log Σ_j exp s_ij,   out_i = Σ_j exp(s_ij − lse_i) v_j
 *
 * Only the log-sum-exp is kept, never a score (Dao et al., arXiv 2205.14135). Work grows with the keys really attended
 * to: rows that share a prompt read its keys together.
 *
 * @param views q [N, heads·headDim], k and v [M, kvHeads·headDim]
 */
export function spanAttention(
  views: { readonly q: RowView; readonly k: RowView; readonly v: RowView },
  layout: SpanLayout,
  heads: Heads,
): Attended {
  const out = empty(views.q.tensor.device, [layout.rows, heads.heads * heads.headDim]),
    lse = empty(views.q.tensor.device, [layout.rows, heads.heads]);
  if (views.q.tensor.device.name === "webgpu") {
    attendOnGpu(views, { out, lse }, { layout, ...heads });
  } else if (layout.segments) {
    profile.run(
      "span_attention",
      () => attendByBlocks(views, { out, lse }, { layout, ...heads }),
    );
  } else {
    profile.run("span_attention_decode", () => attendByRows(views, { out, lse }, { layout, ...heads }));
  }
  return { out, lse };
}

/**
 * Gradient of {@linkcode spanAttention} in training, where q, k and v lie in one tensor.
 *
 *   p_ij = exp(s_ij − lse_i),   D_i = dout_i·out_i,   ds_ij = p_ij (dout_i·v_j − D_i) scale
 *   dq_i = Σ_j ds_ij k_j,   dk_j = Σ_i ds_ij q_i,   dv_j = Σ_i p_ij dout_i
 *
 * @param qkv [N, (heads + 2·kvHeads)·headDim]: the columns of q, then k, then v
 * @param attended what the forward pass returned
 * @param dout gradient with respect to `out` [N, heads·headDim]
 * @param layout one of `spanLayout`
 * @returns dqkv, of the shape of qkv; padding rows are 0
 */
export function spanAttentionGradient(
  qkv: Tensor,
  attended: Attended,
  { dout, layout, heads }: { readonly dout: Tensor; readonly layout: SpanLayout; readonly heads: Heads },
): Tensor {
  const dqkv = empty(qkv.device, qkv.shape);
  const given = { qkv, ...attended, dout, dqkv };
  if (qkv.device.name === "webgpu") {
    gradientOnGpu(given, layout, heads);
  } else {
    profile.run(
      "span_attention_gradient",
      () => gradientByBlocks(given, layout, heads),
    );
  }
  return dqkv;
}

/** The three views of a fused tensor [N, (heads + 2·kvHeads)·headDim]. */
export function fusedViews(
  qkv: Tensor,
  { heads, kvHeads, headDim }: Heads,
): { readonly q: RowView; readonly k: RowView; readonly v: RowView } {
  const stride = (heads + 2 * kvHeads) * headDim;
  return {
    q: { tensor: qkv, stride, offset: 0 },
    k: { tensor: qkv, stride, offset: heads * headDim },
    v: { tensor: qkv, stride, offset: (heads + kvHeads) * headDim },
  };
}
