/** What `align` returns. */

import type { Summary } from "../evaluate/summary.ts";

/** A row of the table: a model of the run and what was measured of it. */
export interface AlignRow {
  /** "vft", "control", "aft-dc"; later rounds have theirs in the name. */
  readonly name: string;
  /** The model's directory. */
  readonly directory: string;
  /** The round that made it; 0 for VFT. */
  readonly round: number;
  /** Tokens of the candidates that were kept and that it and those before it learned from; 0 for VFT and control. */
  readonly sampledTokens: number;
  /** What was measured of it on the test problems and their candidates. */
  readonly summary: Summary;
}

/** What `align` returns. */
export interface AlignResult {
  /** The run's folder. */
  readonly out: string;
  /** VFT first: what the others are compared with. */
  readonly rows: readonly AlignRow[];
  /** The same as text for a terminal. */
  readonly table: string;
  /** The page. */
  readonly report: string;
  /** What a person should know before the numbers, each once. */
  readonly warnings: readonly string[];
  /** Wall time of this call. */
  readonly seconds: number;
}
