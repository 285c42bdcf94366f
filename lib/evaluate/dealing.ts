/** How records are dealt over the ranks of a world: by blocks that keep a rank busy, and its share like the others'. */

import { blockRecords } from "../data/shards.ts";

/** By what is done with them. */
export const dealing = {
  /** A question has several candidates, which all are decoded at once; a rank reads some 36 questions ahead of its slots. */
  generate: { block: 4, ahead: 48 },
  /** What is computed together in one process is, too. */
  score: { block: blockRecords },
  /** As for `score`; a rank cannot wait for as many records as one process measures together. */
  evaluate: { block: 2 * blockRecords, apart: true },
} as const;
