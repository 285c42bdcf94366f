import type { Device, Tensor } from "../../backend/device.ts";
import { empty, fillZero, type Owner, owner, upload, zeros } from "../../backend/tensors.ts";
import { InputError } from "../../runtime/errors.ts";
import { gemm } from "../product/_gemm.ts";
import { chunkGradient, type ChunkPlace, moveRows, reduceChunk } from "./_logprob_chunk.ts";
import { bindingElements, rowsOf } from "../_row_blocks.ts";

/** Which log-probs are wanted: pairs of a row of the hidden states and a label id, grouped by row. */
export interface Labels extends Owner {
  /** [R] int32: rows of hidden that carry a label, ascending. */
  readonly rows: Tensor;
  /** [R+1] int32: the labels of the r-th of these rows are `ids[pairStarts[r]]` … `ids[pairStarts[r + 1] − 1]`. */
  readonly pairStarts: Tensor;
  /** [P] int32: label ids, in row order. */
  readonly ids: Tensor;
  /** R. */
  readonly rowCount: number;
  /** P. */
  readonly pairCount: number;
  /** The largest row, checked against hidden before a launch; −1 without pairs. */
  readonly largestRow: number;
  /** The largest id, checked against the vocabulary before a launch; −1 without pairs. */
  readonly largestId: number;
}

/**
 * Groups (row, label id) pairs by row and uploads them.
 *
 * @param pairs in any order; a row may carry several labels, and a label twice
 * @returns labels; pair i of the input is element `order[i]` of `ids` and of the log-probs
 * @throws {InputError} when a row or an id is not a whole number of at least 0
 */
export function makeLabels(
  device: Device,
  pairs: ReadonlyArray<readonly [row: number, id: number]>,
): Labels & { readonly order: Int32Array } {
  let largestRow = -1, largestId = -1;
  for (const [i, [row, id]] of pairs.entries()) {
    if (!Number.isSafeInteger(row) || !Number.isSafeInteger(id) || row < 0 || id < 0) {
      throw new InputError(
        `Cannot score label ${id} of row ${row}, pair ${i}: expected whole numbers from 0 on`,
      );
    }
    largestRow = Math.max(largestRow, row);
    largestId = Math.max(largestId, id);
  }
  const sorted = Int32Array.from(pairs.keys()).sort((a, b) => pairs[a][0] - pairs[b][0] || a - b);
  const order = new Int32Array(pairs.length), ids = new Int32Array(pairs.length);
  const rows: number[] = [], starts: number[] = [];
  sorted.forEach((pair, at) => {
    const [row, id] = pairs[pair];
    order[pair] = at;
    ids[at] = id;
    if (row !== rows.at(-1)) {
      rows.push(row);
      starts.push(at);
    }
  });
  starts.push(pairs.length);
  const tensors = [Int32Array.from(rows), Int32Array.from(starts), ids].map((v) =>
    upload(device, v, [v.length])
  );
  return {
    rows: tensors[0],
    pairStarts: tensors[1],
    ids: tensors[2],
    rowCount: rows.length,
    pairCount: pairs.length,
    largestRow,
    largestId,
    order,
    ...owner(() => tensors.forEach((t) => t.dispose())),
  };
}

/** What the forward pass returns and the gradient needs. */
export interface LinearLogprob extends Owner {
  /** [P] log-probs in nats, in the order of `labels.ids`. */
  readonly logprobs: Tensor;
  /** [R] log Σ_v exp(logit). */
  readonly lse: Tensor;
  /** [R] the largest logit. */
  readonly largest: Tensor;
  /** [R·V] exp(logit − largest) where one chunk holds them all; the gradient uses it up. */
  kept?: Tensor | undefined;
  /** Bytes of logits alive at once. */
  readonly chunkBytes: number;
}

/** 16 MiB: 4 million logits, enough to fill any GPU, and little beside a model. */
const CHUNK_BYTES = 16 * 2 ** 20;
/**
 * On a CPU a chunk that stays in its cache: at 5,760 rows of 4,096 labels the element-wise work takes 190 ms with 1 MiB
 * and 700 ms with 16.
 */
const CACHE_BYTES = 2 ** 20;

/**
 * Log-probs of labels under a linear head, without ever holding all logits.
 *
 *   logprob(row, id) = h_row·W_id − log Σ_v exp(h_row·W_v)
 *
 * The vocabulary goes by in chunks, with a running maximum and sum per row (Milakov & Gimelshein, arXiv 1805.02867);
 * only rows that carry a label are computed.
 *
 * @param hidden [N, D]
 * @param weight [V, D]: the head, or the embedding when they are tied
 * @param options `labels`: what to score; `chunkBytes`: most bytes of logits alive at once (16 MiB; on WASM 1 MiB where they do
 * not all fit 16); `keep`: keep them for the gradient where
 * one chunk holds all (true), which saves it from computing them again
 * @throws {InputError} when a label's row or id is out of range
 */
export function linearLogprob(
  hidden: Tensor,
  weight: Tensor,
  options: {
    readonly labels: Labels;
    readonly chunkBytes?: number | undefined;
    readonly keep?: boolean;
  },
): LinearLogprob {
  const { labels, keep = true } = options;
  const [n, d] = hidden.shape as [number, number], v = weight.shape[0];
  const all = labels.rowCount * v * 4;
  const { chunkBytes = hidden.device.name === "wasm" && all > CHUNK_BYTES ? CACHE_BYTES : CHUNK_BYTES } =
    options;
  if (labels.largestId >= v) {
    throw new InputError(`Cannot score label ${labels.largestId}: the head has ${v} labels`);
  }
  if (labels.largestRow >= n) {
    throw new InputError(`Cannot score a label of row ${labels.largestRow}: there are ${n} rows`);
  }
  const { rowCount: r, pairStarts, ids } = labels;
  const logprobs = empty(hidden.device, [labels.pairCount]),
    lse = empty(hidden.device, [r]),
    largest = empty(hidden.device, [r]);
  const result: LinearLogprob = {
    logprobs,
    lse,
    largest,
    chunkBytes,
    ...owner(() => {
      [logprobs, lse, largest, result.kept].forEach((t) => t?.dispose());
      result.kept = undefined;
    }),
  };
  if (r === 0) return result;
  const h = labelledRows(hidden, labels), sums = empty(hidden.device, [r]);
  const size = chunkSize(hidden.device, { r, v, d, chunkBytes });
  const whole = keep && size.rows >= r && size.labels >= v;
  const chunk = empty(hidden.device, [Math.min(size.rows, r) * Math.min(size.labels, v)]);
  for (const place of chunks({ r, v, ...size })) {
    chunkLogits({ h, weight, chunk }, place);
    reduceChunk({ chunk, pairStarts, ids, largest, sums, lse, logprobs }, {
      ...place,
      last: place.label + place.labels === v,
      keep: whole,
    });
  }
  sums.dispose();
  if (h !== hidden) h.dispose();
  if (whole) result.kept = chunk;
  else chunk.dispose();
  return result;
}

/**
 * Gradient of {@linkcode linearLogprob}. With g the derivative of each pair's log-prob,
 *
 *   dlogits[r, v] = Σ_pairs g·1[v = id] − (Σ_pairs g)·softmax[r, v],   dh = dlogits·W,   dW += dlogitsᵀ·h
 *
 * @param forward what the forward pass returned; logits it kept are used up, and computed again by a second call
 * @param dlogprobs [P]
 * @param options what the forward pass was given; `dweight` [V, D] is added to in place (absent for a frozen head)
 * @returns dhidden [N, D], zero in rows without a label
 */
export function linearLogprobGradient(
  forward: LinearLogprob,
  dlogprobs: Tensor,
  options: {
    readonly hidden: Tensor;
    readonly weight: Tensor;
    readonly labels: Labels;
    readonly dweight?: Tensor | undefined;
  },
): Tensor {
  const { hidden, weight, labels, dweight } = options;
  const { rowCount: r, pairStarts, ids } = labels;
  const { lse, largest, kept, chunkBytes } = forward;
  const [n, d] = hidden.shape as [number, number], v = weight.shape[0];
  if (r === 0) return zeros(dlogprobs.device, [n, d]);
  const h = labelledRows(hidden, labels), dh = empty(dlogprobs.device, [r, d]);
  const size = kept ? { rows: r, labels: v } : chunkSize(hidden.device, { r, v, d, chunkBytes });
  const chunk = kept ?? empty(dlogprobs.device, [Math.min(size.rows, r) * Math.min(size.labels, v)]);
  for (const place of chunks({ r, v, ...size })) {
    if (!kept) chunkLogits({ h, weight, chunk }, place);
    chunkGradient({ chunk, pairStarts, ids, largest, lse, dlogprobs }, {
      ...place,
      kept: kept !== undefined,
    });
    const { row, rows, label, labels: width } = place;
    const dlogits = chunkOf(chunk, place), w = rowsOf(weight, label, width);
    gemm({ a: dlogits, b: w, c: rowsOf(dh, row, rows) }, { m: rows, n: d, k: width, add: label > 0 });
    if (dweight) {
      gemm({ a: dlogits, b: rowsOf(h, row, rows), c: rowsOf(dweight, label, width) }, {
        m: width,
        n: d,
        k: rows,
        transposeA: true,
        add: true,
      });
    }
  }
  chunk.dispose();
  forward.kept = undefined;
  if (h === hidden) return dh; // every row has a label, in order
  h.dispose();
  const dhidden = empty(dlogprobs.device, [n, d]);
  fillZero(dhidden);
  moveRows("scatter", { from: dh, to: dhidden, rows: labels.rows });
  dh.dispose();
  return dhidden;
}

/** The rows of hidden that carry a label: [R, D]; hidden itself when all do. */
function labelledRows(hidden: Tensor, labels: Labels): Tensor {
  const [n, d] = hidden.shape;
  if (labels.rowCount === n) return hidden;
  const h = empty(hidden.device, [labels.rowCount, d!]);
  moveRows("gather", { from: hidden, to: h, rows: labels.rows });
  return h;
}

/** chunk ← h·Wᵀ of one place. */
function chunkLogits(
  { h, weight, chunk }: { readonly h: Tensor; readonly weight: Tensor; readonly chunk: Tensor },
  place: ChunkPlace,
): void {
  const { row, rows, label, labels } = place;
  gemm({ a: rowsOf(h, row, rows), b: rowsOf(weight, label, labels), c: chunkOf(chunk, place) }, {
    m: rows,
    n: labels,
    k: h.shape[1]!,
    transposeB: true,
  });
}

function chunkOf(chunk: Tensor, { rows, labels }: ChunkPlace) {
  return { tensor: chunk, offset: 0, length: rows * labels };
}

/**
 * How many rows and labels a chunk has: all rows and as many labels as fit, since every further chunk of labels reads
 * dh once more (R·D) but every further chunk of rows reads the whole dW (V·D); blocks of rows only where fewer than
 * 1,024 labels would be left. Multiples of 64, so that a slice of any matrix starts on a binding's boundary.
 */
function chunkSize(
  device: Device,
  { r, v, d, chunkBytes }: { r: number; v: number; d: number; chunkBytes: number },
): { rows: number; labels: number } {
  const bound = bindingElements(device), floats = Math.min(chunkBytes / 4, bound);
  const few = (count: number) => Math.max(64, Math.floor(count / 64) * 64);
  const byBinding = few(bound / d);
  const labels = Math.min(v, few(Math.max(floats / r, Math.min(1024, floats / 64))), byBinding);
  return { rows: Math.min(r, few(floats / labels), byBinding), labels };
}

/** The chunks: for each block of rows its labels in ascending order. */
function* chunks(
  { r, v, rows, labels }: { r: number; v: number; rows: number; labels: number },
): Generator<ChunkPlace> {
  for (let row = 0; row < r; row += rows) {
    for (let label = 0; label < v; label += labels) {
      yield { row, rows: Math.min(rows, r - row), label, labels: Math.min(labels, v - label) };
    }
  }
}
