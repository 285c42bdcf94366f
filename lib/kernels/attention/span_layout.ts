import type { Device, Tensor } from "../../backend/device.ts";
import { type Owner, owner, upload } from "../../backend/tensors.ts";

/**
 * A run of token rows that follow each other in one sequence: a prompt, or one response behind it.
 *
 * Row i of the segment attends to the keys `sharedStart…sharedEnd` (its question's prompt; empty for a prompt) and to
 * its own `start…i`. With a sliding window of W positions, only to keys less than W positions back.
 */
export interface Segment {
  /** First row. */
  readonly start: number;
  /** One past the last row. */
  readonly end: number;
  /** First key row of the shared range. */
  readonly sharedStart: number;
  /** One past the last key row of the shared range. */
  readonly sharedEnd: number;
}

/** Which keys each query row attends to: the only description of attention there is. */
export interface SpanLayout extends Owner {
  /** Query rows, N, padding included. */
  readonly rows: number;
  /** Key rows, M: N in training and prefill, the cache's rows in decoding. */
  readonly keyRows: number;
  /** Per query row: sharedStart, sharedEnd, ownStart, ownEnd, as key rows. Padding rows have empty ranges. [N, 4] int32 */
  readonly querySpans: Tensor;
  /** Per key row: the first and one past the last query row that may attend to it. [N, 2] int32; absent in decoding. */
  readonly keySpans?: Tensor;
  /** The segments, on the host; absent in decoding. With a window, spans are narrower than segments say. */
  readonly segments?: readonly Segment[];
  /** Sliding window in positions; 0 for none. */
  readonly window: number;
}

/**
 * The layout of training, scoring and prefill: queries and keys are the same rows.
 *
 * @param segments in row order, not overlapping
 * @param options `rows`, N with padding; `window`, sliding window in positions, 0 for none
 */
export function spanLayout(
  segments: readonly Segment[],
  options: { readonly rows: number; readonly window?: number; readonly device: Device },
): SpanLayout {
  const { rows, window = 0, device } = options;
  const queries = new Int32Array(rows * 4), keys = new Int32Array(rows * 2);
  for (const { start, end, sharedStart, sharedEnd } of segments) {
    const shared = sharedEnd - sharedStart;
    for (let i = start; i < end; i++) {
      const position = shared + i - start;
      const oldest = window > 0 ? Math.max(0, position - window + 1) : 0; // first position still in the window
      queries[4 * i] = Math.min(sharedEnd, sharedStart + oldest);
      queries[4 * i + 1] = sharedEnd;
      queries[4 * i + 2] = start + Math.max(0, oldest - shared);
      queries[4 * i + 3] = i + 1;
      keys[2 * i] = i;
      keys[2 * i + 1] = end;
    }
    // Segments come in row order, so the last that shares a key sets how far its queries reach.
    for (let j = sharedStart; j < sharedEnd; j++) keys[2 * j + 1] = end;
  }
  const querySpans = upload(device, queries, [rows, 4]), keySpans = upload(device, keys, [rows, 2]);
  return {
    rows,
    keyRows: rows,
    querySpans,
    keySpans,
    segments,
    window,
    ...owner(() => {
      querySpans.dispose();
      keySpans.dispose();
    }),
  };
}

/**
 * The layout of decoding: one query row a live sequence, keys in a cache.
 *
 * @param spans sharedStart, sharedEnd, ownStart, ownEnd of each row, as cache rows
 * @param keyRows rows of the cache
 */
export function decodingLayout(
  device: Device,
  { spans, keyRows }: { readonly spans: Int32Array; readonly keyRows: number },
): SpanLayout {
  const querySpans = upload(device, spans, [spans.length / 4, 4]);
  return { rows: spans.length / 4, keyRows, querySpans, window: 0, ...owner(() => querySpans.dispose()) };
}
