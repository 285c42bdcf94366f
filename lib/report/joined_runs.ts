/** Several runs of `align` as one table. */

import type { Summary } from "../evaluate/summary.ts";
import { InputError } from "../runtime/errors.ts";

/** A finished run. */
export interface FinishedAlign {
  /** Its folder. */
  readonly folder: string;
  /** What was measured of its models. */
  readonly rows: readonly (Summary & { readonly name: string })[];
  /** What was asked for, by option; undefined where that was not kept. */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

/** Options that say how to go about a run, or which of several alike it is: not what is compared. */
const aside = new Set([
  ...[
    "seed",
    "out",
    "resume",
    "overwrite",
    "quiet",
    "debug",
    "profile",
    "backend",
    "micro-batch",
    "recompute",
  ],
  ...["log-every", "tensorboard", "threads", "data-directory"],
]);

/** Options by the names of flags, without those that do not matter here. */
function compared(options: Readonly<Record<string, unknown>>, seed = false): Map<string, string> {
  const names = Object.entries(options).map(([name, value]): [string, string] => [
    name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    value === null || value === undefined
      ? "none"
      : typeof value === "string"
      ? value
      : JSON.stringify(value),
  ]);
  return new Map(names.filter(([name]) => !aside.has(name) || seed && name === "seed"));
}

/** How a run differs from another: "it was run with --limit 64, not 640"; undefined where they are alike. */
export function unlikeness(one: FinishedAlign, other: FinishedAlign): string | undefined {
  const models = (run: FinishedAlign) => run.rows.map(({ name }) => name).join(", ");
  if (models(one) !== models(other)) return `it has the models ${models(one)}, not ${models(other)}`;
  if (!one.options || !other.options) return undefined;
  const [is, was] = [compared(one.options), compared(other.options)];
  for (const name of new Set([...was.keys(), ...is.keys()])) {
    const [now, before] = [is.get(name) ?? "none", was.get(name) ?? "none"];
    if (now !== before) return `it was run with --${name} ${now}, not ${before}`;
  }
  return undefined;
}

/** Whether a run repeats another: the same seed of the same run, with the same results. */
export function repeats(one: FinishedAlign, other: FinishedAlign): boolean {
  if (JSON.stringify(one.rows) !== JSON.stringify(other.rows)) return false;
  const seed = (run: FinishedAlign) => run.options && compared(run.options, true).get("seed");
  return seed(one) === seed(other);
}

/**
 * The runs that one table may join: each once, all alike.
 *
 * @param mixed whether runs that differ are joined all the same
 * @returns the runs, and what a person should know
 * @throws {InputError} for a run that differs, unless `mixed`
 */
export function joinable(
  runs: readonly FinishedAlign[],
  { mixed }: { readonly mixed: boolean },
): { readonly runs: readonly FinishedAlign[]; readonly warnings: readonly string[] } {
  const taken: FinishedAlign[] = [], warnings: string[] = [];
  for (const run of runs) {
    const same = taken.find((other) => repeats(run, other));
    if (same) {
      warnings.push(`${run.folder} is the same run as ${same.folder}: it counts once`);
      continue;
    }
    const first = taken[0], differs = first && unlikeness(run, first);
    if (differs !== undefined) {
      const line = `${run.folder} is no run like ${first!.folder}: ${differs}`;
      const models = /^it has the models/.test(differs);
      if (!mixed || models) {
        throw new InputError(`Cannot join: ${line}${models ? "" : "; option `mixed` joins them"}`);
      }
      warnings.push(line);
    }
    taken.push(run);
  }
  return { runs: taken, warnings };
}
