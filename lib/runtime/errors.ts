/**
 * The two kinds of failure that a user meets. Everything else that is thrown is a defect and may show a stack.
 */

import { oneLine } from "./one_line.ts";

/** Work that failed on its input or on the machine: one line that names what, where and what was expected. Exit code 1. */
export class InputError extends Error {
  /** "InputError". */
  override name = "InputError";
  /** What the process exits with. */
  readonly exitCode: number = 1;

  /** Makes one line that a terminal can show of `message`, which may quote what was read. */
  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** A command, an option or a configuration that is wrong: found before any work starts. Exit code 2. */
export class UsageError extends InputError {
  /** "UsageError". */
  override name = "UsageError";
  /** What the process exits with. */
  override readonly exitCode: number = 2;
}
