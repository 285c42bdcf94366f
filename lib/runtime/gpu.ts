/**
 * The runtime's WebGPU entry point: Deno's own `navigator.gpu`, or Dawn from npm's `webgpu`, which Bun and Node have
 * alone and Deno has too.
 */

import { environmentVariable, runtime } from "./environment.ts";
import { InputError, UsageError } from "./errors.ts";
import { oneLine } from "./one_line.ts";

/** Whose WebGPU: the runtime's own (Deno's wgpu), or Dawn. */
export type GpuChoice = "native" | "dawn";

const choices: readonly string[] = ["native", "dawn"];

/**
 * Dawn's libraries, from the project's folder, as Deno lays npm packages out: what the permission to load them names.
 */
export const DAWN_PATHS: readonly string[] = [
  "linux-x64",
  "linux-arm64",
  "darwin-universal",
  "win32-x64",
  "win32-arm64",
]
  .map((system) => `./node_modules/.deno/webgpu@0.6.2/node_modules/webgpu/dist/${system}/dawn.node`);

let chosen: GpuChoice | undefined, opened: GpuChoice | undefined;
let dawn: GPU | undefined;

/**
 * Says whose WebGPU the program is to use, before it opens a GPU. Without it AFT_GPU says so, or it is the runtime's own
 * where there is one. Dawn has subgroups and reads back in a millisecond, where Deno's own takes ten.
 *
 * ```ts
 * import { openDevice, useGpu } from "./mod.ts";
 *
 * useGpu("dawn"); // loadModel and openDevice find GPUs by way of Dawn from here on
 * const device = await openDevice("auto");
 * console.log(device.reason);
 * ```
 *
 * @throws {UsageError} for another word, for `native` where the runtime has none, and after a GPU was looked for by the
 * other way
 */
export function useGpu(choice: GpuChoice): void {
  const wanted = checked(choice, "option `gpu`");
  if (opened !== undefined && opened !== wanted) {
    throw new UsageError(
      `Cannot use option \`gpu: ${wanted}\`: a GPU was looked for by way of ${opened} before`,
    );
  }
  chosen = wanted;
}

function checked(choice: string, what: string): GpuChoice {
  if (!choices.includes(choice)) {
    throw new UsageError(`Cannot use ${what}: expected native or dawn, got ${JSON.stringify(choice)}`);
  }
  const { name } = runtime();
  if (choice === "native" && name !== "deno") {
    throw new UsageError(`Cannot use ${what}: ${name} has no WebGPU of its own; expected dawn`);
  }
  return choice as GpuChoice;
}

/** What was asked for, by {@linkcode useGpu} or AFT_GPU. */
function asked(): GpuChoice | undefined {
  const said = environmentVariable("AFT_GPU");
  return chosen ?? (said === undefined ? undefined : checked(said, "AFT_GPU"));
}

/** Whose WebGPU {@linkcode findGpu} looks for. */
export function gpuInUse(): GpuChoice {
  return asked() ?? (runtime().name === "deno" ? "native" : "dawn");
}

/**
 * The entry point. TF.js checks `navigator.gpu` while its WebGPU package is being imported, so in Bun and Node it is
 * assigned first.
 *
 * @returns `undefined` where there is none
 * @throws {InputError} when Dawn was asked for and cannot be loaded
 */
export async function findGpu(): Promise<GPU | undefined> {
  opened = gpuInUse();
  const holder = globalThis.navigator as (Navigator & { gpu?: GPU }) | undefined;
  if (opened === "native") return holder?.gpu;
  if (dawn) return dawn;
  try {
    const { create, globals } = await import("webgpu");
    // Its clock is coarse unless it is told otherwise: 0.1 ms, as long as most kernels take.
    dawn = create(["disable-dawn-features=timestamp_quantization"]) as unknown as GPU;
    if (holder?.gpu) return dawn; // Deno, which has these names itself
    Object.assign(globalThis, globals);
    if (holder) Object.defineProperty(holder, "gpu", { value: dawn, configurable: true });
    else Object.defineProperty(globalThis, "navigator", { value: { gpu: dawn }, configurable: true });
    return dawn;
  } catch (error) {
    if (asked() === undefined) return undefined; // no prebuilt Dawn for this platform
    throw new InputError(`Cannot load Dawn, which was asked for: ${oneLine((error as Error).message)}`);
  }
}

/**
 * Waits for something of a GPU. Dawn under Deno is told of what is done by the event loop, which sleeps while nothing
 * else happens: without a timer that ticks meanwhile, some readbacks took 12 and 80 seconds.
 */
export async function awake<T>(waiting: Promise<T>): Promise<T> {
  if (opened !== "dawn" || runtime().name !== "deno") return await waiting;
  const timer = setInterval(() => {}, 1);
  try {
    return await waiting;
  } finally {
    clearInterval(timer);
  }
}
