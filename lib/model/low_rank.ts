/** What a low-rank update adds to a projection, and the gradient of that. */

import type { Tensor } from "../backend/device.ts";
import { dropout } from "../kernels/dropout.ts";
import {
  addBlockProduct,
  addBlockWeightGradient,
  blockProductGradient,
} from "../kernels/product/block_product.ts";
import { matmul } from "../kernels/product/matmul.ts";
import { mix } from "./mix.ts";
import type { LowRank, Parameters } from "./parts.ts";

/** The masks of the pass that is being computed, where any number is dropped. */
function masksOf({ name, adapter }: LowRank): { readonly rate: number; readonly key: number } | undefined {
  const { lora: { dropout: rate = 0 }, dropoutKey, passKey } = adapter;
  if (rate === 0 || dropoutKey === undefined) return undefined;
  return { rate, key: [...name].reduce((hash, c) => mix(hash, c.codePointAt(0)!), passKey) };
}

/** Adds a low-rank update of x to y, in place: y += scale·(x̃·Aᵀ)·Bᵀ, x̃ = x or dropout(x). */
export function addLowRank(lowRank: LowRank, x: Tensor, y: Tensor): void {
  const { a, b, blocks, adapter } = lowRank;
  if (!adapter.enabled) return;
  const masks = masksOf(lowRank), dropped = masks ? dropout(x, masks) : x;
  const u = matmul(dropped, a.tensor, { transposeB: true }); // [N, T·r]
  addBlockProduct(u, b.tensor, { blocks, y });
  u.dispose();
  if (masks) dropped.dispose();
}

/**
 * Gradient of {@linkcode addLowRank}: adds to dx, in place, where it is needed, and returns what adds to the factors'
 * gradients, where they are listed, once x is there; undefined where the adapter is switched off. It must be called.
 *
 * With du = scale·dy·B: dB += scale·dyᵀ·u, dA += duᵀ·x̃, dx += du·A. u is computed again: it costs r·in a row, against
 * in·out for the base.
 */
export function addLowRankGradient(
  lowRank: LowRank,
  options: { readonly dy: Tensor; readonly dx?: Tensor; readonly gradients: Parameters },
): ((x: Tensor) => void) | undefined {
  const { a, b, blocks, adapter } = lowRank, { dy, dx, gradients } = options;
  if (!adapter.enabled) return undefined;
  const masks = masksOf(lowRank), du = blockProductGradient(b.tensor, dy, { blocks });
  if (dx && masks) {
    const masked = matmul(du, a.tensor);
    dropout(masked, { ...masks, into: dx });
    masked.dispose();
  } else if (dx) matmul(du, a.tensor, { into: dx });
  return (x) => {
    const dropped = masks ? dropout(x, masks) : x;
    const da = gradients.get(a.name), db = gradients.get(b.name);
    if (db) {
      const u = matmul(dropped, a.tensor, { transposeB: true });
      addBlockWeightGradient(u, dy, { blocks, db });
      u.dispose();
    }
    if (da) matmul(du, dropped, { transposeA: true, into: da });
    if (masks) dropped.dispose();
    du.dispose();
  };
}
