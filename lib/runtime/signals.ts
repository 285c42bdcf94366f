/**
 * Ctrl-C and `kill`, as an AbortSignal.
 */

import process from "node:process";

/** Exit code of a process that was interrupted. */
export const interruptedExitCode = 130;

/** Thrown, and given as the signal's reason, when the user interrupts the work. */
export class InterruptedError extends Error {
  /** "InterruptedError". */
  override name = "InterruptedError";
}

/** Ctrl-C, `kill`, and the end of the terminal or the connection. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Sent where a file would be larger than the user may write (`ulimit -f`): the system ends whoever does not listen to it. */
const tooLarge = "SIGXFSZ";

/** A watch on SIGINT, SIGTERM and SIGHUP. */
export interface InterruptWatch extends Disposable {
  /** Aborts at the first of these signals, with an {@linkcode InterruptedError} as its reason. */
  readonly signal: AbortSignal;
  /** Gives the signals back to the runtime. */
  stop(): void;
}

/**
 * Turns SIGINT, SIGTERM and SIGHUP into an abort, so that the work can end at a good place (a checkpoint, a whole line).
 * A second signal ends the process at once, with exit code 130. A file over the user's limit is an error of whoever writes it,
 * and ends nothing by itself.
 */
export function watchInterrupts(): InterruptWatch {
  const controller = new AbortController();
  const interrupt = () => {
    if (controller.signal.aborted) process.exit(interruptedExitCode);
    controller.abort(new InterruptedError("Interrupted"));
  };
  for (const name of signals) process.on(name, interrupt);
  const leave = () => {}, limits = process.platform !== "win32";
  if (limits) process.on(tooLarge, leave);
  const stop = () => {
    signals.forEach((name) => process.off(name, interrupt));
    if (limits) process.off(tooLarge, leave);
  };
  return { signal: controller.signal, stop, [Symbol.dispose]: stop };
}

/** Calls `end`, which must be synchronous, when the process ends by itself or by `process.exit`. */
export function atExit(end: () => void): void {
  process.once("exit", end);
}
