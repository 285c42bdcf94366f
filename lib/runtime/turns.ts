/** Computing that never waits would keep everything else waiting: signals, timers, other work. */

import { setImmediate } from "node:timers";

/** Milliseconds of computing between two turns of others: Ctrl-C and other ranks are heard then, and a turn costs some microseconds. */
const BETWEEN = 20;

/** Makes a function that lets others have their turn when they have waited for a fiftieth of a second. */
export function turns(): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < BETWEEN) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    last = performance.now();
  };
}
