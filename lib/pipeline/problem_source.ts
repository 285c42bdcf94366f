import { loadDataset } from "../data/load_dataset.ts";
import type { ReadOptions } from "../data/normalize_record.ts";
import type { Problem } from "../data/records.ts";
import type { Listener } from "../runtime/listener.ts";

/** Problems by a data set's name or a file, or from anywhere else: they are read several times. */
export type ProblemSource = string | (() => AsyncIterable<Problem>);

/** What is taken from a source. */
export interface TakenProblems {
  /** The split where a name has none. */
  readonly split: string;
  /** At most so many. */
  readonly limit: number;
  /** Of mixtures. */
  readonly seed: number;
  /** Where named data sets lie. */
  readonly directory: string | undefined;
  /** How the records of a named source are read. */
  readonly fields?: ReadOptions["fields"] | undefined;
  readonly answerIndex?: ReadOptions["answerIndex"] | undefined;
  readonly listener?: Listener | undefined;
  readonly signal: AbortSignal | undefined;
}

/** The problems of a source, to be read as often as needed. */
export function problemsFrom(source: ProblemSource, options: TakenProblems): () => AsyncIterable<Problem> {
  const { split, limit, seed, directory, fields, answerIndex, listener, signal } = options;
  if (typeof source !== "string") return () => taken(source(), limit);
  return () =>
    loadDataset(source, {
      ...{ split, limit, seed },
      ...(directory !== undefined && { directory }),
      ...(fields && { fields }),
      ...(answerIndex && { answerIndex }),
      ...(listener && { listener }),
      ...(signal && { signal }),
    });
}

async function* taken<T>(items: AsyncIterable<T>, count: number): AsyncGenerator<T> {
  let left = count;
  for await (const item of items) {
    yield item;
    if (--left <= 0) return;
  }
}
