/** An error on its way to another process or thread: what kind it is and its line, as JSON keeps them. */

import { type ErrorCode, InputError, UsageError } from "./errors.ts";
import { InterruptedError } from "./signals.ts";

/** What is told of an error. */
export interface ToldError {
  readonly kind: "usage" | "input" | "interrupted" | "other";
  readonly message: string;
  /** Of an {@linkcode InputError}: what failed, and what it is about. */
  readonly code?: ErrorCode;
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Of a defect: where it was thrown. */
  readonly stack?: string;
}

/** What to tell of an error. */
export function told(error: unknown): ToldError {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof InputError) {
    const { code, fields } = error;
    return { kind: error instanceof UsageError ? "usage" : "input", message, code, fields };
  }
  if (error instanceof InterruptedError) return { kind: "interrupted", message };
  return { kind: "other", message, ...(error instanceof Error && error.stack && { stack: error.stack }) };
}

/** The error again. */
export function heard({ kind, message, code, fields, stack }: ToldError): Error {
  const details = { ...(code && { code }), ...(fields && { fields }) };
  switch (kind) {
    case "usage":
      return new UsageError(message, details);
    case "input":
      return new InputError(message, details);
    case "interrupted":
      return new InterruptedError(message);
    case "other": {
      const error = new Error(message);
      if (stack) error.stack = stack;
      return error;
    }
  }
}
