import type { Tensor } from "../backend/device.ts";
import { empty } from "../backend/tensors.ts";
import { fusedViews, spanAttention, spanAttentionGradient } from "../kernels/attention/attention.ts";
import type { Attended } from "../kernels/attention/shapes.ts";
import { gelu, geluGradient } from "../kernels/gelu.ts";
import { headNorm, headNormGradient, type HeadNormOptions } from "../kernels/norm/head_norm.ts";
import { rope } from "../kernels/attention/rope.ts";
import { swiglu, swigluGradient } from "../kernels/swiglu.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { type Decoder, headsOf, parameter, type Parameters } from "./state.ts";
import type { DeviceBatch } from "./batch.ts";
import { normalize, normalizeGradient } from "./norm.ts";
import { parametersGradient, project, projectGradient, type ProjectionGradient } from "./projection.ts";

/** The residual stream between layers: x, and a last addend that the next normalisation adds on its way. */
export interface Stream {
  /** [N, D] */
  readonly x: Tensor;
  /** Still to be added to x. [N, D] */
  readonly delta?: Tensor;
}

/**
 * What a forward pass keeps of a layer for its backward pass. `input` alone is enough: the rest is recomputed when it
 * is absent. Normalised rows and the activation's result are never kept, since they cost no matrix product: the gradient's
 * kernels make them again on their way.
 */
export interface KeptLayer {
  /** The residual stream at the layer's start. [N, D] */
  readonly input: Tensor;
  /** What else the backward pass needs, where it is kept. */
  readonly inner?: {
    /**
     * Queries, keys and values: as projected where heads are normalised, which is cheap to repeat and whose gradient
     * needs them; otherwise as attention takes them. [N, (H + 2·KV)·headDim]
     */
    readonly qkv: Tensor;
    readonly attended: Attended;
    /** The residual stream after attention. [N, D] */
    readonly middle: Tensor;
    /** What the activation is applied to. [N, 2F] (gate and up) or [N, F] */
    readonly preactivation: Tensor;
    /** Of the two normalisations: a number or two a row. */
    readonly statistics: readonly [first: readonly Tensor[], second: readonly Tensor[]];
  };
}

/** How much a forward pass keeps: nothing (scoring), each layer's input (recompute the rest), or all that costs products. */
export type Keep = "nothing" | "inputs" | "products";

/** What stands between the two products of the feed-forward half. */
interface Activation {
  /** The projection that feeds it. */
  readonly projection: "gate_up" | "up";
  /** [N, rows of the projection] → [N, F] */
  readonly forward: (preactivation: Tensor) => Tensor;
  /** `y` gets the forward result once more. */
  readonly gradient: (preactivation: Tensor, dy: Tensor, y?: Tensor) => Tensor;
}

const activations: Readonly<Record<DecoderConfig["activation"], Activation>> = {
  swiglu: { projection: "gate_up", forward: swiglu, gradient: swigluGradient },
  gelu_new: { projection: "up", forward: gelu, gradient: geluGradient },
};

function headNormOf(decoder: Decoder, index: number): HeadNormOptions {
  return {
    q: parameter(decoder, `layers.${index}.q_norm`),
    k: parameter(decoder, `layers.${index}.k_norm`),
    heads: headsOf(decoder),
    epsilon: decoder.config.normEpsilon,
  };
}

/** Turns the heads of queries and keys by their positions, or the gradient back, in place. */
function rotate(decoder: Decoder, rows: Tensor, positions: Tensor, inverse = false): void {
  const { heads, kvHeads } = decoder.config;
  if (decoder.ropeTable) rope(rows, positions, { table: decoder.ropeTable, heads: heads + kvHeads, inverse });
}

/**
 * Queries, keys and values as attention takes them, from the projected ones: in place, or in a tensor of their own
 * where the model normalises heads.
 */
function attentionRows(
  decoder: Decoder,
  index: number,
  projected: Tensor,
  positions: Tensor,
): Tensor {
  const qkv = decoder.config.qkNorm ? headNorm(projected, headNormOf(decoder, index)) : projected;
  rotate(decoder, qkv, positions);
  return qkv;
}

/** Queries, keys and values of a layer, rotated. [N, (H + 2·KV)·headDim] */
export function queriesKeysValues(
  decoder: Decoder,
  index: number,
  normed: Tensor,
  positions: Tensor,
): Tensor {
  const projected = project(decoder, `layers.${index}.qkv`, normed);
  const qkv = attentionRows(decoder, index, projected, positions);
  if (qkv !== projected) projected.dispose();
  return qkv;
}

/** The feed-forward half of a layer, from the normalised rows: what its activation is applied to, its result. */
export function feedForward(
  decoder: Decoder,
  index: number,
  normed: Tensor,
): { preactivation: Tensor; y: Tensor } {
  const activation = activations[decoder.config.activation];
  const preactivation = project(decoder, `layers.${index}.${activation.projection}`, normed);
  const activated = activation.forward(preactivation);
  const y = project(decoder, `layers.${index}.down`, activated);
  activated.dispose();
  return { preactivation, y };
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
  const projected = project(decoder, `layers.${index}.qkv`, first.y);
  first.y.dispose();
  const qkv = attentionRows(decoder, index, projected, batch.positions);
  const attended = spanAttention(fusedViews(qkv, headsOf(decoder)), batch.layout, headsOf(decoder));
  if (qkv !== projected) qkv.dispose();
  const attention = project(decoder, `layers.${index}.output`, attended.out);
  const second = normalize(decoder, `layers.${index}.norm2`, input, attention);
  attention.dispose();
  const { preactivation, y } = feedForward(decoder, index, second.y);
  second.y.dispose();
  const middle = second.sum, statistics = [first.statistics, second.statistics] as const;
  if (keep === "products") {
    // The caller frees `middle` through `kept`, the stream carries a second reference.
    return {
      stream: { x: middle.share(), delta: y },
      kept: { input, inner: { qkv: projected, attended, middle, preactivation, statistics } },
    };
  }
  [projected, attended.out, attended.lse, preactivation, ...statistics.flat()].forEach((t) => t.dispose());
  if (keep === "inputs") return { stream: { x: middle, delta: y }, kept: { input } };
  input.dispose();
  return { stream: { x: middle, delta: y } };
}

/** Frees what a forward pass kept of a layer. */
export function disposeKept({ input, inner }: KeptLayer): void {
  input.dispose();
  if (inner) {
    const { qkv, attended, middle, preactivation, statistics } = inner;
    [qkv, attended.out, attended.lse, middle, preactivation, ...statistics.flat()]
      .forEach((t) => t.dispose());
  }
}

/**
 * Vector-Jacobian product of {@linkcode layerForward}.
 *
 * @param kept consumed
 * @param dy gradient with respect to the residual stream after the layer [N, D]; consumed
 * @param options `gradients`, to which the parameters' gradients are added; `frozenInput`, whether nothing before the
 * layer is trained
 * @returns gradient with respect to the residual stream before the layer [N, D]; none where nothing needs it
 */
export function layerGradient(
  decoder: Decoder,
  index: number,
  options: {
    readonly kept: KeptLayer;
    readonly dy: Tensor;
    readonly batch: DeviceBatch;
    readonly gradients: Parameters;
    readonly frozenInput?: boolean;
  },
): Tensor | undefined {
  const { batch, dy, gradients } = options;
  const kept = options.kept.inner ? options.kept : recompute(decoder, index, options.kept, batch);
  const { input, inner } = kept;
  const { qkv: projected, attended, middle, preactivation, statistics: [first, second] } = inner!;
  const names = (part: string) => `layers.${index}.${part}`;
  const activation = activations[decoder.config.activation];

  const down = projectGradient(decoder, names("down"), { dy, gradients });
  const dpreactivation = withInput(
    down,
    down.dx,
    (y) => activation.gradient(preactivation, down.dx, y),
  );
  down.dx.dispose();
  const up = projectGradient(decoder, names(activation.projection), { dy: dpreactivation, gradients });
  const dmiddle = withInput(up, middle, (y) =>
    normalizeGradient(decoder, names("norm2"), {
      normalized: { sum: middle, statistics: second },
      dy: up.dx,
      dsum: dy,
      gradients,
      y,
    }));
  [dpreactivation, up.dx, dy].forEach((t) => t.dispose());

  const output = projectGradient(decoder, names("output"), { dy: dmiddle, gradients });
  output.addParameters?.(attended.out);
  const { qkNorm } = decoder.config;
  const qkv = qkNorm ? attentionRows(decoder, index, projected, batch.positions) : projected;
  const dqkv = spanAttentionGradient(qkv, attended, output.dx, batch.layout, headsOf(decoder));
  rotate(decoder, dqkv, batch.positions, true);
  if (qkNorm) {
    qkv.dispose();
    headNormGradient(projected, dqkv, {
      ...headNormOf(decoder, index),
      dq: gradients.get(names("q_norm")),
      dk: gradients.get(names("k_norm")),
    });
  }
  const dx = options.frozenInput && !gradients.has(names("norm1")) && !gradients.has(names("norm1_bias"))
    ? addFirstGradients(decoder, index, { input, dqkv, gradients })
    : firstGradient(decoder, index, { input, statistics: first, dqkv, dmiddle, gradients });
  [output.dx, dqkv, dmiddle].forEach((t) => t.dispose());
  disposeKept(kept);
  return dx;
}

/** The way back through a layer's first projection and normalisation, and the gradient of its input. */
function firstGradient(decoder: Decoder, index: number, options: {
  readonly input: Tensor;
  readonly statistics: readonly Tensor[];
  readonly dqkv: Tensor;
  readonly dmiddle: Tensor;
  readonly gradients: Parameters;
}): Tensor {
  const { input, statistics, dqkv, dmiddle, gradients } = options;
  const fused = projectGradient(decoder, `layers.${index}.qkv`, { dy: dqkv, gradients });
  const normalized = { sum: input, statistics };
  const dx = withInput(fused, input, (y) =>
    normalizeGradient(decoder, `layers.${index}.norm1`, {
      ...{ normalized, dy: fused.dx, dsum: dmiddle },
      ...{ gradients, y },
    }));
  fused.dx.dispose();
  return dx;
}

/** {@linkcode firstGradient} where nothing before the projection is trained. */
function addFirstGradients(decoder: Decoder, index: number, options: {
  readonly input: Tensor;
  readonly dqkv: Tensor;
  readonly gradients: Parameters;
}): undefined {
  const { input, dqkv, gradients } = options;
  const addParameters = parametersGradient(decoder, `layers.${index}.qkv`, { dy: dqkv, gradients });
  if (!addParameters) return;
  const { y, statistics } = normalize(decoder, `layers.${index}.norm1`, input);
  addParameters(y);
  [y, ...statistics].forEach((t) => t.dispose());
}

/** Runs a gradient that makes a projection's input once more, where the projection's parameters want it. */
function withInput(
  { addParameters }: ProjectionGradient,
  like: Tensor,
  gradient: (input?: Tensor) => Tensor,
): Tensor {
  if (!addParameters) return gradient();
  const input = empty(like.device, like.shape), made = gradient(input);
  addParameters(input);
  input.dispose();
  return made;
}

function recompute(decoder: Decoder, index: number, kept: KeptLayer, batch: DeviceBatch): KeptLayer {
  const again = layerForward(decoder, index, { x: kept.input }, { batch, keep: "products" });
  again.stream.x.dispose();
  again.stream.delta!.dispose();
  return again.kept!;
}
