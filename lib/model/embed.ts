/** The first rows of the residual stream, and the gradient of what makes them. */

import type { Tensor } from "../backend/device.ts";
import {
  addBlockProduct,
  addBlockWeightGradient,
  blockProductGradient,
} from "../kernels/product/block_product.ts";
import { embedding, embeddingGradient } from "../kernels/vocabulary/embedding.ts";
import type { DeviceBatch } from "./batch.ts";
import type { Stream } from "./layer.ts";
import { type Embedding, inUse, type Parameters } from "./parts.ts";
import type { Decoder } from "./state.ts";

/** Token and, where they are learned, position embeddings. [N, D] */
export function embed(decoder: Decoder, { ids, positions }: Pick<DeviceBatch, "ids" | "positions">): Stream {
  const x = embedding(inUse(decoder.embedding.weight).tensor, ids), update = updateOf(decoder.embedding);
  if (update) {
    const u = embedding(update.a.tensor, ids); // [N, r]
    addBlockProduct(u, update.b.tensor, { blocks: update.blocks, y: x });
    u.dispose();
  }
  return decoder.positions ? { x, delta: embedding(inUse(decoder.positions).tensor, positions) } : { x };
}

function updateOf({ lowRank }: Embedding): Embedding["lowRank"] {
  return lowRank?.adapter.enabled ? lowRank : undefined;
}

/** The parameters that {@linkcode embed} reads. */
function namesIn(decoder: Decoder): string[] {
  const { embedding: { weight }, positions } = decoder, update = updateOf(decoder.embedding);
  const used = [inUse(weight), positions && inUse(positions), update?.a, update?.b];
  return used.flatMap((tensor) => tensor ? [tensor.name] : []);
}

/** Whether any of them is trained. */
export function trainsEmbedding(decoder: Decoder, gradients: Parameters): boolean {
  return namesIn(decoder).some((name) => gradients.has(name));
}

/**
 * Gradient of {@linkcode embed}: rows of dx are added to those of the tables that are trained. With du = scale·dx·B,
 * dA[id] += du and dB += scale·dxᵀ·u.
 */
export function embedGradient(
  decoder: Decoder,
  { host, ids }: Pick<DeviceBatch, "host" | "ids">,
  { dx, gradients }: { readonly dx: Tensor; readonly gradients: Parameters },
): void {
  const tokens = host.ids.subarray(0, host.tokens), update = updateOf(decoder.embedding);
  const dtable = gradients.get(inUse(decoder.embedding.weight).name);
  if (dtable) embeddingGradient(tokens, dx, dtable);
  const da = update && gradients.get(update.a.name), db = update && gradients.get(update.b.name);
  if (update && da) {
    const du = blockProductGradient(update.b.tensor, dx, update);
    embeddingGradient(tokens, du, da);
    du.dispose();
  }
  if (update && db) {
    const u = embedding(update.a.tensor, ids);
    addBlockWeightGradient(u, dx, { blocks: update.blocks, db });
    u.dispose();
  }
  const dpositions = decoder.positions && gradients.get(inUse(decoder.positions).name);
  if (dpositions) embeddingGradient(host.positions.subarray(0, host.tokens), dx, dpositions);
}
