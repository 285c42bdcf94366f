/** The library's words in the command line's: it names options, we name flags. */

import { asCalled } from "./called_as.ts";

/** Options of the library whose flag has another name. */
const flags: Readonly<Record<string, string>> = {
  microBatchTokens: "micro-batch",
  unknown: "unknown-tensors",
  directory: "data-directory",
  "evaluation.data": "eval-data",
  "evaluation.share": "eval-share",
  "evaluation.every": "eval-every",
  "evaluation.answers": "eval-generate",
  "evaluation.keepBest": "keep-best",
  "evaluation.patience": "patience",
};

/** A line of the library, in which "option `batchSize`" stands for `--batch-size`. */
export function inFlags(line: string): string {
  return asCalled(line).replace(
    /\boption `([A-Za-z.-]+)(?:: ([^`]+))?`/g,
    (_, name: string, value?: string) => {
      const flag = flags[name] ?? name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      return `--${flag}${value === undefined ? "" : ` ${value}`}`;
    },
  );
}
