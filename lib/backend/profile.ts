import type { WebgpuDevice } from "./device.ts";

/** What `--profile` shows: launches and time by kernel. Counting is always on (it costs an addition). */
class Profile {
  /** Launches of each kernel since the last `reset`. */
  readonly launches: Map<string, number> = new Map();
  /**
   * Milliseconds by kernel: of the host for WASM kernels while `timing` is on, without the kernels that it runs inside
   * it; of the device for WebGPU kernels while they are timed (`startGpuTimer`).
   */
  readonly milliseconds: Map<string, number> = new Map();
  /** Milliseconds of the kernels that have ended inside the one that is running. */
  #inside = 0;
  /** Whether WASM kernels are timed. */
  timing = false;
  /** Gives the timestamp writes of a launch, while GPU timing is on. */
  gpuTimestamps?: (name: string, device: WebgpuDevice) => GPUComputePassTimestampWrites | undefined;

  /** Counts one launch. */
  count(name: string): void {
    this.launches.set(name, (this.launches.get(name) ?? 0) + 1);
  }

  /** Runs a WASM kernel, counted and, while `timing` is on, timed. */
  run<T>(name: string, kernel: () => T): T {
    this.count(name);
    if (!this.timing) return kernel();
    const start = performance.now(), before = this.#inside;
    this.#inside = 0;
    try {
      return kernel();
    } finally {
      const elapsed = performance.now() - start;
      this.add(name, elapsed - this.#inside);
      this.#inside = before + elapsed;
    }
  }

  /** Adds to a kernel's time. */
  add(name: string, milliseconds: number): void {
    this.milliseconds.set(name, (this.milliseconds.get(name) ?? 0) + milliseconds);
  }

  /** Launches of all kernels. */
  total(): number {
    let sum = 0;
    for (const n of this.launches.values()) sum += n;
    return sum;
  }

  /** Forgets all counts and times. */
  reset(): void {
    this.launches.clear();
    this.milliseconds.clear();
  }
}

/** The one profile: counts of all kernels, whoever calls them. */
export const profile: Profile = new Profile();
