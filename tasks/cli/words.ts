/** The library's words in the command line's: it names options, we name flags. */

import { type ErrorCode, InputError, UsageError } from "../../lib/runtime/errors.ts";
import { asCalled } from "./called_as.ts";

/** Options of the library whose flag has another name. */
const flags: Readonly<Record<string, string>> = {
  microBatchTokens: "micro-batch",
  unknown: "unknown-tensors",
  directory: "data-directory",
  "evaluation.data": "eval-data",
  "evaluation.share": "eval-share",
  "evaluation.every": "eval-every",
  "evaluation.limit": "eval-limit",
  "evaluation.answers": "eval-generate",
  "evaluation.generate": "eval-generate",
  "evaluation.keepBest": "keep-best",
  "evaluation.patience": "patience",
};

/** A line of the library, in which "option `batchSize`" stands for `--batch-size`. */
export function inFlags(line: string): string {
  return asCalled(line).replace(
    /\b[Oo]ption `([A-Za-z.-]+)(?:: ([^`]+))?`/g,
    (_, name: string, value?: string) => {
      const flag = flags[name] ?? name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      return `--${flag}${value === undefined ? "" : ` ${value}`}`;
    },
  );
}

/** The command that helps, by what failed. */
const helps: Readonly<Partial<Record<ErrorCode, (fields: InputError["fields"]) => string>>> = {
  "no-feedback": ({ wanted }) =>
    (wanted as readonly string[]).includes("labels")
      ? "`deno task score` writes labels"
      : !(wanted as readonly string[]).includes("ranks")
      ? "`deno task score --label majority` writes shares of votes as rewards"
      : "`deno task score --rank steps` (or ratings, judge) writes ranks",
  "no-reference-logprobs": () => "`deno task score --model DIR` writes it",
  "no-adapter": () => "`deno task doctor` says what is missing",
};

/** What ended a task, as one line in the command line's words, with the command that helps. */
export function inWords(error: unknown): string {
  const line = (error instanceof Error ? error.message || error.name : String(error)).replace(
    /\s*\n\s*/g,
    " ",
  );
  const help = error instanceof InputError ? helps[error.code]?.(error.fields) : undefined;
  return inFlags(help === undefined ? line : `${line}; ${help}`);
}

/** What the process ends with: 2 when the command is wrong, 1 when its work failed. */
export function exitCodeOf(error: unknown): 1 | 2 {
  return error instanceof UsageError ? 2 : 1;
}
