/** How long a call keeps this process busy, measured so that what else the machine does cannot fail a test. */

import assert from "node:assert/strict";
import process from "node:process";

/** Milliseconds of processor time of this process while a call runs. */
export function busyMilliseconds(call: () => void): number {
  const began = process.cpuUsage();
  call();
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1000;
}

/**
 * That a call on a text takes less than so many milliseconds of processor time. On a slow machine it may take longer,
 * if an eighth of the text takes no less than a twentieth of it: in quadratic time that would be a sixty-fourth.
 *
 * @param of the call, for a text of the whole size or a part of it
 */
export function assertLinear(
  name: string,
  most: number,
  of: { readonly whole: () => void; readonly eighth: () => void },
): void {
  for (let tries = 3, seen = ""; tries > 0; tries--) {
    const whole = busyMilliseconds(of.whole);
    if (whole < most) return;
    const eighth = busyMilliseconds(of.eighth);
    if (whole < 20 * eighth) return;
    seen += ` ${whole.toFixed(0)} ms, an eighth of it ${eighth.toFixed(0)} ms;`;
    assert.ok(tries > 1, `${name} takes${seen} expected less than ${most} ms, or growth with the text`);
  }
}
