import type { Segment } from "../kernels/attention/span_layout.ts";

/** One question's tokens: its prompt once, then each candidate's response, end token included. */
export interface TokenGroup {
  /** At least one token: the model has nothing to predict the first response token from otherwise. */
  readonly prompt: readonly number[];
  readonly responses: readonly (readonly number[])[];
}

/** Where one candidate's labels lie among the batch's labels. */
export interface LabelSpan {
  /** Index of the group in the list that was packed. */
  readonly group: number;
  /** Index of the response in its group. */
  readonly candidate: number;
  /** First label. */
  readonly start: number;
  /** One past the last label. */
  readonly end: number;
}

/**
 * A flat batch: no batch dimension and no padding between sequences.
 *
 *   [prompt, response 1, response 2, …] [prompt, …] …
 *
 * The last token of a response predicts nothing and has no row; its first token is predicted by the prompt's last row,
 * which therefore carries one label a response.
 */
export interface FlatBatch {
  /** Token ids. Rows from `tokens` on are padding: id 0, position 0, no labels. [N] */
  readonly ids: Int32Array;
  /** Position of each token in its own sequence: responses go on where their prompt ends. [N] */
  readonly positions: Int32Array;
  /** Rows that are not padding. */
  readonly tokens: number;
  /** Prompts and responses in row order. */
  readonly segments: readonly Segment[];
  /** Row and token id of every label, candidate after candidate. */
  readonly labels: ReadonlyArray<readonly [row: number, id: number]>;
  /** The labels of each candidate. */
  readonly spans: readonly LabelSpan[];
}

/** Rows that a group takes in a flat batch. */
export function groupRows(group: TokenGroup): number {
  return group.responses.reduce((sum, r) => sum + Math.max(0, r.length - 1), group.prompt.length);
}

/**
 * Lays groups out as one flat batch.
 *
 * @param groups at least one
 * @param pad the number of rows to fill up to, given the number needed (default: none)
 */
export function packFlat(
  groups: readonly TokenGroup[],
  pad: (rows: number) => number = (rows) => rows,
): FlatBatch {
  const tokens = groups.reduce((sum, g) => sum + groupRows(g), 0);
  const rows = pad(tokens);
  const ids = new Int32Array(rows), positions = new Int32Array(rows);
  const segments: Segment[] = [], labels: [number, number][] = [], spans: LabelSpan[] = [];
  let at = 0;
  groups.forEach(({ prompt, responses }, group) => {
    if (prompt.length === 0) throw new Error("A prompt needs at least one token");
    const sharedStart = at, sharedEnd = at + prompt.length;
    segments.push({ start: at, end: sharedEnd, sharedStart, sharedEnd: sharedStart });
    for (let i = 0; i < prompt.length; i++, at++) {
      ids[at] = prompt[i];
      positions[at] = i;
    }
    responses.forEach((response, candidate) => {
      const start = at, first = labels.length;
      for (let i = 0; i < response.length; i++) {
        labels.push([i === 0 ? sharedEnd - 1 : at - 1, response[i]]);
        if (i === response.length - 1) break;
        ids[at] = response[i];
        positions[at] = prompt.length + i;
        at++;
      }
      if (at > start) segments.push({ start, end: at, sharedStart, sharedEnd });
      spans.push({ group, candidate, start: first, end: labels.length });
    });
  });
  return { ids, positions, tokens, segments, labels, spans };
}

/** Which candidates of which group go into a micro-batch together. */
export interface Piece {
  readonly group: number;
  readonly candidates: readonly number[];
}

/** A micro-batch: its pieces, and whether every group in it is there whole. */
export interface MicroBatch {
  readonly pieces: readonly Piece[];
  /** When false, the scores of the missing candidates must be known before the backward pass. */
  readonly whole: boolean;
}

/**
 * Cuts a batch into micro-batches of at most `budget` rows, in order. A group that does not fit is cut between its
 * candidates, its prompt repeated in each piece; one candidate alone may exceed the budget.
 *
 * @param groups the whole optimizer batch
 * @param budget rows of a micro-batch
 */
export function planMicroBatches(groups: readonly TokenGroup[], budget: number): MicroBatch[] {
  const plan: MicroBatch[] = [];
  let pieces: Piece[] = [], rows = 0;
  const close = () => {
    if (pieces.length > 0) plan.push({ pieces, whole: true });
    pieces = [];
    rows = 0;
  };
  groups.forEach((group, index) => {
    const needed = groupRows(group), all = group.responses.map((_, i) => i);
    if (needed <= budget) {
      if (rows + needed > budget) close();
      pieces.push({ group: index, candidates: all });
      rows += needed;
      return;
    }
    close();
    let run: number[] = [], used = group.prompt.length;
    const cut = () => {
      plan.push({ pieces: [{ group: index, candidates: run }], whole: run.length === all.length });
      run = [];
      used = group.prompt.length;
    };
    for (const candidate of all) {
      const more = Math.max(0, group.responses[candidate].length - 1);
      if (run.length > 0 && used + more > budget) cut();
      run.push(candidate);
      used += more;
    }
    cut();
  });
  close();
  return plan;
}

/**
 * The smallest of a small set of sizes that holds `rows`: multiples of 1/8 of the next power of two, at least 32.
 * TF.js's buffer pool is keyed by exact size and never evicts, so on WebGPU every length must be one of few; at most
 * 12.5% of the rows are padding.
 */
export function bucketRows(rows: number): number {
  const step = Math.max(8, 2 ** Math.ceil(Math.log2(Math.max(1, rows))) / 16);
  return Math.max(32, Math.ceil(rows / step) * step);
}
