import type { WebgpuDevice } from "../../backend/device.ts";
import { startGpuTimer } from "../../backend/gpu_timer.ts";
import { profile } from "../../backend/profile.ts";

/** Milliseconds that launches take together where the device has no clock of its own: a wait alone may take ten. */
const WALL = 40;

/**
 * Milliseconds of one of the calls, launches of which each records some: by the device's clock where it has one, else as
 * a program waits for many. What `profile` counts stays as it was.
 */
export async function timeLaunches(device: WebgpuDevice, call: () => void, calls: number): Promise<number> {
  const counts = new Map(profile.launches);
  try {
    return device.features.has("timestamp-query")
      ? await byDevice(call, calls) || await byWaiting(device, call, calls)
      : await byWaiting(device, call, calls);
  } finally {
    restore(profile.launches, counts);
  }
}

async function byDevice(call: () => void, calls: number): Promise<number> {
  const outer = profile.gpuTimestamps, times = new Map(profile.milliseconds);
  profile.milliseconds.clear();
  try {
    const timer = startGpuTimer();
    for (let i = 0; i < calls; i++) call();
    await timer.finish();
    let sum = 0;
    for (const ms of profile.milliseconds.values()) sum += ms;
    return sum / calls;
  } finally {
    if (outer) profile.gpuTimestamps = outer;
    restore(profile.milliseconds, times);
  }
}

async function byWaiting(device: WebgpuDevice, call: () => void, calls: number): Promise<number> {
  await device.finish();
  for (let count = calls;; count *= 2) {
    const start = performance.now();
    for (let i = 0; i < count; i++) call();
    await device.finish();
    const elapsed = performance.now() - start;
    if (elapsed >= WALL || count >= 2 ** 12) return elapsed / count;
  }
}

function restore(map: Map<string, number>, values: ReadonlyMap<string, number>): void {
  map.clear();
  for (const [name, value] of values) map.set(name, value);
}
