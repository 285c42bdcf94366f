/** What the project knows of a data set: one plain object each, listed by name in `datasets.ts`. */

import type { AnswerKind } from "./answers.ts";
import type { Problem } from "./records.ts";
import type { Where } from "./where.ts";

/** A row as a file holds it. */
export type RawRow = Readonly<Record<string, unknown>>;

/** Which problems of an embedded set. */
export interface EmbeddedOptions {
  /** One of the set's splits. */
  readonly split: string;
  /** Number of problems (default: the set's own). */
  readonly count?: number;
  /** Seed of the draw (default: the set's own). */
  readonly seed?: number;
}

/** A data set: where it is, how its rows read, and how its answers are asked for and found. */
export interface DataSet {
  /** What it is, in one line. */
  readonly about: string;
  /** Its splits; the first is the one to take where none is named and there is no "train". */
  readonly splits: readonly string[];
  /** What its answers are. */
  readonly kind: AnswerKind;
  /** Prompt template (`renderPrompt`). */
  readonly template: string;
  /** Last line of a response (`normalizeEnding`). */
  readonly ending: string;
  /** Where the hub has it: the data set's name there, and the folder of the files. */
  readonly hub?: { readonly repo: string; readonly folder: string };
  /** Makes the problems of a set that the project brings along. */
  readonly embedded?: (options: EmbeddedOptions) => Iterable<Problem>;
  /** Whether a row has the form in which this set is published. */
  readonly recognizes?: (row: RawRow) => boolean;
  /** Such a row as a record's fields, for `parseProblem`; what it does not understand it hands on as it is. */
  readonly read?: (row: RawRow, where: Where) => RawRow;
}
