import { readFileSync } from "node:fs";

/** The variable by which OpenBLAS is told for which processor its kernels are to be; it looks once, as it is loaded. */
export const CORE_VARIABLE = "OPENBLAS_CORETYPE";

/** What each choice of kernels needs of a processor, the fastest first. */
const CORES = {
  SkylakeX: ["avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma"],
  Haswell: ["avx2", "fma"],
} as const;

/**
 * The kernels that OpenBLAS should have taken, where it does not know the processor. What it does not know it takes for a
 * Prescott of 2004, newer than its release as it may be: 0.3.21 does so on Intel's Xeons of 2023 (Emerald Rapids), and
 * makes products of 1,536 rows with 1536×576 at 29 GFLOP/s on one core, not at 131.
 *
 * @param config what `openblas_get_config` says: `OpenBLAS 0.3.21 DYNAMIC_ARCH NO_AFFINITY Prescott MAX_THREADS=64`
 * @param flags gives what the processor has, in Linux's words
 * @returns nothing where it knows the processor, has no other kernels, or the processor is as old as that
 */
export function coreInstead(
  config: string,
  flags: () => ReadonlySet<string>,
): keyof typeof CORES | undefined {
  if (!/^OpenBLAS\b.* DYNAMIC_ARCH\b.* Prescott\b/.test(config)) return undefined;
  const has = flags();
  return (Object.keys(CORES) as (keyof typeof CORES)[]).find((core) =>
    CORES[core].every((flag) => has.has(flag))
  );
}

/** Where glibc says what may be used: the leaf, its word of four and the bit of each. */
const BITS: Readonly<Record<string, readonly [leaf: 0 | 1, word: number, bit: number]>> = {
  fma: [0, 2, 12],
  avx2: [1, 1, 5],
  avx512f: [1, 1, 16],
  avx512dq: [1, 1, 17],
  avx512cd: [1, 1, 28],
  avx512bw: [1, 1, 30],
  avx512vl: [1, 1, 31],
};

/**
 * The flags of what glibc's `__x86_get_cpuid_feature_leaf` says of leaves 0 and 1 (CPUID's 1 and 7), each four words
 * of what the processor has and four of what of it may be used.
 */
export function flagsOfLeaves(leaves: readonly [Uint32Array, Uint32Array]): ReadonlySet<string> {
  return new Set(
    Object.entries(BITS).flatMap(([flag, [leaf, word, bit]]) =>
      leaves[leaf][4 + word]! >>> bit & 1 ? [flag] : []
    ),
  );
}

/** What the processor has, by `/proc/cpuinfo`, which Deno opens only to programs that may do everything. */
export function flagsOfSystem(): ReadonlySet<string> {
  try {
    return flagsIn(readFileSync("/proc/cpuinfo", "utf8"));
  } catch {
    return new Set(); // another system, or no permission
  }
}

/** The flags of the first processor of such a file; none of another kind than x86. */
export function flagsIn(cpuinfo: string): ReadonlySet<string> {
  return new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(/\s+/));
}
