/**
 * Progress of a long step on standard error: a bar on a terminal, a plain line every few seconds elsewhere, nothing
 * with `--quiet`.
 */

import { columns, endStatusLine, isTerminal, showStatusLine, writeError } from "../../lib/runtime/stdio.ts";

/** What to show at a step. */
export interface ProgressValues {
  /** Tokens worked on since the last update: shown as tokens per second. */
  readonly tokens?: number | undefined;
  /** Whatever else, by name: loss, accuracy; numbers with four significant digits. */
  readonly [name: string]: number | string | undefined;
}

/** How to show it. */
export interface ProgressOptions {
  /** The number that `done` will reach; undefined when nobody knows. */
  readonly total?: number | undefined;
  /** Shows nothing. Default false. */
  readonly quiet?: boolean;
  /** Seconds between two lines where there is no terminal. Default 5. */
  readonly every?: number;
  /** Whether to draw a bar. Default: standard error is a terminal. */
  readonly terminal?: boolean;
  /** Where the bar is drawn. Default the last line of standard error. */
  readonly bar?: { readonly show: (line: string) => void; readonly end: () => void };
  /** Where a line is written. Default standard error. */
  readonly write?: (line: string) => void;
  /** The clock, in milliseconds. Default `performance.now`. */
  readonly now?: () => number;
}

/** A running display. */
export interface Progress extends Disposable {
  /** Says that `done` of the total are done (not how many more), and what to show beside it. */
  update(done: number, values?: ProgressValues): void;
  /** Shows the last state and gives the terminal back. May be called twice. */
  stop(): void;
}

/** Seconds as people say them: "8s", "1m 20s", "2h 05m". */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
}

/** Rates are means over this many updates, so that they follow a change and do not jump. */
const windowLength = 20;

/** Updates within so many milliseconds of each other count as one. */
const burst = 50;

/** Length of the bar, in characters. */
const barLength = 24;

/** Milliseconds between two drawings of it. */
const drawEvery = 50;

/** Opens a display with the name of the step. */
export function createProgress(label: string, options: ProgressOptions = {}): Progress {
  const { total, quiet = false, every = 5, write = writeError, now = () => performance.now() } = options;
  if (quiet) return { update() {}, stop() {}, [Symbol.dispose]() {} };
  const window: { at: number; done: number; tokens: number }[] = [];
  let tokens = 0;
  let text = "";

  const describe = (done: number, { tokens: more = 0, ...values }: ProgressValues): string => {
    tokens += more;
    const entry = { at: now(), done, tokens }, previous = window.at(-1);
    // A batch's updates come all at once: they are one step, or the rate would be that of the loop over them.
    if (previous !== undefined && window.length > 1 && entry.at - previous.at < burst) window.pop();
    window.push(entry);
    if (window.length > windowLength) window.shift();
    const first = window[0] ?? entry, last = window.at(-1) ?? entry;
    const seconds = (last.at - first.at) / 1000;
    const parts = [total === undefined ? `${done}` : `${done}/${total}`];
    if (seconds >= burst / 1000 && last.tokens > first.tokens) {
      parts.push(`${Math.round((last.tokens - first.tokens) / seconds)} tokens/s`);
    }
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) continue;
      parts.push(`${name} ${typeof value === "number" ? Number(value.toPrecision(4)) : value}`);
    }
    if (total !== undefined && done < total && last.done > first.done && seconds >= burst / 1000) {
      parts.push(`ETA ${formatDuration((total - done) / ((last.done - first.done) / seconds))}`);
    }
    return parts.join(", ");
  };

  if (options.terminal ?? isTerminal("error")) {
    const { show, end } = options.bar ?? { show: showStatusLine, end: endStatusLine };
    let share = 0, drawn = -Infinity, stopped = false;
    let later: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      clearTimeout(later);
      later = undefined;
      drawn = performance.now();
      const full = Math.round(share * barLength);
      const bar = total === undefined ? "" : ` ${"█".repeat(full)}${"░".repeat(barLength - full)}`;
      // One character in the last column, and the next redraw would start a new line.
      show(`${label}${bar} ${text}`.slice(0, Math.max(1, columns("error") - 1)));
    };
    draw();
    const stop = () => {
      if (stopped) return;
      stopped = true;
      draw();
      end();
    };
    const update = (done: number, values: ProgressValues = {}) => {
      text = describe(done, values);
      share = total === undefined ? 0 : Math.min(1, done / Math.max(1, total));
      if (stopped || later !== undefined) return;
      const wait = drawn + drawEvery - performance.now();
      if (wait <= 0) return draw();
      later = setTimeout(draw, wait);
      (later as { unref?: () => void }).unref?.();
    };
    return { update, stop, [Symbol.dispose]: stop };
  }

  let lastLine = now();
  let written = true;
  const flush = () => {
    if (written) return;
    write(`${label} ${text}`);
    written = true;
    lastLine = now();
  };
  const update = (done: number, values: ProgressValues = {}) => {
    text = describe(done, values);
    written = false;
    if (now() - lastLine >= every * 1000) flush();
  };
  return { update, stop: flush, [Symbol.dispose]: flush };
}
