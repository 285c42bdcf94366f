import type { Tensor } from "../../backend/device.ts";
import { SCRATCH } from "../../backend/threads.ts";
import { cpuOf } from "../_assembly.ts";
import { overRows } from "../_over_rows.ts";
import { sgemmIn, sgemmScratch } from "../product/_sgemm.ts";
import { type Block, planBlocks, withoutCommonKeys } from "./_blocks.ts";
import module from "../built/attention.wasm.ts";
import type { Attended, Heads, RowView } from "./shapes.ts";
import type { SpanLayout } from "./span_layout.ts";

/** Byte offset of a view's first element, and its row stride in bytes. */
interface Rows {
  readonly at: number;
  readonly stride: number;
}

const EMPTY = -1e30; // the log-sum-exp of nothing, as in assembly/attention.ts
const DECODE_CHUNK = 128; // CHUNK of assembly/attention.ts

/**
 * Training and prefill: products of blocks, the softmax between them in SIMD. Each head of each block is a unit of work,
 * whose scores stay in the scratch of the thread that does it.
 */
export function attendByBlocks(
  views: { readonly q: RowView; readonly k: RowView; readonly v: RowView },
  { out, lse }: Attended,
  { layout, heads, kvHeads, headDim: d, scale = 1 / Math.sqrt(d) }: Heads & { readonly layout: SpanLayout },
): void {
  const device = cpuOf(out), { pointer, threads } = device;
  const weights = threads.kernel(module, "weights"), scaleRows = threads.kernel(module, "scaleRows");
  const q = rowsOf(views.q), k = rowsOf(views.k), v = rowsOf(views.v);
  const width = heads * d, spans = pointer(layout.querySpans), o = pointer(out), l = pointer(lse);
  const ldq = q.stride / 4, ldk = k.stride / 4, ldv = v.stride / 4;
  const blocks = planBlocks(layout), [elements, rows] = largestBlock(blocks);
  const s = SCRATCH + sgemmScratch(device), inverse = s + elements * 4;
  const scale2 = scale * Math.LOG2E;
  threads.run(inverse + rows * 4 - SCRATCH, (job) => {
    const sgemm = sgemmIn(device, job);
    for (const { start, end, sharedLow, sharedHigh, pieces, ownAt, stride } of blocks) {
      const shared = sharedHigh - sharedLow;
      for (let h = 0; h < heads; h++) {
        job.unit();
        const head = Math.floor(h / (heads / kvHeads)) * d * 4;
        const qh = q.at + h * d * 4, kh = k.at + head, vh = v.at + head, oh = o + h * d * 4;
        const q0 = qh + start * q.stride, o0 = oh + start * width * 4;
        if (shared > 0) {
          const k0 = kh + sharedLow * k.stride;
          sgemm(false, true, end - start, shared, d, scale2, q0, ldq, k0, ldk, 0, s, stride);
        }
        for (const { start: a, end: b, ownLow, ownHigh } of pieces) {
          const own = ownHigh - ownLow, sa = s + (a - start) * stride * 4;
          const qa = qh + a * q.stride, k0 = kh + ownLow * k.stride;
          sgemm(false, true, b - a, own, d, scale2, qa, ldq, k0, ldk, 0, sa + ownAt * 4, stride);
          const to = inverse + (a - start) * 4, spansAt = spans + a * 16, lseAt = l + (a * heads + h) * 4;
          job.call(
            weights,
            sa,
            stride * 4,
            b - a,
            spansAt,
            sharedLow,
            shared,
            ownAt,
            ownLow,
            own,
            lseAt,
            heads * 4,
            to,
          );
        }
        if (shared > 0) {
          const v0 = vh + sharedLow * v.stride;
          sgemm(false, false, end - start, d, shared, 1, s, stride, v0, ldv, 0, o0, width);
        }
        for (const { start: a, end: b, ownLow, ownHigh } of pieces) {
          const sa = s + ((a - start) * stride + ownAt) * 4,
            v0 = vh + ownLow * v.stride,
            beta = shared > 0 ? 1 : 0;
          sgemm(
            false,
            false,
            b - a,
            d,
            ownHigh - ownLow,
            1,
            sa,
            stride,
            v0,
            ldv,
            beta,
            oh + a * width * 4,
            width,
          );
        }
        job.call(scaleRows, o0, width * 4, end - start, d, inverse);
      }
    }
  });
  fillGaps(layout, out, 0);
  fillGaps(layout, lse, EMPTY);
}

/** Decoding: few rows, each with keys of its own, in one kernel without any product of matrices. */
export function attendByRows(
  views: { readonly q: RowView; readonly k: RowView; readonly v: RowView },
  { out, lse }: Attended,
  { layout, heads, kvHeads, headDim: d, scale = 1 / Math.sqrt(d) }: Heads & { readonly layout: SpanLayout },
): void {
  const device = cpuOf(out), { pointer } = device;
  const q = rowsOf(views.q), k = rowsOf(views.k), v = rowsOf(views.v);
  const spans = new Int32Array(device.memory.buffer, pointer(layout.querySpans), 4 * layout.rows);
  let keys = 0;
  for (let i = 0; i < spans.length; i += 2) keys += spans[i + 1]! - spans[i]!;
  const each = heads * d * keys / layout.rows / 4;
  const scratchBytes = DECODE_CHUNK * 4 + heads * 8;
  overRows(device, { kernel: [module, "decode"], rows: layout.rows, each, scratchBytes }, (from, count) => [
    ...[q.at + from * q.stride, q.stride, k.at, k.stride, v.at, v.stride],
    pointer(layout.querySpans) + 16 * from,
    pointer(out) + 4 * from * heads * d,
    pointer(lse) + 4 * from * heads,
    ...[SCRATCH, count, heads, kvHeads, d, scale * Math.LOG2E],
  ]);
}

/**
 * The gradient by the same blocks: the scores are computed again, and five products made of each. A unit of work is what
 * adds to the same keys: the query heads that share them, over the blocks that do.
 */
export function gradientByBlocks(
  given: { readonly qkv: Tensor; readonly dout: Tensor; readonly dqkv: Tensor } & Attended,
  layout: SpanLayout,
  { heads, kvHeads, headDim: d, scale = 1 / Math.sqrt(d) }: Heads,
): void {
  const device = cpuOf(given.dqkv),
    { pointer, threads } = device,
    gradients = threads.kernel(module, "gradients");
  const width = heads * d, ld = (heads + 2 * kvHeads) * d, row = ld * 4, scale2 = scale * Math.LOG2E;
  const spans = pointer(layout.querySpans), l = pointer(given.lse);
  const qkv = pointer(given.qkv),
    dqkv = pointer(given.dqkv),
    out = pointer(given.out),
    dout = pointer(given.dout);
  const blocks = planBlocks(layout), [elements] = largestBlock(blocks);
  const s = SCRATCH + sgemmScratch(device), dp = s + elements * 4;
  fillRows(given.dqkv, 0, { start: 0, end: layout.rows });
  threads.run(dp + elements * 4 - SCRATCH, (job) => {
    const sgemm = sgemmIn(device, job);
    const of = (block: Block, h: number) => {
      const { start, end, sharedLow, sharedHigh, pieces, ownAt, stride } = block;
      const shared = sharedHigh - sharedLow, rows = end - start;
      const head = Math.floor(h / (heads / kvHeads));
      const qc = h * d * 4, kc = (heads + head) * d * 4, vc = (heads + kvHeads + head) * d * 4;
      const q0 = qkv + start * row + qc, do0 = dout + (start * width + h * d) * 4;
      if (shared > 0) {
        const k0 = qkv + sharedLow * row + kc, v0 = qkv + sharedLow * row + vc;
        sgemm(false, true, rows, shared, d, scale2, q0, ld, k0, ld, 0, s, stride);
        sgemm(false, true, rows, shared, d, 1, do0, width, v0, ld, 0, dp, stride);
      }
      for (const { start: a, end: b, ownLow, ownHigh } of pieces) {
        const own = ownHigh - ownLow, from = (a - start) * stride * 4, sa = s + from, dpa = dp + from;
        const so = sa + ownAt * 4, dpo = dpa + ownAt * 4;
        const qa = qkv + a * row + qc, first = ownLow * row, k0 = first + kc, v0 = first + vc;
        const cell = (a * width + h * d) * 4, n = b - a;
        sgemm(false, true, n, own, d, scale2, qa, ld, qkv + k0, ld, 0, so, stride);
        sgemm(false, true, n, own, d, 1, dout + cell, width, qkv + v0, ld, 0, dpo, stride);
        job.call(
          gradients,
          ...[sa, dpa, stride * 4, n, spans + a * 16, sharedLow, shared, ownAt, ownLow, own],
          ...[l + (a * heads + h) * 4, heads * 4, out + cell, dout + cell, width * 4, d, scale],
        );
        sgemm(false, false, n, d, own, 1, dpo, stride, qkv + k0, ld, 1, dqkv + a * row + qc, ld);
        sgemm(true, false, own, d, n, 1, dpo, stride, qa, ld, 1, dqkv + k0, ld);
        sgemm(true, false, own, d, n, 1, so, stride, dout + cell, width, 1, dqkv + v0, ld);
      }
      if (shared > 0) {
        const first = sharedLow * row, k0 = first + kc, v0 = first + vc;
        sgemm(false, false, rows, d, shared, 1, dp, stride, qkv + k0, ld, 1, dqkv + start * row + qc, ld);
        sgemm(true, false, shared, d, rows, 1, dp, stride, q0, ld, 1, dqkv + k0, ld);
        sgemm(true, false, shared, d, rows, 1, s, stride, do0, width, 1, dqkv + v0, ld);
      }
    };
    for (const group of withoutCommonKeys(blocks)) {
      for (let kv = 0; kv < kvHeads; kv++) {
        job.unit();
        for (const block of group) {
          for (let h = kv * heads / kvHeads; h < (kv + 1) * heads / kvHeads; h++) of(block, h);
        }
      }
    }
  });
}

function rowsOf({ tensor, stride, offset }: RowView): Rows {
  return { at: cpuOf(tensor).pointer(tensor) + offset * 4, stride: stride * 4 };
}

/** Elements of the largest array of scores, and rows of the longest block. */
function largestBlock(blocks: readonly Block[]): [number, number] {
  let elements = 0, rows = 0;
  for (const { start, end, stride } of blocks) {
    elements = Math.max(elements, (end - start) * stride);
    rows = Math.max(rows, end - start);
  }
  return [elements, rows];
}

/** Sets the rows that no segment covers, the padding, to one value. */
function fillGaps(layout: SpanLayout, tensor: Tensor, value: number): void {
  let at = 0;
  for (const { start, end } of layout.segments ?? []) {
    if (start > at) fillRows(tensor, value, { start: at, end: start });
    at = end;
  }
  if (at < layout.rows) fillRows(tensor, value, { start: at, end: layout.rows });
}

function fillRows(tensor: Tensor, value: number, { start, end }: { start: number; end: number }): void {
  const { memory, pointer } = cpuOf(tensor), width = tensor.shape[1]!;
  new Float32Array(memory.buffer, pointer(tensor) + start * width * 4, (end - start) * width).fill(value);
}
