/** What `gpu-report` finds on an adapter: the contents of its JSON, and what its page shows. */

/** A kernel's results beside the CPU's on the same numbers. */
export interface KernelCheck {
  /** The operation. */
  readonly kernel: string;
  /** Its sizes. */
  readonly shape: string;
  /** max |GPU − CPU| / max(1, max |CPU|) over all results; null where one is not a number, or the kernel failed. */
  readonly error: number | null;
  /** The largest error that passes. */
  readonly tolerance: number;
  /** How it failed, where it did. */
  readonly failed?: string;
}

/** How fast one kernel is at one size. */
export interface KernelTime {
  /** The operation. */
  readonly kernel: string;
  /** Its sizes. */
  readonly shape: string;
  /** Operations of the formula, a multiplication and an addition counted as two. */
  readonly flops: number;
  /** Bytes of all inputs and outputs, each once. */
  readonly bytes: number;
  /** Launches of a call. */
  readonly launches: number;
  /** Milliseconds of a call on the device, by its own clock; absent where it has none. */
  readonly device?: number;
  /** Milliseconds of a call as the program waits for it, launches included, many in a row. */
  readonly wall: number;
}

/** Bytes read and written a second by a copy of so many bytes. */
export interface CopyRate {
  /** Bytes read; as many are written. */
  readonly bytes: number;
  /** Both together, a second. */
  readonly rate: number;
}

/** What the adapter can do at best, measured in the same run. */
export interface Ceilings {
  /** Copies from small to large. */
  readonly copies: readonly CopyRate[];
  /** Multiplications and additions in registers, a second, in float32. */
  readonly arithmetic: number;
  /** The fastest product of large matrices, operations a second; absent where none was measured. */
  readonly product?: number;
}

/** What it costs to ask the adapter for anything. */
export interface Costs {
  /** Microseconds to record and run a launch that does nothing, many in a row. */
  readonly launch: number;
  /** Milliseconds from an empty submission to the word that it is done. */
  readonly wait: number;
  /** Milliseconds to read 4 bytes back. */
  readonly readback: number;
  /** Bytes a second read back, of a large tensor. */
  readonly readRate: number;
  /** Bytes a second sent, of a large tensor. */
  readonly writeRate: number;
}

/** Training and decoding of one model with random weights. */
export interface ModelTime {
  /** Its name or its sizes. */
  readonly name: string;
  /** Number of its parameters. */
  readonly parameters: number;
  /** Milliseconds of an AFT step: forward, loss, backward, AdamW. */
  readonly step?: number;
  /** Response tokens a second of that step. */
  readonly trained?: number;
  /** Tokens a second of decoding, by sequences at once. */
  readonly decoded: readonly { readonly sequences: number; readonly rate: number }[];
}

/** What was left out, and why. */
export interface Skipped {
  /** What it was. */
  readonly what: string;
  /** Why it was left out. */
  readonly why: string;
}

/** Everything that one run of `gpu-report` found. */
export interface GpuMeasurements {
  /** The form of this object: 1. */
  readonly format: 1;
  /** When, as ISO 8601. */
  readonly date: string;
  /** The project's version. */
  readonly version: string;
  /** Runtime and version, such as "deno 2.9.6". */
  readonly runtime: string;
  /** Whose WebGPU: the runtime's own, or Dawn. */
  readonly webgpu: "native" | "dawn";
  /** Processor, system and cores. */
  readonly machine: string;
  /** The adapter's name. */
  readonly adapter: string;
  /** Whether it is a CPU that stands in for a GPU. */
  readonly isCpu: boolean;
  /** Features that were asked for and are there. */
  readonly features: readonly string[];
  /** Its limits by name. */
  readonly limits: Readonly<Record<string, number>>;
  /** Whether everything was cut short (`--quick`): its times say nothing. */
  readonly quick: boolean;
  /** Seconds that the run took. */
  readonly seconds: number;
  readonly ceilings: Ceilings;
  readonly costs: Costs;
  readonly checks: readonly KernelCheck[];
  readonly kernels: readonly KernelTime[];
  readonly models: readonly ModelTime[];
  readonly skipped: readonly Skipped[];
}

/** Whether a kernel agrees with the CPU. */
export function agrees({ error, tolerance }: KernelCheck): boolean {
  return error !== null && error <= tolerance;
}

/** Bytes a second of the largest copy: what memory gives where no cache helps. */
export function bandwidth({ copies }: Ceilings): number {
  return copies.at(-1)?.rate ?? 0;
}

/** Milliseconds of a call: the device's own where it has a clock. */
export function milliseconds({ device, wall }: KernelTime): number {
  return device ?? wall;
}

/**
 * The least milliseconds that a call could take (the roofline of Williams, Waterman and Patterson, CACM 52(4), 2009):
 *
 *   max(flops / arithmetic, bytes / bandwidth)
 *
 * and which of the two it is.
 */
export function leastTime(
  { flops, bytes }: KernelTime,
  ceilings: Ceilings,
): { readonly milliseconds: number; readonly bound: "arithmetic" | "memory" } {
  const computing = flops / ceilings.arithmetic, moving = bytes / bandwidth(ceilings);
  return {
    milliseconds: 1000 * Math.max(computing, moving),
    bound: computing > moving ? "arithmetic" : "memory",
  };
}

/**
 * The share of the measured peak that a call reaches: least time over measured time. Above 1 where its bytes stayed in a
 * cache, which the largest copy does not fit.
 */
export function share(kernel: KernelTime, ceilings: Ceilings): number {
  return leastTime(kernel, ceilings).milliseconds / milliseconds(kernel);
}
