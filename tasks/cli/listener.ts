/** What the command line makes of what a library function says: lines and bars on standard error. */

import type { Listener, ProgressEvent } from "../../lib/runtime/listener.ts";
import { writeError } from "../../lib/runtime/stdio.ts";
import { inFlags } from "./words.ts";
import { createProgress, formatDuration, type Progress } from "./progress.ts";

/** How to show it. */
export interface ShownOptions {
  /** The task's name: it begins every warning. */
  readonly task: string;
  /** Whether notes and progress are left out. */
  readonly quiet: boolean;
  /** Whether details are shown. */
  readonly debug: () => boolean;
  /** Whether warnings are left out too (default false). */
  readonly silent?: boolean;
  /** The total of a part that does not know it: `--limit`, say. */
  readonly total?: number | undefined;
}

/** A listener that shows everything on standard error; at its end the last bar stays as it is. */
export type ShownListener = { readonly [K in keyof Listener]-?: NonNullable<Listener[K]> } & Disposable;

/** Milliseconds that loading or saving may take before it gets a bar. */
const PATIENCE = 2000;

/** A listener of a task. */
export function createListener({ task, quiet, debug, silent, total }: ShownOptions): ShownListener {
  let part: string | undefined, bar: Progress | undefined, begun = 0, ended = false;
  const stop = () => {
    bar?.stop();
    bar = undefined;
  };
  const download = downloadLines((line) => quiet ? undefined : writeError(line));
  return {
    note: (line) => quiet ? undefined : writeError(inFlags(line)),
    warn: (line) => silent ? undefined : writeError(`${task}: ${inFlags(line)}`),
    detail: (line) => debug() ? writeError(line) : undefined,
    metrics: () => {},
    progress(event) {
      if (event.unit === "bytes") return download(event);
      if (event.part !== part) {
        stop();
        part = event.part;
        begun = performance.now();
        ended = false;
      }
      if (ended) return;
      if (/\b(load|save)$/.test(event.part) && performance.now() - begun < PATIENCE) return;
      bar ??= createProgress(event.part, { total: event.total ?? total, quiet });
      const all = event.left === undefined ? {} : { "all done in": formatDuration(event.left) };
      bar.update(event.done, { tokens: event.tokens, ...event.values, ...all });
      ended = event.done >= (event.total ?? total ?? Infinity);
      if (ended) stop(); // what is noted next comes after it
    },
    [Symbol.dispose]: stop,
  };
}

/** A line at each file's beginning and every five seconds; small files have none. */
function downloadLines(write: (line: string) => void): (event: ProgressEvent) => void {
  let last = "", spoken = -Infinity;
  return ({ part, done, total = 0 }) => {
    const now = performance.now();
    if (total < 1e6 || part === last && now - spoken < 5000 && done < total) return;
    last = part;
    spoken = now;
    const [there, all] = [done, total].map((n) => (n / 1e6).toFixed(1));
    write(`Downloading ${part}: ${there} of ${all} MB (${Math.floor(100 * done / total)}%)`);
  };
}
