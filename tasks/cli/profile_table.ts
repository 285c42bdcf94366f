/** `--profile`: launches and time of each kernel, as a table for standard error. */

import { startGpuTimer } from "../../lib/backend/gpu_timer.ts";
import { profile } from "../../lib/backend/profile.ts";
import { textTable } from "../../lib/report/table.ts";

/** Starts to measure; the function that it returns stops, and gives the table. */
export function startProfile(): () => Promise<string> {
  const timer = startGpuTimer(), start = performance.now();
  profile.reset();
  profile.timing = true;
  return async () => {
    const wall = performance.now() - start;
    await timer.finish();
    profile.timing = false;
    return profileTable(profile, wall);
  };
}

/**
 * One row a kernel, the slowest first (where nothing was timed, the most frequent), then all together.
 *
 * @param measured launches and milliseconds by kernel
 * @param wall milliseconds that the work took in all
 */
export function profileTable(
  measured: Pick<typeof profile, "launches" | "milliseconds">,
  wall: number,
): string {
  const { launches, milliseconds } = measured, seconds = (wall / 1000).toFixed(1);
  if (launches.size === 0) return `Profile: no kernel was launched in ${seconds} s`;
  const time = (name: string) => milliseconds.get(name) ?? 0;
  const kernels = [...launches].toSorted(([a, n], [b, m]) => time(b) - time(a) || m - n);
  const total = kernels.reduce((sum, [name]) => sum + time(name), 0);
  const row = (kernel: string, count: number, ms: number | undefined) => ({
    kernel,
    launches: count,
    ms,
    each: ms === undefined ? undefined : ms * 1000 / count,
    share: ms === undefined || total === 0 ? undefined : ms / wall,
  });
  const rows = kernels.map(([name, count]) => row(name, count, milliseconds.get(name)));
  const all = row("all", kernels.reduce((sum, [, count]) => sum + count, 0), total || undefined);
  const table = textTable([
    { key: "kernel" },
    { key: "launches" },
    { key: "ms", digits: 1 },
    { key: "each", title: "µs each", digits: 1 },
    { key: "share", title: "% of wall", digits: 1, percent: true },
  ], [...rows, all]);
  const untimed = total === 0 ? "; without times: the device has no timestamp-query" : "";
  return `Profile of ${seconds} s${untimed}\n${table.trimEnd()}`;
}
