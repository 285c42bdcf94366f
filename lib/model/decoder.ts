import type { Tensor } from "../backend/device.ts";
import { freeOnError, type Owner, owner, read, zeros } from "../backend/tensors.ts";
import { linearLogprob, linearLogprobGradient } from "../kernels/vocabulary/linear_logprob.ts";
import { keyDropout } from "./adapter.ts";
import type { DeviceBatch } from "./batch.ts";
import { disposeKept, type Keep, type KeptLayer, layerForward, layerGradient, type Stream } from "./layer.ts";
import { layersThatFit } from "./memory.ts";
import { normalize, normalizeGradient, type Normed } from "./norm.ts";
import { embed, embedGradient, trainsEmbedding } from "./embed.ts";
import { inUse, type Parameters } from "./parts.ts";
import type { Decoder } from "./state.ts";

/** A forward pass: the log-prob of every label, and what the backward pass needs. `backward` frees it too. */
export interface Pass extends Owner {
  /** Log-probs in nats, in the device's label order. [P] */
  readonly logprobs: Tensor;
  readonly kept?: {
    readonly layers: KeptLayer[];
    readonly final: Normed;
    readonly head: ReturnType<typeof linearLogprob>;
  };
}

/** The rows behind the last normalisation, for every row. [N, D] */
export function hiddenStates(decoder: Decoder, batch: DeviceBatch): Tensor {
  return freeOnError(decoder.device, () => rowsBehindLayers(decoder, batch));
}

function rowsBehindLayers(decoder: Decoder, batch: DeviceBatch): Tensor {
  let stream = embed(decoder, batch);
  for (const layer of decoder.layers) stream = layerForward(layer, stream, { batch, keep: "nothing" }).stream;
  const { sum, y, statistics } = finalNorm(decoder, stream);
  [sum, ...statistics].forEach((t) => t.dispose());
  return y;
}

function finalNorm(decoder: Decoder, stream: Stream): Normed {
  const final = normalize(decoder.norm, stream.x, stream.delta);
  if (stream.delta) {
    stream.x.dispose();
    stream.delta.dispose();
  }
  return final;
}

/**
 * How much a pass keeps: of all layers the same, or what fits the memory that is left: all products of as many layers as
 * there is room for, and of the others, which come first, their inputs. A GPU does not say what it has left: there all
 * products are kept.
 */
export type PassKeep = Keep | "what fits";

/**
 * Log-probs of a batch's labels.
 *
 * @param options `keep`: "nothing" for scoring; "products" for the fastest backward pass; "inputs" for the smallest; the
 * bytes that come out are the same for all
 */
export function forward(decoder: Decoder, batch: DeviceBatch, options: { readonly keep: PassKeep }): Pass {
  return freeOnError(decoder.device, () => passForward(decoder, batch, options.keep));
}

/** What each layer of a pass keeps. */
function keptOf({ config, device, layers }: Decoder, rows: number, keep: PassKeep): (layer: number) => Keep {
  if (keep !== "what fits") return () => keep;
  if (device.name !== "wasm") return () => "products";
  const whole = layersThatFit(config, rows, device.left());
  return (layer) => layer < layers.length - whole ? "inputs" : "products";
}

function passForward(decoder: Decoder, batch: DeviceBatch, keep: PassKeep): Pass {
  keyDropout(decoder, batch);
  const layers: KeptLayer[] = [], kept = keptOf(decoder, batch.host.ids.length, keep);
  let stream = embed(decoder, batch);
  for (const [i, layer] of decoder.layers.entries()) {
    const out = layerForward(layer, stream, { batch, keep: kept(i) });
    stream = out.stream;
    if (out.kept) layers.push(out.kept);
  }
  const final = finalNorm(decoder, stream);
  const head = linearLogprob(final.y, inUse(decoder.head).tensor, { labels: batch.labels });
  const dispose = () => {
    [...new Set([final.sum, final.y]), ...final.statistics].forEach((t) => t.dispose());
    head.dispose();
    layers.splice(0).forEach(disposeKept);
  };
  if (keep !== "nothing") {
    return { logprobs: head.logprobs, kept: { layers, final, head }, ...owner(dispose) };
  }
  const logprobs = head.logprobs.share();
  dispose();
  return { logprobs, ...owner(() => logprobs.dispose()) };
}

/** What a backward pass starts from and adds to. */
interface BackwardOptions {
  readonly batch: DeviceBatch;
  /** ∂loss/∂logprob in the device's label order. [P] */
  readonly weights: Tensor;
  /** By parameter: one that is not listed is frozen. */
  readonly gradients: Parameters;
}

/**
 * Adds the gradient of Σ w_i · logprob_i to `gradients`, layer by layer from the last to the first.
 *
 * @param pass consumed
 * @param options `weights`, ∂loss/∂logprob in the device's label order [P]; `gradients`, by parameter: a parameter that
 * is not listed is frozen
 */
export function backward(
  decoder: Decoder,
  pass: Pass,
  options: BackwardOptions,
): void {
  try {
    freeOnError(decoder.device, () => passBackward(decoder, pass, options));
  } finally {
    pass.dispose();
  }
}

function passBackward(decoder: Decoder, pass: Pass, options: BackwardOptions): void {
  const { batch, weights, gradients } = options;
  const { layers, final, head } = pass.kept!;
  keyDropout(decoder, batch);
  const { name, tensor: weight } = inUse(decoder.head);
  const dfinal = linearLogprobGradient(head, weights, {
    hidden: final.y,
    weight,
    labels: batch.labels,
    dweight: gradients.get(name),
  });
  let dx: Tensor | undefined = normalizeGradient(decoder.norm, {
    normalized: final,
    dy: dfinal,
    gradients,
  });
  dfinal.dispose();
  for (const layer of decoder.layers.toReversed()) {
    const frozenInput = layer === decoder.layers[0] && !trainsEmbedding(decoder, gradients);
    dx = layerGradient(layer, { kept: layers.at(-1)!, dy: dx!, batch, gradients, frozenInput });
    layers.pop(); // only now: should the layer fail, the pass still owns what it kept
  }
  if (dx) embedGradient(decoder, batch, { dx, gradients });
  dx?.dispose();
}

/** Zeroed gradients of every parameter that `trains` says yes to. */
export function makeGradients(
  decoder: Decoder,
  trains: (name: string) => boolean = () => true,
): Map<string, Tensor> {
  const made = new Map<string, Tensor>();
  for (const [name, tensor] of decoder.parameters) {
    if (trains(name)) made.set(name, zeros(tensor.device, tensor.shape));
  }
  return made;
}

/** Log-probs in the host's label order. One readback. */
export async function orderedLogprobs(pass: Pass, batch: DeviceBatch): Promise<Float64Array> {
  const values = await read(pass.logprobs), { order } = batch.labels;
  return Float64Array.from(order, (at) => values[at]);
}
