import type { Tensor } from "../../backend/device.ts";
/** The shapes that attention works on. */

/** The heads of attention: query head h reads key-value head ⌊h / (heads/kvHeads)⌋. */
export interface Heads {
  /** Query heads. */
  readonly heads: number;
  /** A divisor of `heads`. */
  readonly kvHeads: number;
  /** Elements of a head: even, at most 256. */
  readonly headDim: number;
  /** What q·k is multiplied by; 1/√headDim by default. */
  readonly scale?: number;
}

/** Rows of a matrix: element (i, c) is at i·stride + offset + c. */
export interface RowView {
  /** What the rows lie in. */
  readonly tensor: Tensor;
  /** Elements from one row to the next. */
  readonly stride: number;
  /** Elements before the first. */
  readonly offset: number;
}

/** What the forward pass returns. */
export interface Attended {
  /** [N, heads·headDim]; 0 in a row that attends to nothing. */
  readonly out: Tensor;
  /** Log-sum-exp of the scaled scores, natural; −1e30 in a row that attends to nothing. [N, heads] */
  readonly lse: Tensor;
}
