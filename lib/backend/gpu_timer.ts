import { awake } from "../runtime/gpu.ts";
import { profile } from "./profile.ts";
import type { WebgpuDevice } from "./device.ts";

/** Launches between two reads of the timestamps: two queries each, and a query set holds at most 4,096. */
const LAUNCHES = 2048;

/** Timestamps on their way from the device. */
interface Batch {
  readonly names: readonly string[];
  /** What the queries are resolved into, and where the host reads them. */
  readonly resolved: GPUBuffer;
  readonly buffer: GPUBuffer;
}

/** A running measurement of kernels on the device. */
export interface GpuTimer {
  /** Waits for all launches so far, adds their times to the profile and stops measuring. */
  finish(): Promise<void>;
}

/**
 * Measures each launch on the device by a pair of timestamp queries (WebGPU §20.4, nanoseconds) and adds it to
 * `profile.milliseconds`. Each launch then is a pass of its own, which costs some time between launches; times are of
 * the kernels alone. Does nothing on WASM, and where the device lacks `timestamp-query`.
 */
export function startGpuTimer(): GpuTimer {
  let device: WebgpuDevice | undefined, queries: GPUQuerySet | undefined;
  let names: string[] = [];
  const waiting: Batch[] = [];
  const added: Promise<void>[] = [];

  /** Puts the timestamps so far into a buffer, behind the launches recorded so far. */
  const collect = () => {
    if (!device || !queries || names.length === 0) return;
    const { gpu } = device, size = names.length * 16;
    const resolved = gpu.createBuffer({
      size,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const buffer = gpu.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
    const encoder = device.encoder();
    encoder.resolveQuerySet(queries, 0, names.length * 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, buffer, 0, size);
    waiting.push({ names, resolved, buffer });
    names = [];
  };

  profile.gpuTimestamps = (name, launched) => {
    if (!launched.features.has("timestamp-query")) return undefined;
    device = launched;
    queries ??= device.gpu.createQuerySet({ type: "timestamp", count: 2 * LAUNCHES });
    if (names.length === LAUNCHES) {
      // What was collected one batch ago has been submitted since: a submission has at most 64 launches.
      for (const batch of waiting.splice(0)) added.push(addTimes(batch));
      collect();
    }
    const index = 2 * names.length;
    names.push(name);
    return { querySet: queries, beginningOfPassWriteIndex: index, endOfPassWriteIndex: index + 1 };
  };

  return {
    async finish() {
      delete profile.gpuTimestamps;
      if (!device) return;
      collect();
      device.submit();
      await Promise.all([...added, ...waiting.map(addTimes)]);
      queries?.destroy();
      device.check();
    },
  };
}

async function addTimes({ names, resolved, buffer }: Batch): Promise<void> {
  await awake(buffer.mapAsync(GPUMapMode.READ));
  const times = new BigUint64Array(buffer.getMappedRange());
  // A device may set its clock back between the two: that launch counts as none (the specification allows it).
  names.forEach((name, i) => profile.add(name, Math.max(0, Number(times[2 * i + 1]! - times[2 * i]!) / 1e6)));
  buffer.unmap();
  [resolved, buffer].forEach((b) => b.destroy());
}
