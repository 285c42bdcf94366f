import type { Tensor } from "../../backend/device.ts";
import { empty, fillZero } from "../../backend/tensors.ts";
import { gemm } from "./_gemm.ts";

/**
 * The product op(a)·op(b) of two matrices, where op turns a matrix or leaves it. Nothing is copied.
 *
 * @param a [m, k], or [k, m] with `transposeA`
 * @param b [k, n], or [n, k] with `transposeB`
 * @param options `into` [m, n]: the product is added to it in place, and it is returned
 * @returns [m, n]
 * @throws {Error} when the shapes do not fit each other
 */
export function matmul(
  a: Tensor,
  b: Tensor,
  options: { readonly transposeA?: boolean; readonly transposeB?: boolean; readonly into?: Tensor } = {},
): Tensor {
  const { transposeA = false, transposeB = false, into } = options;
  const [m, k] = transposeA ? [a.shape[1]!, a.shape[0]] : a.shape;
  const [inner, n] = transposeB ? [b.shape[1]!, b.shape[0]] : b.shape;
  if (
    a.shape.length !== 2 || b.shape.length !== 2 || k !== inner ||
    (into && (into.shape[0] !== m || into.shape[1] !== n))
  ) {
    const turned = (t: Tensor, turn: boolean) => `[${t.shape}]${turn ? "ᵀ" : ""}`;
    throw new Error(
      `Cannot multiply ${turned(a, transposeA)} by ${turned(b, transposeB)}` +
        (into ? ` into [${into.shape}]` : ""),
    );
  }
  const c = into ?? empty(a.device, [m, n]);
  const add = into !== undefined;
  if (k === 0) { // nothing to bind
    if (!add) fillZero(c);
    return c;
  }
  gemm({ a, b, c }, { m, n, k, transposeA, transposeB, add });
  return c;
}
