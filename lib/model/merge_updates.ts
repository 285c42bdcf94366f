/** An adapter and its base made one: the numbers that a parameter then has. */

import type { Device } from "../backend/device.ts";
import { read, upload } from "../backend/tensors.ts";
import { adaptedEmbedding, type AdaptedProjection, savedName } from "../checkpoint/adapted.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import type { Lora } from "../checkpoint/lora.ts";
import { savedParameters } from "../checkpoint/saved_modules.ts";
import { matmul } from "../kernels/product/matmul.ts";

/** What is merged. */
export interface Merging {
  readonly config: DecoderConfig;
  readonly lora: Lora;
  readonly projections: ReadonlyMap<string, AdaptedProjection>;
  /** An adapter parameter's numbers. */
  readonly own: (name: string) => Promise<Float32Array> | Float32Array;
}

/** Whether embedding and head, one in the base, differ in what an adapter makes of it. */
export function unties({ config, lora }: Pick<Merging, "config" | "lora">): boolean {
  const shared = (name: string) => name === "embedding" || name === "head";
  return config.tiedHead &&
    (lora.embedding === true || savedParameters(config, lora).some(({ name }) => shared(name)));
}

/**
 * The numbers of a base's parameter with the adapter in it: W_p + scale_p·B_p·A_p of a projection [out, in],
 * E + scale·(B·A)ᵀ of the embedding, an adapter's own where it has them. `values` is changed in place.
 */
export async function mergedParameter(
  device: Device,
  name: string,
  { values, merging }: { readonly values: Float32Array; readonly merging: Merging },
): Promise<Float32Array> {
  const { config, lora, own, projections } = merging, projection = projections.get(name);
  const saved = savedParameters(config, lora).some((one) => one.name === name);
  const merged = saved ? (await own(savedName(name))).slice() : values;
  const embedding = name === "embedding" ? adaptedEmbedding(config, lora) : undefined;
  if (embedding) {
    const { r, scale } = embedding, { vocabularySize: v, hiddenSize: d } = config;
    const b = (await own("embedding.lora_b")).map((value) => value * scale);
    add(merged, await product(device, { left: await own("embedding.lora_a"), right: b, m: v, n: d, r }), 0);
  }
  if (!projection) return merged;
  const { inputs, r, parts } = projection;
  const a = await own(`${name}.lora_a`), b = await own(`${name}.lora_b`);
  for (const [p, { row, rows, column, scale }] of parts.entries()) {
    const left = b.slice(row * r, (row + rows) * r).map((value) => value * scale);
    const right = a.slice(p * r * inputs, (p + 1) * r * inputs);
    add(
      merged,
      await product(device, { left, right, m: rows, n: inputs, r, straight: true }),
      column * inputs,
    );
  }
  return merged;
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
