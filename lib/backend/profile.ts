/** What `--profile` shows: launches and host time by kernel. Counting is always on (it costs an addition). */
class Profile {
  /** Launches of each kernel since the last `reset`. */
  readonly launches: Map<string, number> = new Map();
  /** Milliseconds by kernel: of the host for WASM kernels while `timing` is on. */
  readonly milliseconds: Map<string, number> = new Map();
  /** Whether WASM kernels are timed. */
  timing = false;
  /** Gives the timestamp writes of a launch, while GPU timing is on. */
  gpuTimestamps?: (name: string) => GPUComputePassTimestampWrites | undefined;

  /** Counts one launch. */
  count(name: string): void {
    this.launches.set(name, (this.launches.get(name) ?? 0) + 1);
  }

  /** Runs a WASM kernel, counted and, while `timing` is on, timed. */
  run<T>(name: string, kernel: () => T): T {
    this.count(name);
    if (!this.timing) return kernel();
    const start = performance.now();
    const result = kernel();
    this.milliseconds.set(name, (this.milliseconds.get(name) ?? 0) + performance.now() - start);
    return result;
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

/** The one profile of this process. */
export const profile: Profile = new Profile();
