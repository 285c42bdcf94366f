/** A LoRA adapter on a decoder: put on, taken off, merged. The base stays as it is, bit for bit. */

import type { Device, Tensor } from "../backend/device.ts";
import { read, upload } from "../backend/tensors.ts";
import { Random } from "../data/random.ts";
import { matmul } from "../kernels/product/matmul.ts";
import type { DeviceBatch } from "./batch.ts";
import { mix } from "./mix.ts";
import type { Adapter, Layer, Projection, Weight } from "./parts.ts";
import type { Decoder } from "./state.ts";
import {
  type AdaptedProjection,
  adaptedProjections,
  adapterShapes,
  type AdapterValues,
  type Lora,
} from "../checkpoint/lora.ts";

/**
 * A new adapter's numbers, as PEFT starts them: A uniform in ±1/√in (Kaiming's with a = √5), B zero, so that the model
 * is its base at first.
 */
export function initialAdapter(
  projections: readonly AdaptedProjection[],
  options: { readonly r: number; readonly seed?: number },
): Map<string, Float32Array> {
  const { r, seed = 0 } = options, values = new Map<string, Float32Array>();
  for (const projection of projections) {
    const [[a, shape], [b, [rows]]] = adapterShapes(projection, { r }), bound = 1 / Math.sqrt(shape[1]);
    const random = new Random(seed, { stream: a });
    values.set(
      a,
      Float32Array.from({ length: shape[0] * shape[1] }, () => bound * (2 * random.next() - 1)),
    );
    values.set(b, new Float32Array(rows * r));
  }
  return values;
}

/**
 * Puts an adapter on a decoder: from here on its projections are W·x + (alpha/r)·B·A·x.
 *
 * @param values numbers of the adapter's parameters (default: a new adapter's, by `seed`)
 */
export function attachAdapter(
  decoder: Decoder,
  lora: Lora,
  options: { readonly values?: AdapterValues; readonly seed?: number } = {},
): void {
  if (decoder.adapter) throw new Error("The decoder has an adapter already");
  const projections = adaptedProjections(decoder.config, lora);
  const values = options.values ?? initialAdapter(projections, { r: lora.r, seed: options.seed });
  const adapter: Adapter = {
    lora,
    projections: new Map(projections.map((projection) => [projection.name, projection])),
    enabled: true,
    passKey: 0,
  };
  const places = new Map(projectionsOf(decoder).map((place) => [place.name, place]));
  for (const projection of projections) {
    const [a, b] = adapterShapes(projection, lora).map(([name, shape]): Weight => {
      const tensor = upload(decoder.device, values.get(name)!, shape);
      decoder.parameters.set(name, tensor);
      return { name, tensor };
    }) as [Weight, Weight];
    const { name, parts: blocks } = projection;
    places.get(name)!.lowRank = { name, a, b, blocks: { blocks, scale: lora.alpha / lora.r }, adapter };
  }
  decoder.adapter = adapter;
}

/** Takes the adapter off and frees its parameters: the decoder is its base again. */
export function detachAdapter(decoder: Decoder): void {
  for (const place of projectionsOf(decoder)) {
    for (const { name, tensor } of place.lowRank ? [place.lowRank.a, place.lowRank.b] : []) {
      tensor.dispose();
      decoder.parameters.delete(name);
    }
    delete place.lowRank;
  }
  delete decoder.adapter;
}

function projectionsOf({ layers }: { readonly layers: readonly Layer[] }): Projection[] {
  return layers.flatMap(({ projections }) => Object.values(projections));
}

/** Whether a parameter is trained: with an adapter, only its own are. */
export function trainable(decoder: Decoder): (name: string) => boolean {
  return decoder.adapter ? (name) => /\.lora_[ab]$/.test(name) : () => true;
}

/** Chooses the dropout masks of a training step, from the run's seed; without a step, nothing is dropped any more. */
export function chooseDropout({ adapter }: Decoder, seed = 0, step?: number): void {
  if (adapter) adapter.dropoutKey = step === undefined ? undefined : mix(mix(0x811c9dc5, seed), step);
}

/**
 * Sets the masks for a pass over a batch: they follow from the step's key and the batch's tokens, so that a forward
 * pass, its repetition and its backward pass see the same.
 */
export function keyDropout(decoder: Decoder, { host }: Pick<DeviceBatch, "host">): void {
  const { adapter } = decoder;
  if (adapter?.dropoutKey === undefined || !adapter.lora.dropout) return;
  adapter.passKey = host.ids.reduce((hash, id) => mix(hash, id), adapter.dropoutKey | 0);
}

/** (alpha/r)·B_p·A_p of one part, [rows_p, in], on the device. The factors are host arrays of the whole projection. */
function partUpdate(
  device: Device,
  { inputs, parts }: AdaptedProjection,
  options: { readonly part: number; readonly a: Float32Array; readonly b: Float32Array; readonly lora: Lora },
): Tensor {
  const { part, a, b, lora: { r, alpha } } = options, { row, rows } = parts[part]!;
  const left = upload(device, b.slice(row * r, (row + rows) * r).map((v) => v * alpha / r), [rows, r]);
  const right = upload(device, a.slice(part * r * inputs, (part + 1) * r * inputs), [r, inputs]);
  const update = matmul(left, right);
  [left, right].forEach((t) => t.dispose());
  return update;
}

/** Adds a projection's updates to its parameter's numbers [out, in], in place: W_p += (alpha/r)·B_p·A_p. */
export async function mergeUpdates(
  device: Device,
  values: Float32Array,
  update: {
    readonly projection: AdaptedProjection;
    readonly a: Float32Array;
    readonly b: Float32Array;
    readonly lora: Lora;
  },
): Promise<void> {
  const { projection, ...factors } = update;
  for (const [p, { column }] of projection.parts.entries()) {
    using tensor = partUpdate(device, projection, { ...factors, part: p });
    const added = await read(tensor), at = column * projection.inputs;
    for (let i = 0; i < added.length; i++) values[at + i]! += added[i]!;
  }
}
