import type { Tensor } from "../backend/device.ts";
import { empty } from "../backend/tensors.ts";
import { fusedViews, spanAttention, spanAttentionGradient } from "../kernels/attention/attention.ts";
import type { Attended } from "../kernels/attention/shapes.ts";
import { gelu, geluGradient } from "../kernels/gelu.ts";
import { headNorm, headNormGradient, type HeadNormOptions } from "../kernels/norm/head_norm.ts";
import { rope } from "../kernels/attention/rope.ts";
import { swiglu, swigluGradient } from "../kernels/swiglu.ts";
import type { DeviceBatch } from "./batch.ts";
import { normalize, normalizeGradient, trainsNorm } from "./norm.ts";
import { type Attention, inUse, type Layer, type Parameters } from "./parts.ts";
import {
  parametersGradient,
  project,
  projectGradient,
  type ProjectionGradient,
  type ProjectOptions,
} from "./projection.ts";

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
  /** [N, rows of the projection] → [N, F] */
  readonly forward: (preactivation: Tensor) => Tensor;
  /** `y` gets the forward result once more. */
  readonly gradient: (preactivation: Tensor, dy: Tensor, y?: Tensor) => Tensor;
}

const activations: Readonly<Record<Layer["feedForward"], Activation>> = {
  swiglu: { forward: swiglu, gradient: swigluGradient },
  gelu_new: { forward: gelu, gradient: geluGradient },
};

function headNormOf({ heads, headNorm }: Attention): HeadNormOptions | undefined {
  return headNorm &&
    { q: inUse(headNorm.q).tensor, k: inUse(headNorm.k).tensor, heads, epsilon: headNorm.epsilon };
}

/** Turns the heads of queries and keys by their positions, or the gradient back, in place. */
function rotate(
  { heads, rotary }: Attention,
  rows: Tensor,
  { positions, inverse = false }: { readonly positions: Tensor; readonly inverse?: boolean },
): void {
  if (!rotary?.table) return;
  rope(rows, positions, { table: rotary.table, heads: heads.heads + heads.kvHeads, inverse });
}

/**
 * Queries, keys and values as attention takes them, from the projected ones: in place, or in a tensor of their own
 * where heads are normalised.
 */
function attentionRows(attention: Attention, projected: Tensor, positions: Tensor): Tensor {
  const norm = headNormOf(attention), qkv = norm ? headNorm(projected, norm) : projected;
  rotate(attention, qkv, { positions });
  return qkv;
}

/** Queries, keys and values of a layer, rotated. [N, (H + 2·KV)·headDim] */
export function queriesKeysValues(
  { attention, projections }: Layer,
  normed: Tensor,
  options: ProjectOptions & { readonly positions: Tensor },
): Tensor {
  const projected = project(projections.qkv, normed, options);
  const qkv = attentionRows(attention, projected, options.positions);
  if (qkv !== projected) projected.dispose();
  return qkv;
}

/** The feed-forward half of a layer, from the normalised rows: what its activation is applied to, its result. */
export function feedForward(
  { feedForward, projections }: Layer,
  normed: Tensor,
  options: ProjectOptions = {},
): { preactivation: Tensor; y: Tensor } {
  const preactivation = project(projections.up, normed, options);
  const activated = activations[feedForward].forward(preactivation);
  const y = project(projections.down, activated, options);
  activated.dispose();
  return { preactivation, y };
}

/**
 * One decoder layer: attention and feed-forward, each behind a normalisation and added to the residual stream.
 *
 * @param options `stream`: consumed; `batch`: its tokens; `keep`: what the gradient is made of later
 * @returns the stream after the layer, and what was kept
 */
export function layerForward(
  layer: Layer,
  stream: Stream,
  options: { readonly batch: DeviceBatch; readonly keep: Keep },
): { stream: Stream; kept?: KeptLayer } {
  const { batch, keep } = options, { norms, projections, attention: { heads } } = layer;
  const first = normalize(norms.first, stream.x, stream.delta);
  if (stream.delta) {
    stream.x.dispose();
    stream.delta.dispose();
  }
  const input = first.sum;
  const projected = project(projections.qkv, first.y);
  first.y.dispose();
  const qkv = attentionRows(layer.attention, projected, batch.positions);
  const attended = spanAttention(fusedViews(qkv, heads), batch.layout, heads);
  if (qkv !== projected) qkv.dispose();
  const output = project(projections.output, attended.out);
  const second = normalize(norms.second, input, output);
  output.dispose();
  const { preactivation, y } = feedForward(layer, second.y);
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
  layer: Layer,
  options: {
    readonly kept: KeptLayer;
    readonly dy: Tensor;
    readonly batch: DeviceBatch;
    readonly gradients: Parameters;
    readonly frozenInput?: boolean;
  },
): Tensor | undefined {
  const { batch, dy, gradients } = options;
  const kept = options.kept.inner ? options.kept : recompute(layer, options.kept, batch);
  const { input, inner } = kept;
  const { qkv: projected, attended, middle, preactivation, statistics: [first, second] } = inner!;
  const { attention, norms, projections } = layer, activation = activations[layer.feedForward];

  const down = projectGradient(projections.down, { dy, gradients });
  const dpreactivation = withInput(
    down,
    down.dx,
    (y) => activation.gradient(preactivation, down.dx, y),
  );
  down.dx.dispose();
  const up = projectGradient(projections.up, { dy: dpreactivation, gradients });
  const dmiddle = withInput(up, middle, (y) =>
    normalizeGradient(norms.second, {
      normalized: { sum: middle, statistics: second },
      dy: up.dx,
      dsum: dy,
      gradients,
      y,
    }));
  [dpreactivation, up.dx, dy].forEach((t) => t.dispose());

  const output = projectGradient(projections.output, { dy: dmiddle, gradients });
  output.addParameters?.(attended.out);
  const norm = headNormOf(attention);
  const qkv = norm ? attentionRows(attention, projected, batch.positions) : projected;
  const dqkv = spanAttentionGradient(qkv, attended, {
    dout: output.dx,
    layout: batch.layout,
    heads: attention.heads,
  });
  rotate(attention, dqkv, { positions: batch.positions, inverse: true });
  if (norm) {
    qkv.dispose();
    const { q, k } = attention.headNorm!;
    headNormGradient(projected, dqkv, {
      ...norm,
      dq: gradients.get(inUse(q).name),
      dk: gradients.get(inUse(k).name),
    });
  }
  const dx = options.frozenInput && !trainsNorm(norms.first, gradients)
    ? addFirstGradients(layer, { input, dqkv, gradients })
    : firstGradient(layer, { input, statistics: first, dqkv, dmiddle, gradients });
  [output.dx, dqkv, dmiddle].forEach((t) => t.dispose());
  disposeKept(kept);
  return dx;
}

/** The way back through a layer's first projection and normalisation, and the gradient of its input. */
function firstGradient({ norms, projections }: Layer, options: {
  readonly input: Tensor;
  readonly statistics: readonly Tensor[];
  readonly dqkv: Tensor;
  readonly dmiddle: Tensor;
  readonly gradients: Parameters;
}): Tensor {
  const { input, statistics, dqkv, dmiddle, gradients } = options;
  const fused = projectGradient(projections.qkv, { dy: dqkv, gradients });
  const normalized = { sum: input, statistics };
  const dx = withInput(fused, input, (y) =>
    normalizeGradient(norms.first, {
      ...{ normalized, dy: fused.dx, dsum: dmiddle },
      ...{ gradients, y },
    }));
  fused.dx.dispose();
  return dx;
}

/** {@linkcode firstGradient} where nothing before the projection is trained. */
function addFirstGradients({ norms, projections }: Layer, options: {
  readonly input: Tensor;
  readonly dqkv: Tensor;
  readonly gradients: Parameters;
}): undefined {
  const { input, dqkv, gradients } = options;
  const addParameters = parametersGradient(projections.qkv, { dy: dqkv, gradients });
  if (!addParameters) return;
  const { y, statistics } = normalize(norms.first, input);
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

function recompute(layer: Layer, kept: KeptLayer, batch: DeviceBatch): KeptLayer {
  const again = layerForward(layer, { x: kept.input }, { batch, keep: "products" });
  again.stream.x.dispose();
  again.stream.delta!.dispose();
  return again.kept!;
}
