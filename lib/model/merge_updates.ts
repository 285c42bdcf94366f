/** An adapter and its base made one: the numbers that a parameter then has. */

import type { Device } from "../backend/device.ts";
import { read, upload } from "../backend/tensors.ts";
import {
  adaptedEmbedding,
  type AdaptedProjection,
  adaptedProjections,
  savedName,
} from "../checkpoint/adapted.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import type { Lora } from "../checkpoint/lora.ts";
import { savedParameters } from "../checkpoint/saved_modules.ts";
import { InputError } from "../runtime/errors.ts";
import { matmul } from "../kernels/product/matmul.ts";

/** What is merged. */
export interface Merging {
  readonly config: DecoderConfig;
  readonly lora: Lora;
  readonly projections: ReadonlyMap<string, AdaptedProjection>;
  /** An adapter parameter's numbers. */
  readonly own: (name: string) => Promise<Float32Array> | Float32Array;
}

/** What an adapter's description and numbers are to merge. */
export function mergingOf(config: DecoderConfig, lora: Lora, own: Merging["own"]): Merging {
  const projections = adaptedProjections(config, lora).map((one) => [one.name, one] as const);
  return { config, lora, projections: new Map(projections), own };
}

/** Whether embedding and head, one in the base, differ in what an adapter makes of it. */
export function unties({ config, lora }: Pick<Merging, "config" | "lora">): boolean {
  const shared = (name: string) => name === "embedding" || name === "head";
  return config.tiedHead &&
    (lora.embedding === true || lora.fixed?.head === true ||
      savedParameters(config, lora).some(({ name }) => shared(name)));
}

/**
 * The numbers of a base's parameter with the adapter in it: W_p + scale_p·B_p·A_p of a projection [out, in],
 * E + scale·(B·A)ᵀ of the embedding, an adapter's own where it has them; DoRA's rows (of the embedding, columns) then get
 * their lengths, and single tokens their rows. `values` is changed in place.
 *
 * @throws {InputError} when a row that is to get a length is zero
 */
export async function mergedParameter(
  device: Device,
  name: string,
  { values, merging }: { readonly values: Float32Array; readonly merging: Merging },
): Promise<Float32Array> {
  const { config, lora, own, projections } = merging, projection = projections.get(name);
  const lengths = lora.fixed?.magnitudes && (projection || name === "embedding" && lora.embedding)
    ? await own(`${name}.magnitude`)
    : undefined;
  const saved = savedParameters(config, lora).some((one) => one.name === name);
  const merged = saved ? (await own(savedName(name))).slice() : values;
  const embedding = name === "embedding" ? adaptedEmbedding(config, lora) : undefined;
  if (embedding) {
    const { r, scale } = embedding, { vocabularySize: v, hiddenSize: d } = config;
    const b = (await own("embedding.lora_b")).map((value) => value * scale);
    add(merged, await product(device, { left: await own("embedding.lora_a"), right: b, m: v, n: d, r }), 0);
    if (lengths) setLengths(merged, lengths, { name, vectors: d, of: v, step: d, apart: 1 });
  }
  const table = name === "head" && config.tiedHead ? "embedding" : name; // a tied head has the embedding's rows
  const ids = table === "embedding" || table === "head" ? lora.fixed?.tokens?.[table] : undefined;
  if (ids) {
    const rows = await own(`${table}.tokens`), d = config.hiddenSize;
    ids.forEach((id, i) => merged.set(rows.subarray(i * d, (i + 1) * d), id * d));
  }
  if (!projection) return merged;
  const { inputs, r, parts } = projection;
  const a = await own(`${name}.lora_a`), b = await own(`${name}.lora_b`);
  for (const [p, { module, row, rows, column, scale }] of parts.entries()) {
    const left = b.slice(row * r, (row + rows) * r).map((value) => value * scale);
    const right = a.slice(p * r * inputs, (p + 1) * r * inputs);
    add(
      merged,
      await product(device, { left, right, m: rows, n: inputs, r, straight: true }),
      column * inputs,
    );
    if (lengths) {
      const part = merged.subarray(column * inputs, (column + rows) * inputs);
      setLengths(part, lengths.subarray(row, row + rows), {
        name: module,
        vectors: rows,
        of: inputs,
        step: 1,
        apart: inputs,
      });
    }
  }
  return merged;
}

/** Gives vectors the lengths m: v·m/‖v‖. Vector i has its numbers at i·apart + j·step. */
function setLengths(
  values: Float32Array,
  lengths: Float32Array,
  { name, vectors, of, step, apart }: {
    readonly name: string;
    readonly vectors: number;
    readonly of: number;
    readonly step: number;
    readonly apart: number;
  },
): void {
  for (let i = 0; i < vectors; i++) {
    let sum = 0;
    for (let j = 0; j < of; j++) sum += values[i * apart + j * step]! ** 2;
    if (sum === 0) {
      throw new InputError(`Cannot give vector ${i} of "${name}" a length (use_dora): it is zero`);
    }
    const factor = lengths[i]! / Math.sqrt(sum);
    for (let j = 0; j < of; j++) values[i * apart + j * step]! *= factor;
  }
}

function add(values: Float32Array, added: Float32Array, at: number): void {
  for (let i = 0; i < added.length; i++) values[at + i]! += added[i]!;
}

/** left [m, r] times right [n, r]ᵀ, or right [r, n] where that is `straight`. */
async function product(
  device: Device,
  { left, right, m, n, r, straight = false }: {
    readonly left: Float32Array;
    readonly right: Float32Array;
    readonly m: number;
    readonly n: number;
    readonly r: number;
    readonly straight?: boolean;
  },
): Promise<Float32Array> {
  using a = upload(device, left, [m, r]);
  using b = upload(device, right, straight ? [r, n] : [n, r]);
  using made = matmul(a, b, { transposeB: !straight });
  return await read(made) as Float32Array;
}
