/**
 * The two kinds of failure that a user meets. Everything else that is thrown is a defect and may show a stack.
 */

import { oneLine } from "./one_line.ts";

/**
 * What failed, for a program that asks; `fields` of the error has what is listed.
 *
 * | code | fields | |
 * |---|---|---|
 * | `input` | | what was read, or the machine; of an {@linkcode InputError} that says no more |
 * | `usage` | | an option or a configuration; of a {@linkcode UsageError} that says no more |
 * | `option` | `option`, `value`, `expected` | an option's value |
 * | `file` | `path`, `reason` | the file system's own code for why: `ENOENT`; Deno's `NotCapable` |
 * | `no-feedback` | `objective`, `id`, `wanted` | a record's candidates lack labels, ranks or rewards |
 * | `no-reference-logprobs` | `objective` | candidates lack log-probs of the model before training |
 * | `no-adapter` | | a GPU was asked for, and there is none |
 */
export type ErrorCode =
  | "input"
  | "usage"
  | "option"
  | "file"
  | "no-feedback"
  | "no-reference-logprobs"
  | "no-adapter";

/** What a program can know of a failure beside its line. */
export interface ErrorDetails extends ErrorOptions {
  /** What failed (default: "input" or "usage", by the error's class). */
  readonly code?: ErrorCode;
  /** What it is about: see {@linkcode ErrorCode}. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** Work that failed on its input or on the machine: one line that names what, where and what was expected. */
export class InputError extends Error {
  /** "InputError". */
  override name = "InputError";
  /** What failed. */
  readonly code: ErrorCode;
  /** What it is about, by name. */
  readonly fields: Readonly<Record<string, unknown>>;

  /** Makes one line that a terminal can show of `message`, which may quote what was read. */
  constructor(message: string, { code = "input", fields = {}, ...options }: ErrorDetails = {}) {
    super(oneLine(message), options);
    this.code = code;
    this.fields = fields;
  }
}

/** A command, an option or a configuration that is wrong: found before any work starts. */
export class UsageError extends InputError {
  /** "UsageError". */
  override name = "UsageError";

  /** Makes one line, as {@linkcode InputError} does. */
  constructor(message: string, details: ErrorDetails = {}) {
    super(message, { code: "usage", ...details });
  }
}
