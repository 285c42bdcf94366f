import type { SpanLayout } from "./span_layout.ts";

/** Query rows of one segment, and the keys of that segment that any of them attends to. */
export interface Piece {
  /** First row. */
  readonly start: number;
  /** One past the last row. */
  readonly end: number;
  /** First own key. */
  readonly ownLow: number;
  /** One past the last own key. */
  readonly ownHigh: number;
}

/** Adjacent pieces whose scores are computed together: one product serves all of them on the keys they share. */
export interface Block {
  /** First row. */
  readonly start: number;
  /** One past the last row. */
  readonly end: number;
  /** First shared key that a row attends to. */
  readonly sharedLow: number;
  /** One past the last shared key. */
  readonly sharedHigh: number;
  /** In row order. */
  readonly pieces: readonly Piece[];
  /** Column of the first own key: the shared ones before it, rounded up to 4. */
  readonly ownAt: number;
  /** Elements of a row of scores, a multiple of 4. */
  readonly stride: number;
}

/** Elements of one array of scores: two of them, 512 KiB, stay in the second cache between their products. */
const BLOCK_ELEMENTS = 1 << 16;
/**
 * Rows of a piece. Half a tile for each of its rows is computed above the diagonal in vain, while small products are
 * slow: of 16…128 rows, 24 to 48 were the fastest with OpenBLAS and without, for segments of 120 and of 600 rows.
 */
const TILE = 32;

const plans = new WeakMap<SpanLayout, readonly Block[]>();

/** How the rows of a layout with segments are cut, in row order. */
export function planBlocks(layout: SpanLayout): readonly Block[] {
  let plan = plans.get(layout);
  if (!plan) plans.set(layout, plan = makeBlocks(layout));
  return plan;
}

const up4 = (n: number) => (n + 3) & ~3;

function makeBlocks({ segments = [], window }: SpanLayout): Block[] {
  const blocks: Block[] = [];
  let pieces: Piece[] = [], sharedStart = 0, sharedLow = 0, sharedHigh = 0, stride = 0;
  const close = () => {
    if (pieces.length === 0) return;
    const start = pieces[0].start, end = pieces[pieces.length - 1].end;
    blocks.push({ start, end, sharedLow, sharedHigh, pieces, ownAt: up4(sharedHigh - sharedLow), stride });
    pieces = [];
    stride = 0;
  };
  for (const segment of segments) {
    const { start, end } = segment, shared = segment.sharedEnd - segment.sharedStart;
    const follows = pieces.length > 0 && pieces[pieces.length - 1].end === start && shared > 0 &&
      segment.sharedStart === sharedStart && segment.sharedEnd === sharedHigh;
    if (!follows) {
      close();
      sharedStart = segment.sharedStart;
      sharedHigh = segment.sharedEnd;
      // The first row of a segment sees furthest back into the window.
      sharedLow = Math.min(sharedHigh, sharedStart + (window > 0 ? Math.max(0, shared - window + 1) : 0));
    }
    const ownAt = up4(sharedHigh - sharedLow);
    const rows = Math.min(TILE, Math.max(1, Math.floor(BLOCK_ELEMENTS / (ownAt + up4(end - start)))));
    for (let from = start; from < end; from += rows) {
      const to = Math.min(end, from + rows);
      const ownLow = window > 0 ? Math.max(start, from - window + 1) : start;
      const wide = Math.max(stride, ownAt + up4(to - ownLow));
      if (pieces.length > 0 && (to - pieces[0].start) * wide > BLOCK_ELEMENTS) close();
      pieces.push({ start: from, end: to, ownLow, ownHigh: to });
      stride = Math.max(stride, ownAt + up4(to - ownLow));
    }
  }
  close();
  return blocks;
}

/** The blocks in runs that follow each other: no key of one run is a key of another. */
export function withoutCommonKeys(blocks: readonly Block[]): Block[][] {
  const runs: Block[][] = [];
  let beyond = 0; // one past the last key of the run
  for (const block of blocks) {
    const { start, end, sharedLow, sharedHigh, pieces } = block;
    const first = Math.min(
      start,
      ...pieces.map(({ ownLow }) => ownLow),
      sharedHigh > sharedLow ? sharedLow : start,
    );
    if (runs.length > 0 && first < beyond) runs[runs.length - 1]!.push(block);
    else runs.push([block]);
    beyond = Math.max(beyond, end, sharedHigh);
  }
  return runs;
}
