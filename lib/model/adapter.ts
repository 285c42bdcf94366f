/** A LoRA adapter on a decoder: put on, taken off, merged. The base stays as it is, bit for bit. */

import { empty, upload } from "../backend/tensors.ts";
import { Random } from "../data/random.ts";
import {
  adaptedEmbedding,
  adaptedProjections,
  adapterShapes,
  type AdapterValues,
  fixedParameters,
  isAdapterParameter,
  savedName,
} from "../checkpoint/adapted.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import type { Lora } from "../checkpoint/lora.ts";
import { savedParameters } from "../checkpoint/saved_modules.ts";
import type { DeviceBatch } from "./batch.ts";
import { mix } from "./mix.ts";
import type { Adapter, Layer, NamedTensor, Norm, Projection, Weight } from "./parts.ts";
import type { Decoder } from "./state.ts";

/**
 * A new adapter's factors, as PEFT starts them, so that the model is its base at first: A uniform in ±1/√in (Kaiming's
 * with a = √5) and B zero; of the embedding, A zero and B normal.
 */
export function initialAdapter(config: DecoderConfig, lora: Lora, seed = 0): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  for (const projection of adaptedProjections(config, lora)) {
    const { r, inputs, parts } = projection, bound = 1 / Math.sqrt(inputs);
    const [[a], [b, [rows]]] = adapterShapes(projection);
    const random = new Random(seed, { stream: a });
    const ranks = parts.flatMap((part) => Array.from({ length: r }, (_, k) => k < part.r));
    const rowsOfA = ranks.map((inside) =>
      Float32Array.from({ length: inputs }, () => inside ? bound * (2 * random.next() - 1) : 0)
    );
    const stacked = new Float32Array(ranks.length * inputs);
    rowsOfA.forEach((row, at) => stacked.set(row, at * inputs));
    values.set(a, stacked).set(b, new Float32Array(rows * r));
  }
  const embedding = adaptedEmbedding(config, lora);
  if (embedding) {
    const random = new Random(seed, { stream: "embedding.lora_b" });
    values.set("embedding.lora_a", new Float32Array(config.vocabularySize * embedding.r));
    values.set(
      "embedding.lora_b",
      Float32Array.from({ length: config.hiddenSize * embedding.r }, () => random.normal()),
    );
  }
  return values;
}

/**
 * Puts an adapter on a decoder: from here on its projections are W·x + scale·B·A·x, and modules that it saves are its own.
 *
 * @param values numbers of the adapter's parameters (default: a new adapter's, by `seed`; saved modules as the base's)
 */
export function attachAdapter(
  decoder: Decoder,
  lora: Lora,
  options: { readonly values?: AdapterValues | undefined; readonly seed?: number | undefined } = {},
): void {
  if (decoder.adapter) throw new Error("The decoder has an adapter already");
  const { config, device } = decoder, { values = initialAdapter(config, lora, options.seed) } = options;
  const fixed = fixedParameters(config, lora);
  const projections = adaptedProjections(config, lora).filter(({ name }) => !fixed.has(name));
  const update = fixed.has("embedding") ? undefined : adaptedEmbedding(config, lora);
  const saved = savedParameters(config, lora);
  const adapter: Adapter = {
    lora,
    projections: new Map(projections.map((projection) => [projection.name, projection])),
    enabled: true,
    dropoutKey: undefined,
    passKey: 0,
  };
  const put = (name: string, shape: readonly number[]): NamedTensor => {
    const tensor = upload(device, values.get(name)!, shape);
    decoder.parameters.set(name, tensor);
    return { name, tensor };
  };
  const places = new Map(projectionsOf(decoder).map((place) => [place.name, place]));
  for (const projection of projections) {
    const [a, b] = adapterShapes(projection).map(([name, shape]) => put(name, shape)) as [
      NamedTensor,
      NamedTensor,
    ];
    places.get(projection.name)!.lowRank = { name: projection.name, a, b, blocks: projection.parts, adapter };
  }
  if (update) {
    const { r, scale } = update, { vocabularySize: v, hiddenSize: d } = config;
    decoder.embedding.lowRank = {
      name: "embedding",
      a: put("embedding.lora_a", [v, r]),
      b: put("embedding.lora_b", [d, r]),
      blocks: [{ row: 0, rows: d, column: 0, scale }],
      adapter,
    };
  }
  const weights = weightsOf(decoder);
  for (const { name, shape } of saved) {
    const weight = weights.get(name)!, own = savedName(name);
    if (values.has(own)) weight.saved = { ...put(own, shape), adapter };
    else {
      const tensor = empty(device, shape);
      device.copy(weight.tensor.slot, tensor.slot, { bytes: 4 * tensor.size });
      decoder.parameters.set(own, tensor);
      weight.saved = { name: own, tensor, adapter };
    }
  }
  decoder.adapter = adapter;
}

/**
 * Puts the matrices that an adapter fixes beside the decoder's own, which it has already: one at a time, each worked out
 * from the base's numbers.
 *
 * @param matrix a fixed parameter's numbers, by its name
 */
export async function attachFixed(
  decoder: Decoder,
  matrix: (name: string) => Promise<Float32Array>,
): Promise<void> {
  const { adapter, config, device } = decoder;
  if (!adapter) throw new Error("The decoder has no adapter");
  const projections = new Map(projectionsOf(decoder).map((place) => [place.name, place]));
  const weights = weightsOf(decoder), fixed = fixedParameters(config, adapter.lora);
  for (const [name, shape] of fixed) {
    const own = savedName(name), tensor = upload(device, await matrix(name), shape);
    decoder.parameters.set(own, tensor);
    const saved = { name: own, tensor, adapter };
    (projections.get(name) ?? weights.get(name)!).saved = saved;
    const { tokens } = adapter.lora.fixed!;
    if (name === "embedding" && tokens?.embedding && config.tiedHead) decoder.head.saved = saved;
  }
}

/** Takes the adapter off and frees its parameters: the decoder is its base again. */
export function detachAdapter(decoder: Decoder): void {
  for (const place of [...projectionsOf(decoder), decoder.embedding]) delete place.lowRank;
  for (const place of [...projectionsOf(decoder), ...weightsOf(decoder).values()]) delete place.saved;
  for (const [name, tensor] of [...decoder.parameters]) {
    if (!isAdapterParameter(name)) continue;
    tensor.dispose();
    decoder.parameters.delete(name);
  }
  delete decoder.adapter;
}

function projectionsOf({ layers }: { readonly layers: readonly Layer[] }): Projection[] {
  return layers.flatMap(({ projections }) => Object.values(projections));
}

/** The weights that an adapter can have of its own, by their names; a tied head's is `head`. */
function weightsOf(decoder: Decoder): Map<string, Weight> {
  const { embedding, positions, layers, norm, head } = decoder;
  const ofNorm = ({ weight, bias }: Norm) => [weight, bias];
  const inLayers = layers.flatMap(({ norms, attention: { headNorm } }) => [
    ...Object.values(norms).flatMap(ofNorm),
    headNorm?.q,
    headNorm?.k,
  ]);
  const all = [embedding.weight, positions, ...inLayers, ...ofNorm(norm)].filter((weight) =>
    weight !== undefined
  );
  return new Map([...all.map((weight): [string, Weight] => [weight.name, weight]), ["head", head]]);
}

/** Whether a parameter is trained: with an adapter, only its own are. */
export function trainable(decoder: Decoder): (name: string) => boolean {
  return decoder.adapter ? isAdapterParameter : () => true;
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
