/** The whole of a report, in the order in which it matters, until its time is up. */

import type { CpuDevice, WebgpuDevice } from "../../lib/backend/device.ts";
import type {
  GpuMeasurements,
  KernelCheck,
  KernelTime,
  ModelTime,
  Skipped,
} from "../../lib/report/gpu_measurements.ts";
import type { Listener } from "../../lib/runtime/listener.ts";
import { oneLine } from "../../lib/runtime/one_line.ts";
import { arithmetic, copies, costs } from "./ceilings.ts";
import { checkKernel } from "./check.ts";
import { time } from "./clock.ts";
import { kernels } from "./kernels.ts";
import type { Kernel } from "./kernel.ts";
import { timeModel } from "./models.ts";
import { checkedShapes, ladder, quickShape, type Shape } from "./shapes.ts";

/** How long to measure. */
export interface MeasureOptions {
  /** Seconds after which nothing more is begun. */
  readonly seconds: number;
  /** Everything once, at one small size: to see that it works. */
  readonly quick: boolean;
  readonly listener: Pick<Listener, "note">;
  readonly signal: AbortSignal;
}

/** What is measured, without what is known before. */
export type Measured = Pick<
  GpuMeasurements,
  "ceilings" | "costs" | "checks" | "kernels" | "models" | "skipped"
>;

/** Share of the time by which comparing ends, and by which models end; the rest is for kernels. */
const CHECKED = 0.4, MODELS = 0.7;

/**
 * The devices to measure and to compare with. An error that a GPU reports stays with its device: after one, the rest goes
 * on with another device on the same adapter.
 */
export class Devices {
  /** The GPU. */
  gpu: WebgpuDevice;

  constructor(
    gpu: WebgpuDevice,
    /** What is taken to be right. */
    readonly cpu: CpuDevice,
    readonly openAgain: () => Promise<WebgpuDevice>,
  ) {
    this.gpu = gpu;
  }

  /** Does some work; where it fails, says in one line how, and makes the GPU fit for use again. */
  async survive<T>(work: () => Promise<T>): Promise<T | { readonly failed: string }> {
    try {
      return await work();
    } catch (error) {
      this.gpu = await this.openAgain();
      return { failed: oneLine((error as Error).message) };
    }
  }
}

/** Measures a GPU, and compares its kernels with the CPU's. */
export async function measure(devices: Devices, options: MeasureOptions): Promise<Measured> {
  const { gpu } = devices, { seconds, quick, listener } = options, begun = performance.now();
  const at = (share: number) => begun + share * seconds * 1000;
  const skipped: Skipped[] = [];
  listener.note?.("copies, arithmetic, launches");
  const target = quick ? 1 : 100;
  const ceilingsOf = async (gpu: WebgpuDevice) => ({
    copies: await copies(gpu, { target, ...quick && { largest: 2 ** 18 } }),
    arithmetic: await arithmetic(gpu, { target, groups: quick ? 16 : gpu.isCpu ? 256 : 8192 }),
  });
  const early = await ceilingsOf(gpu);
  const asked = await costs(gpu, { runs: quick ? 1 : 10, bytes: quick ? 2 ** 20 : 2 ** 25 });

  const checks = await compare(devices, { ...options, until: at(CHECKED), skipped });
  const models = await modelsUntil(devices, { ...options, until: at(MODELS), skipped });
  const times = await timesUntil(devices, { ...options, until: at(1), skipped });
  // Once more: a clock that rises or falls meanwhile, or other work, would put a kernel under another roof.
  const late = await ceilingsOf(devices.gpu);
  const products = times.filter(({ kernel }) => kernel === "product, square")
    .map(({ flops, device, wall }) => flops / ((device ?? wall) / 1000));
  return {
    ceilings: {
      copies: early.copies.map((copy, i) => ({ ...copy, rate: Math.max(copy.rate, late.copies[i]!.rate) })),
      arithmetic: Math.max(early.arithmetic, late.arithmetic),
      ...products.length > 0 && { product: Math.max(...products) },
    },
    costs: asked,
    checks,
    models,
    kernels: times,
    skipped,
  };
}

/** Why something was not begun. */
const UP = "the time was up";

/** A part of the run. */
interface Part extends MeasureOptions {
  /** When nothing more is begun. */
  readonly until: number;
  /** What was left out is added. */
  readonly skipped: Skipped[];
}

async function compare(
  devices: Devices,
  { quick, until, skipped, listener, signal }: Part,
): Promise<KernelCheck[]> {
  const found: KernelCheck[] = [];
  for (const shape of quick ? [quickShape] : checkedShapes) {
    listener.note?.(`every kernel beside the CPU's: ${shape.name}`);
    for (const kernel of kernels) {
      signal.throwIfAborted();
      if (performance.now() > until) {
        skipped.push({ what: `${kernel.name} beside the CPU's, ${shape.name}`, why: UP });
        continue;
      }
      const checked = await devices.survive(() => checkKernel(kernel, shape, devices));
      found.push(
        "error" in checked
          ? checked
          : { kernel: kernel.name, shape: shape.name, error: null, tolerance: 0, ...checked },
      );
    }
    devices.gpu.trim();
  }
  return found;
}

/** Operations of a step of a model: to tell a larger one's time from a smaller one's. */
function work({ layers, width, inner, vocabulary }: Shape): number {
  return layers * width * (4 * width + 3 * inner) + vocabulary * width;
}

async function modelsUntil(
  devices: Devices,
  { quick, until, skipped, listener, signal }: Part,
): Promise<ModelTime[]> {
  const found: ModelTime[] = [];
  let before: { readonly shape: Shape; readonly elapsed: number } | undefined;
  for (const shape of quick ? [quickShape] : ladder) {
    signal.throwIfAborted();
    const start = performance.now(), left = until - start;
    // The first of a size compiles its kernels, so its time is an upper bound.
    const expected = before ? before.elapsed * work(shape) / work(before.shape) : 0;
    if (expected > left) {
      const why = left < 0 ? UP : lateBy(expected, left);
      skipped.push({ what: `steps and decoding of ${shape.name}`, why });
      continue;
    }
    listener.note?.(`a step and decoding: ${shape.name}`);
    const budget = quick ? { until, runs: 0, tokens: 2 } : { until, runs: 3, tokens: 32 };
    const result = await devices.survive(() => timeModel(devices.gpu, shape, budget));
    if ("failed" in result) {
      skipped.push({ what: `steps and decoding of ${shape.name}`, why: result.failed });
      continue;
    }
    found.push(result);
    const slowest = (result.step ?? 0) +
      result.decoded.reduce((sum, { sequences, rate }) => sum + 1000 * sequences * budget.tokens / rate, 0);
    before = { shape, elapsed: slowest };
  }
  return found;
}

async function timesUntil(
  devices: Devices,
  { quick, until, skipped, listener, signal }: Part,
): Promise<KernelTime[]> {
  const found: KernelTime[] = [];
  for (const shape of quick ? [quickShape] : ladder) {
    listener.note?.(`every kernel at the sizes of ${shape.name}`);
    for (const kernel of kernels) {
      signal.throwIfAborted();
      const left = until - performance.now();
      const what = `${kernel.name} at the sizes of ${shape.name}`;
      if (left < 0) {
        skipped.push({ what, why: UP });
        continue;
      }
      const timed = await devices.survive(() =>
        timeKernel(devices.gpu, kernel, {
          shape,
          target: quick ? 1 : 60,
          left: Math.min(left, SLOWEST),
          smaller: found.findLast((one) => one.kernel === kernel.name),
        })
      );
      if ("failed" in timed) skipped.push({ what, why: timed.failed });
      else if ("why" in timed) skipped.push({ what, ...timed });
      else found.push(timed);
    }
    devices.gpu.trim();
  }
  return found;
}

/** Milliseconds that one kernel at one size may take. */
const SLOWEST = 10_000;

/** A kernel's time, or why it was left out. */
async function timeKernel(gpu: WebgpuDevice, kernel: Kernel, { shape, target, left, smaller }: {
  readonly shape: Shape;
  readonly target: number;
  readonly left: number;
  readonly smaller: KernelTime | undefined;
}): Promise<KernelTime | { readonly why: string }> {
  const prepared = kernel.prepare(gpu, shape), { flops, bytes } = prepared;
  try {
    // Warmed up, timed, and timed by the device's clock: three calls at least.
    const expected = smaller
      ? 3 * smaller.wall * Math.max(flops / Math.max(1, smaller.flops), bytes / smaller.bytes)
      : 0;
    if (expected > left) return { why: lateBy(expected, left) };
    const timed = await time(gpu, prepared.call, target);
    return { kernel: kernel.name, shape: prepared.shape, flops, bytes, ...timed };
  } finally {
    prepared.dispose();
  }
}

function lateBy(expected: number, left: number): string {
  return `it would take about ${Math.ceil(expected / 1000)} s, and ${
    Math.max(0, Math.floor(left / 1000))
  } s were for it`;
}
