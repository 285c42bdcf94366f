import { existsSync } from "node:fs";
import process from "node:process";
import { CORE_VARIABLE, coreInstead, flagsOfLeaves, flagsOfSystem } from "./_openblas_core.ts";

/** A product of matrices by their places, with their strides. */
export type Sgemm = (
  transposeA: boolean,
  transposeB: boolean,
  m: number,
  n: number,
  k: number,
  alpha: number,
  a: number,
  lda: number,
  b: number,
  ldb: number,
  beta: number,
  c: number,
  ldc: number,
) => void;

/** `cblas_sgemm` of a native library, bound to the addresses of one buffer. Strides and sizes in elements. */
export interface NativeBlas {
  /** Path of the library. */
  readonly path: string;
  /** The library's own description of itself, where it gives one. */
  readonly description: string;
  /** Address of the first byte of a buffer. Valid until the buffer is detached or grows. */
  addressOf(buffer: ArrayBuffer): number;
  /** How many threads products use, and a call that changes it; absent where the library has no such call. */
  readonly threads?: { readonly default: number; set(count: number): void } | undefined;
  /** C[m,n] ← alpha·op(A)·op(B) + beta·C, row-major, matrices given by address. */
  readonly sgemm: Sgemm;
}

/**
 * Where a CBLAS may lie: exact paths first, so that a permission to load these files alone is enough.
 * `AFT_BLAS` names another library; `AFT_BLAS=none` switches it off.
 */
export const BLAS_PATHS: Readonly<Record<string, readonly string[]>> = {
  linux: [
    "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0",
    "/usr/lib/aarch64-linux-gnu/openblas-pthread/libopenblas.so.0",
    "/usr/lib/x86_64-linux-gnu/libopenblas.so.0",
    "/usr/lib/aarch64-linux-gnu/libopenblas.so.0",
    "/usr/lib64/libopenblasp.so.0",
    "/usr/lib64/libopenblas.so.0",
    "/usr/lib/libopenblas.so.0",
    "/usr/lib/libopenblas.so",
  ],
  darwin: ["/System/Library/Frameworks/Accelerate.framework/Accelerate"],
  win32: [],
};

const ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112;
const MATRIX = ["usize", "i32"] as const;
/** Of `cblas_sgemm`. An address as a usize costs less a call than a buffer, which Deno must look up each time. */
const ARGUMENTS = [
  ...["i32", "i32", "i32", "i32", "i32", "i32"] as const, // order, both transposes, m, n, k
  ...["f32", ...MATRIX, ...MATRIX, "f32", ...MATRIX] as const,
] as const;

/** `cblas_sgemm` for row-major matrices. */
function rowMajor(gemm: (...values: number[]) => void): Sgemm {
  const kind = (transpose: boolean) => transpose ? TRANSPOSE : NO_TRANSPOSE;
  // Each by name: a call with a spread would not be one of the fast ones.
  return (ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) =>
    gemm(ROW_MAJOR, kind(ta), kind(tb), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

/** The first CBLAS that loads, or `undefined` with the reason in `why` (no library, no FFI, no permission). */
export async function findBlas(): Promise<{ blas?: NativeBlas; why: string }> {
  const asked = readEnvironment("AFT_BLAS");
  if (asked === "none") return { why: "switched off by AFT_BLAS=none" };
  const paths = asked ? [asked] : BLAS_PATHS[process.platform] ?? [];
  const runtime = globalThis as { Deno?: typeof Deno; Bun?: unknown };
  if (!runtime.Deno && !runtime.Bun) return { why: "this runtime has no foreign function interface" };
  let why = "no library found";
  for (const path of paths) {
    // macOS keeps Accelerate in its shared cache: the file does not exist, but loads.
    if (process.platform !== "darwin" && !fileExists(path)) continue;
    try {
      return { blas: await openBlas(path), why: "" };
    } catch (error) {
      why = `${path} does not load: ${(error as Error).message.split("\n")[0]}`;
    }
  }
  return { why };
}

/** A library that is open. */
interface Opened {
  readonly blas: Omit<NativeBlas, "description">;
  /** What it says of itself; empty where it says nothing. */
  config(): string;
  /** What the processor has, in Linux's words. */
  flags(): ReadonlySet<string>;
  /** Calls by which OpenBLAS chooses its kernels anew, and of the C library below it; absent where it has none of them. */
  readonly choosing?: Readonly<
    Record<"getenv" | "unsetenv", (name: Uint8Array<ArrayBuffer>) => unknown> & {
      setenv(name: Uint8Array<ArrayBuffer>, value: Uint8Array<ArrayBuffer>, overwrite: number): unknown;
      gotoblas_dynamic_quit(): void;
      gotoblas_dynamic_init(): void;
    }
  >;
}

/**
 * The CBLAS of a file. An OpenBLAS that does not know the processor is told the kernels that it should have taken
 * ({@linkcode coreInstead}), unless OPENBLAS_CORETYPE says which. Throws where it does not load.
 */
export async function openBlas(path: string): Promise<NativeBlas> {
  const open = (globalThis as { Deno?: unknown }).Deno ? openInDeno : await openerInBun();
  const { blas, config, flags, choosing } = open(path), core = coreInstead(config(), flags);
  const text = (word: string) => new TextEncoder().encode(`${word}\0`);
  if (core && choosing && !choosing.getenv(text(CORE_VARIABLE))) {
    // Not by the runtime's own variables, which Bun keeps from native code.
    choosing.setenv(text(CORE_VARIABLE), text(core), 0);
    // What it does when it is loaded, once more: to close it and load it again would take it from under other threads.
    choosing.gotoblas_dynamic_quit();
    choosing.gotoblas_dynamic_init();
    choosing.unsetenv(text(CORE_VARIABLE)); // programs that this one starts choose for themselves
  }
  return { ...blas, description: describe(config(), path) };
}

function readEnvironment(name: string): string | undefined {
  try {
    return process.env[name];
  } catch {
    return undefined; // no permission to read it
  }
}

function fileExists(path: string): boolean {
  try {
    return existsSync(path);
  } catch {
    return true; // no permission to look: the attempt to load it decides
  }
}

/** `OpenBLAS 0.3.21 (Haswell)` of the dozen words that OpenBLAS says of itself; other libraries go by their path. */
function describe(config: string, path: string): string {
  const [, name, core] = config.match(/^(OpenBLAS \S+).* (\S+) MAX_THREADS/) ?? [];
  return name ? `${name} (${core})` : config || path;
}

function openInDeno(path: string): Opened {
  // Addresses come from the C library's own memmove, found through the BLAS that depends on it: Deno's UnsafePointer
  // would need permission to load any library at all.
  const library = Deno.dlopen(path, {
    cblas_sgemm: {
      parameters: ARGUMENTS,
      result: "void",
    },
    memmove: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
    strncpy: { parameters: ["buffer", "usize", "usize"], result: "usize" },
    openblas_get_config: { parameters: [], result: "usize", optional: true },
    openblas_get_num_threads: { parameters: [], result: "i32", optional: true },
    openblas_set_num_threads: { parameters: ["i32"], result: "void", optional: true },
    getenv: { parameters: ["buffer"], result: "usize", optional: true },
    setenv: { parameters: ["buffer", "buffer", "i32"], result: "i32", optional: true },
    unsetenv: { parameters: ["buffer"], result: "i32", optional: true },
    gotoblas_dynamic_quit: { parameters: [], result: "void", optional: true },
    gotoblas_dynamic_init: { parameters: [], result: "void", optional: true },
    memcpy: { parameters: ["buffer", "usize", "usize"], result: "usize", optional: true },
    __x86_get_cpuid_feature_leaf: { parameters: ["u32"], result: "usize", optional: true },
  });
  const { cblas_sgemm, memmove, strncpy, openblas_get_config, getenv, setenv, unsetenv } = library.symbols;
  const { gotoblas_dynamic_quit, gotoblas_dynamic_init, memcpy } = library.symbols;
  const { __x86_get_cpuid_feature_leaf: leafOf } = library.symbols;
  const leaf = (index: number) => {
    const words = new Uint32Array(8);
    memcpy?.(new Uint8Array(words.buffer), leafOf!(index), 32n);
    return words;
  };
  const { openblas_get_num_threads: get, openblas_set_num_threads: set } = library.symbols;
  const gemm = cblas_sgemm as unknown as (...values: number[]) => void;
  return {
    blas: {
      path,
      threads: get && set ? { default: get(), set: (count) => set(count) } : undefined,
      addressOf(buffer) {
        const bytes = new Uint8Array(buffer);
        return Number(memmove(bytes, bytes, 0n));
      },
      sgemm: rowMajor(gemm),
    },
    config() {
      const text = new Uint8Array(256), address = openblas_get_config?.();
      if (address) strncpy(text, address, 255n);
      return new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
    },
    flags: () => leafOf ? flagsOfLeaves([leaf(0), leaf(1)]) : flagsOfSystem(),
    ...(getenv && setenv && unsetenv && gotoblas_dynamic_quit && gotoblas_dynamic_init && {
      choosing: { getenv, setenv, unsetenv, gotoblas_dynamic_quit, gotoblas_dynamic_init },
    }),
  };
}

async function openerInBun(): Promise<(path: string) => Opened> {
  const { dlopen, ptr } = await import("bun:ffi");
  return (path) => {
    const library = dlopen(path, {
      cblas_sgemm: {
        args: ARGUMENTS,
        returns: "void",
      },
    });
    const gemm = library.symbols.cblas_sgemm as unknown as (...values: number[]) => void;
    let config = () => "", threads: NativeBlas["threads"], choosing: Opened["choosing"];
    try {
      const { openblas_get_config, openblas_get_num_threads, openblas_set_num_threads } = dlopen(path, {
        openblas_get_config: { args: [], returns: "cstring" },
        openblas_get_num_threads: { args: [], returns: "i32" },
        openblas_set_num_threads: { args: ["i32"], returns: "void" },
      }).symbols;
      config = () => String(openblas_get_config());
      threads = {
        default: Number(openblas_get_num_threads()),
        set: (count) => void openblas_set_num_threads(count),
      };
      choosing = dlopen(path, {
        getenv: { args: ["buffer"], returns: "usize" },
        setenv: { args: ["buffer", "buffer", "i32"], returns: "i32" },
        unsetenv: { args: ["buffer"], returns: "i32" },
        gotoblas_dynamic_quit: { args: [], returns: "void" },
        gotoblas_dynamic_init: { args: [], returns: "void" },
      }).symbols;
    } catch {
      // Another BLAS than OpenBLAS, or one with kernels for one processor alone.
    }
    return {
      blas: {
        path,
        threads,
        addressOf: (buffer) => Number(ptr(new Uint8Array(buffer))),
        sgemm: rowMajor(gemm),
      },
      config,
      flags: flagsOfSystem,
      ...(choosing && { choosing }),
    };
  };
}
