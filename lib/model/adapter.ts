/**
 * A LoRA adapter on a decoder: its factors among the decoder's parameters, what they add to a projection, and the
 * gradient of that. The base stays as it is, bit for bit.
 */

import type { Device, Tensor } from "../backend/device.ts";
import { read, upload } from "../backend/tensors.ts";
import { Random } from "../data/random.ts";
import {
  addBlockProduct,
  addBlockWeightGradient,
  blockProductGradient,
} from "../kernels/product/block_product.ts";
import { dropout } from "../kernels/dropout.ts";
import { matmul } from "../kernels/product/matmul.ts";
import type { Decoder, Parameters } from "./state.ts";
import type { DeviceBatch } from "./batch.ts";
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
  for (const projection of projections) {
    for (const [name, shape] of adapterShapes(projection, lora)) {
      decoder.parameters.set(name, upload(decoder.device, values.get(name)!, shape));
    }
  }
  decoder.adapter = {
    lora,
    projections: new Map(projections.map((projection) => [projection.name, projection])),
    enabled: true,
    passKey: 0,
  };
}

/** Takes the adapter off and frees its parameters: the decoder is its base again. */
export function detachAdapter(decoder: Decoder): void {
  for (const projection of decoder.adapter?.projections.values() ?? []) {
    for (const [name] of adapterShapes(projection, decoder.adapter!.lora)) {
      decoder.parameters.get(name)!.dispose();
      decoder.parameters.delete(name);
    }
  }
  decoder.adapter = undefined;
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

function mix(hash: number, value: number): number {
  const h = Math.imul(hash ^ value, 0x01000193);
  return h ^ (h >>> 15);
}

/** What the adapter of a projection needs; undefined where it has none, or is switched off. */
function partsOf(decoder: Decoder, name: string) {
  const { adapter } = decoder, projection = adapter?.enabled ? adapter.projections.get(name) : undefined;
  if (!adapter || !projection) return undefined;
  const { r, alpha, dropout: rate = 0 } = adapter.lora;
  const drops = rate > 0 && adapter.dropoutKey !== undefined;
  return {
    names: { a: `${name}.lora_a`, b: `${name}.lora_b` },
    a: decoder.parameters.get(`${name}.lora_a`)!,
    b: decoder.parameters.get(`${name}.lora_b`)!,
    blocks: { blocks: projection.parts, scale: alpha / r },
    masks: drops
      ? { rate, key: [...name].reduce((h, c) => mix(h, c.codePointAt(0)!), adapter.passKey) }
      : undefined,
  };
}

/** Adds what a projection's adapter makes of x to y, in place: y += (alpha/r)·(x̃·Aᵀ)·Bᵀ, x̃ = x or dropout(x). */
export function addAdapter(decoder: Decoder, name: string, x: Tensor, y: Tensor): void {
  const parts = partsOf(decoder, name);
  if (!parts) return;
  const { a, b, blocks, masks } = parts;
  const dropped = masks ? dropout(x, masks) : x;
  const u = matmul(dropped, a, { transposeB: true }); // [N, T·r]
  addBlockProduct(u, b, y, blocks);
  u.dispose();
  if (masks) dropped.dispose();
}

/**
 * Gradient of {@linkcode addAdapter}: adds to dx, in place, where it is needed, and returns what adds to the factors' gradients, where they
 * are listed, once x is there; undefined where the projection has no adapter. It must be called.
 *
 * With du = (alpha/r)·dy·B: dB += (alpha/r)·dyᵀ·u, dA += duᵀ·x̃, dx += du·A. u is computed again: it costs r·in a row,
 * against in·out for the base.
 */
export function addAdapterGradient(
  decoder: Decoder,
  name: string,
  options: { readonly dy: Tensor; readonly dx?: Tensor; readonly gradients: Parameters },
): ((x: Tensor) => void) | undefined {
  const parts = partsOf(decoder, name);
  if (!parts) return undefined;
  const { names, a, b, blocks, masks } = parts, { dy, dx, gradients } = options;
  const du = blockProductGradient(b, dy, blocks);
  if (dx && masks) {
    const masked = matmul(du, a);
    dropout(masked, { ...masks, into: dx });
    masked.dispose();
  } else if (dx) matmul(du, a, { into: dx });
  return (x) => {
    const dropped = masks ? dropout(x, masks) : x;
    const da = gradients.get(names.a), db = gradients.get(names.b);
    if (db) {
      const u = matmul(dropped, a, { transposeB: true });
      addBlockWeightGradient(u, dy, db, blocks);
      u.dispose();
    }
    if (da) matmul(du, dropped, { transposeA: true, into: da });
    if (masks) dropped.dispose();
    du.dispose();
  };
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
