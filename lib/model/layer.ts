import type * as tf from "@tensorflow/tfjs";
import { type Attended, fusedViews, spanAttention, spanAttentionGradient } from "../kernels/attention.ts";
import { rope } from "../kernels/rope.ts";
import { swiglu, swigluGradient } from "../kernels/swiglu.ts";
import { type Decoder, type DeviceBatch, headsOf, type Parameters } from "./decoder.ts";
import { normalize, normalizeGradient } from "./_norm.ts";
import { project, projectGradient } from "./projection.ts";

/** The residual stream between layers: x, and a last addend that the next normalisation adds on its way. */
export interface Stream {
  readonly x: tf.Tensor;
  readonly delta?: tf.Tensor;
}

/**
 * What a forward pass keeps of a layer for its backward pass. `input` alone is enough: the rest is recomputed when it
 * is absent. Normalised rows and the gated product are never kept, since they cost no matrix product.
 */
export interface KeptLayer {
  /** The residual stream at the layer's start. [N, D] */
  readonly input: tf.Tensor;
  readonly inner?: {
    /** Rotated queries and keys, values. [N, (H + 2·KV)·headDim] */
    readonly qkv: tf.Tensor;
    readonly attended: Attended;
    /** The residual stream after attention. [N, D] */
    readonly middle: tf.Tensor;
    /** Gate and up projections. [N, 2F] */
    readonly gateUp: tf.Tensor;
  };
}

/** How much a forward pass keeps: nothing (scoring), each layer's input (recompute the rest), or all that costs products. */
export type Keep = "nothing" | "inputs" | "products";

/** Queries, keys and values of a layer, rotated. [N, (H + 2·KV)·headDim] */
export function queriesKeysValues(
  decoder: Decoder,
  index: number,
  normed: tf.Tensor,
  positions: tf.Tensor,
): tf.Tensor {
  const qkv = project(decoder, `layers.${index}.qkv`, normed);
  const { heads, kvHeads } = decoder.config;
  if (decoder.ropeTable) rope(qkv, positions, { table: decoder.ropeTable, heads: heads + kvHeads });
  return qkv;
}

/** The feed-forward half of a layer, from the residual stream after attention: its gate and up products, its result. */
export function feedForward(
  decoder: Decoder,
  index: number,
  normed: tf.Tensor,
): { gateUp: tf.Tensor; y: tf.Tensor } {
  const gateUp = project(decoder, `layers.${index}.gate_up`, normed);
  const gated = swiglu(gateUp);
  const y = project(decoder, `layers.${index}.down`, gated);
  gated.dispose();
  return { gateUp, y };
}

/**
 * One decoder layer: attention and feed-forward, each behind a normalisation and added to the residual stream.
 *
 * @param stream consumed
 * @returns the stream after the layer, and what was kept
 */
export function layerForward(
  decoder: Decoder,
  index: number,
  stream: Stream,
  options: { readonly batch: DeviceBatch; readonly keep: Keep },
): { stream: Stream; kept?: KeptLayer } {
  const { batch, keep } = options;
  const first = normalize(decoder, `layers.${index}.norm1`, stream.x, stream.delta);
  if (stream.delta) {
    stream.x.dispose();
    stream.delta.dispose();
  }
  const input = first.sum;
  const qkv = queriesKeysValues(decoder, index, first.y, batch.positions);
  first.y.dispose();
  first.statistics.forEach((t) => t.dispose());
  const attended = spanAttention(fusedViews(qkv, headsOf(decoder)), batch.layout, headsOf(decoder));
  const attention = project(decoder, `layers.${index}.output`, attended.out);
  const second = normalize(decoder, `layers.${index}.norm2`, input, attention);
  attention.dispose();
  second.statistics.forEach((t) => t.dispose());
  const { gateUp, y } = feedForward(decoder, index, second.y);
  second.y.dispose();
  const middle = second.sum;
  if (keep === "products") {
    // The caller frees `middle` through `kept`, the stream carries a second reference.
    return {
      stream: { x: middle.clone(), delta: y },
      kept: { input, inner: { qkv, attended, middle, gateUp } },
    };
  }
  [qkv, attended.out, attended.lse, gateUp].forEach((t) => t.dispose());
  if (keep === "inputs") return { stream: { x: middle, delta: y }, kept: { input } };
  input.dispose();
  return { stream: { x: middle, delta: y } };
}

/** Frees what a forward pass kept of a layer. */
export function disposeKept({ input, inner }: KeptLayer): void {
  input.dispose();
  if (inner) {
    [inner.qkv, inner.attended.out, inner.attended.lse, inner.middle, inner.gateUp].forEach((t) =>
      t.dispose()
    );
  }
}

/**
 * Vector-Jacobian product of {@linkcode layerForward}.
 *
 * @param kept consumed
 * @param dy gradient with respect to the residual stream after the layer [N, D]; consumed
 * @param options `gradients`, to which the parameters' gradients are added
 * @returns gradient with respect to the residual stream before the layer [N, D]
 */
export function layerGradient(
  decoder: Decoder,
  index: number,
  options: {
    readonly kept: KeptLayer;
    readonly dy: tf.Tensor;
    readonly batch: DeviceBatch;
    readonly gradients: Parameters;
  },
): tf.Tensor {
  const { batch, dy, gradients } = options;
  const kept = options.kept.inner ? options.kept : recompute(decoder, index, options.kept, batch);
  const { input, inner } = kept;
  const { qkv, attended, middle, gateUp } = inner!;
  const names = (part: string) => `layers.${index}.${part}`;

  const second = normalize(decoder, names("norm2"), middle);
  const gated = swiglu(gateUp);
  const dgated = projectGradient(decoder, names("down"), { x: gated, dy, gradients });
  const dgateUp = swigluGradient(gateUp, dgated);
  const dsecond = projectGradient(decoder, names("gate_up"), { x: second.y, dy: dgateUp, gradients });
  const dmiddle = normalizeGradient(decoder, names("norm2"), {
    normalized: second,
    dy: dsecond,
    dsum: dy,
    gradients,
  });
  [second.y, ...second.statistics, gated, dgated, dgateUp, dsecond, dy].forEach((t) => t.dispose());

  const dout = projectGradient(decoder, names("output"), { x: attended.out, dy: dmiddle, gradients });
  const dqkv = spanAttentionGradient(qkv, attended, dout, batch.layout, headsOf(decoder));
  const { heads, kvHeads } = decoder.config;
  if (decoder.ropeTable) {
    rope(dqkv, batch.positions, { table: decoder.ropeTable, heads: heads + kvHeads, inverse: true });
  }
  const first = normalize(decoder, names("norm1"), input);
  const dfirst = projectGradient(decoder, names("qkv"), { x: first.y, dy: dqkv, gradients });
  const dx = normalizeGradient(decoder, names("norm1"), {
    normalized: first,
    dy: dfirst,
    dsum: dmiddle,
    gradients,
  });
  [first.y, ...first.statistics, dout, dqkv, dfirst, dmiddle].forEach((t) => t.dispose());
  disposeKept(kept);
  return dx;
}

function recompute(decoder: Decoder, index: number, kept: KeptLayer, batch: DeviceBatch): KeptLayer {
  const again = layerForward(decoder, index, { x: kept.input }, { batch, keep: "products" });
  again.stream.x.dispose();
  again.stream.delta!.dispose();
  return again.kept!;
}
