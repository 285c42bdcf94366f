import type { WebgpuDevice } from "../../lib/backend/device.ts";
import { startGpuTimer } from "../../lib/backend/gpu_timer.ts";
import { profile } from "../../lib/backend/profile.ts";

/** What one call of something takes. */
export interface Timed {
  /** Milliseconds by the device's own clock; absent where it has none, or where that says nothing. */
  readonly device?: number;
  /** Milliseconds as a program waits, of many calls in a row. */
  readonly wall: number;
  /** Launches of a call. */
  readonly launches: number;
}

/** Something that is recorded on the device; returns what is then to be freed. */
export type Call = () => readonly { dispose(): void }[];

/** Most calls that are timed by the device's clock: each launch writes two timestamps. */
const DEVICE_CALLS = 16;

/**
 * Times a call: once to warm up, then twice as many in a row until they take `target` milliseconds, and a few by the
 * device's own clock.
 */
export async function time(device: WebgpuDevice, call: Call, target: number): Promise<Timed> {
  const repeat = async (count: number) => {
    const start = performance.now();
    for (let i = 0; i < count; i++) call().forEach((made) => made.dispose());
    await device.finish();
    return performance.now() - start;
  };
  const before = profile.total();
  await repeat(1);
  const launches = profile.total() - before;
  let count = 1, elapsed = await repeat(count);
  while (elapsed < target && count < 2 ** 14) elapsed = await repeat(count *= 2);
  const wall = elapsed / count;
  if (!device.features.has("timestamp-query")) return { wall, launches };
  profile.milliseconds.clear();
  const timer = startGpuTimer(), timed = Math.min(count, DEVICE_CALLS);
  for (let i = 0; i < timed; i++) call().forEach((made) => made.dispose());
  await timer.finish();
  const own = [...profile.milliseconds.values()].reduce((sum, ms) => sum + ms, 0) / timed;
  profile.milliseconds.clear();
  return own > 0 ? { device: own, wall, launches } : { wall, launches };
}

/** The middle of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
