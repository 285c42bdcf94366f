/**
 * Shards: parts of one run that are made apart, on machines that know nothing of each other, and joined again in order.
 *
 * Records are dealt in blocks, block b to shard 1 + b mod N. A shard's file holds what its records became, and ends in a
 * mark: which part it is, of what. What is computed of a record depends on its block alone (rounding depends on which rows
 * are multiplied together), so shards joined are the bytes of a run that was never split.
 */

/** Records that are computed together: none is computed with another of a different block. */
export const blockRecords = 32;

/** One of several parts. */
export interface Shard {
  /** Its number, from 1. */
  readonly part: number;
  /** How many parts there are. */
  readonly of: number;
}

/** The shard that a text says, `R/N` with 1 ≤ R ≤ N ≤ 99,999; undefined for any other text. */
export function parseShard(text: string): Shard | undefined {
  const [, part, of] = (/^([1-9]\d{0,4})\/([1-9]\d{0,4})$/.exec(text) ?? []).map(Number);
  return part !== undefined && of !== undefined && part <= of ? { part, of } : undefined;
}

/** The part, from 1, that a record belongs to; records are counted from 0. */
export function partOf(record: number, parts: number): number {
  return 1 + Math.floor(record / blockRecords) % parts;
}

/** How many of the first `records` records belong to a shard. */
export function shareOf({ part, of }: Shard, records: number): number {
  const round = blockRecords * of, rest = records % round - blockRecords * (part - 1);
  return Math.floor(records / round) * blockRecords + Math.min(Math.max(rest, 0), blockRecords);
}

/** The last line of a shard's file says this. */
export interface ShardMark extends Shard {
  /** Records of this part: the lines before the mark. */
  readonly records: number;
  /** Records of all parts together. */
  readonly total: number;
  /** SHA-256 over all of them, in hexadecimal digits. */
  readonly digest: string;
  /** What was asked for: the configuration of each step that they went through. */
  readonly asked: readonly object[];
}

/** The mark as the record that a file ends in. */
export function shardRecord(mark: ShardMark): object {
  return { shard: mark };
}

/** The mark in such a record; undefined for anything else. */
export function shardMarkIn(value: unknown): ShardMark | undefined {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 1) return undefined;
  const { part, of, records, total, digest, asked } =
    (value as { shard?: Partial<ShardMark> | null }).shard ??
      {};
  if (parseShard(`${part}/${of}`) === undefined || !isCount(total)) return undefined;
  const shard = { part: part!, of: of! };
  if (records !== shareOf(shard, total) || typeof digest !== "string") return undefined;
  const steps = Array.isArray(asked) && asked.length > 0 &&
    asked.every((step) => typeof step === "object" && typeof step?.options === "object" && step.options);
  return steps ? { ...shard, records, total, digest, asked } : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
