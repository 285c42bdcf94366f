/**
 * The calls of an MPI library that a world is made of, under Deno and Bun. There is no one binary interface: the MPICH
 * family (MPICH, Intel MPI, MVAPICH, Cray MPICH) has integers for its handles, Open MPI addresses of its own variables.
 * A library says of itself which it is.
 */

import process from "node:process";
import { existsSync } from "node:fs";
import { InputError } from "./errors.ts";

/** Which of the two interfaces a library has. */
export type MpiFamily = "Open MPI" | "MPICH";

/** Where an MPI library may lie. */
const PATHS: Readonly<Record<MpiFamily, Readonly<Record<string, readonly string[]>>>> = {
  "Open MPI": {
    linux: [
      "/usr/lib/x86_64-linux-gnu/libmpi.so.40",
      "/usr/lib/aarch64-linux-gnu/libmpi.so.40",
      "/usr/lib64/openmpi/lib/libmpi.so.40",
      "/usr/local/lib/libmpi.so.40",
      "/usr/lib/libmpi.so.40",
    ],
    darwin: ["/opt/homebrew/lib/libmpi.40.dylib", "/usr/local/lib/libmpi.40.dylib"],
  },
  MPICH: {
    linux: [
      "/usr/lib/x86_64-linux-gnu/libmpich.so.12",
      "/usr/lib/aarch64-linux-gnu/libmpich.so.12",
      "/usr/lib64/mpich/lib/libmpi.so.12",
      "/usr/local/lib/libmpi.so.12",
      "/opt/intel/oneapi/mpi/latest/lib/libmpi.so.12",
      "/opt/cray/pe/lib64/libmpi_gnu.so.12",
    ],
    darwin: ["/opt/homebrew/lib/libmpi.12.dylib", "/usr/local/lib/libmpi.12.dylib"],
  },
};

/** The paths of both families on a system, those of `first` first: exact, so that a permission can name them. */
export function mpiPaths(system: string, first: MpiFamily = "Open MPI"): string[] {
  const families: readonly MpiFamily[] = first === "MPICH" ? ["MPICH", "Open MPI"] : ["Open MPI", "MPICH"];
  return families.flatMap((family) => PATHS[family][system] ?? []);
}

/** The first library that is there. `AFT_MPI` names another; one without a slash is looked for by the system. */
export function findMpi(first?: MpiFamily): string | undefined {
  const asked = process.env.AFT_MPI;
  if (asked && !asked.includes("/")) return asked;
  const paths = asked ? [asked] : mpiPaths(process.platform, first);
  return paths.find((path) => existsSync(path));
}

/** The libraries that are there, one of each family, with what they say of themselves; loaded, but not begun. */
export async function foundMpis(): Promise<{ readonly path: string; readonly version: string }[]> {
  const paths = new Set([findMpi("Open MPI"), findMpi("MPICH")]);
  const found: { path: string; version: string }[] = [];
  for (const path of paths) {
    if (path === undefined) continue;
    const version = await loadMpi(path).then((mpi) => mpi.version, (error: Error) => error.message);
    found.push({ path, version });
  }
  return found;
}

/** Numbers that are passed as they are; `handle` is an address or an integer, by the family. */
type Kind = "i32" | "i64" | "buffer" | "handle";

/** The calls that are used. */
type CallName =
  | "MPI_Init_thread"
  | "MPI_Comm_rank"
  | "MPI_Comm_size"
  | "MPI_Allreduce"
  | "MPI_Iallreduce"
  | "MPI_Ibcast"
  | "MPI_Ibarrier"
  | "MPI_Isend"
  | "MPI_Irecv"
  | "MPI_Iprobe"
  | "MPI_Get_count"
  | "MPI_Test"
  | "MPI_Abort"
  | "MPI_Finalize";

/** Each call's parameters. All return 0, since an error ends the job by itself. */
const calls: Readonly<Record<CallName, readonly Kind[]>> = {
  MPI_Init_thread: ["i64", "i64", "i32", "buffer"],
  MPI_Comm_rank: ["handle", "buffer"],
  MPI_Comm_size: ["handle", "buffer"],
  MPI_Allreduce: ["i64", "buffer", "i32", "handle", "handle", "handle"],
  MPI_Iallreduce: ["i64", "buffer", "i32", "handle", "handle", "handle", "buffer"],
  MPI_Ibcast: ["buffer", "i32", "handle", "i32", "handle", "buffer"],
  MPI_Ibarrier: ["handle", "buffer"],
  MPI_Isend: ["buffer", "i32", "handle", "i32", "i32", "handle", "buffer"],
  MPI_Irecv: ["buffer", "i32", "handle", "i32", "i32", "handle", "buffer"],
  MPI_Iprobe: ["i32", "i32", "handle", "buffer", "buffer"],
  MPI_Get_count: ["buffer", "handle", "buffer"],
  MPI_Test: ["buffer", "buffer", "buffer"],
  MPI_Abort: ["handle", "i32"],
  MPI_Finalize: [],
};

/** An argument of a call. */
export type Argument = number | bigint | ArrayBufferView;

/** What both families have under one name. */
export interface Mpi {
  /** Path of the library. */
  readonly path: string;
  readonly family: MpiFamily;
  /** What the library says of itself: `Open MPI 4.1.4`. */
  readonly version: string;
  readonly call: Readonly<Record<CallName, (...values: Argument[]) => number>>;
  /** Handles: of the communicator, of kinds of numbers and of operations. An address is opaque under Deno. */
  readonly handle: Readonly<Record<HandleName, Argument>>;
  /** In place of a buffer to send: what is received is sent. */
  readonly inPlace: bigint;
  /** For the sender of a message: whoever it is. */
  readonly anySource: number;
  /** Where the sender is in a status, in integers of 4 bytes. */
  readonly sourceAt: number;
}

/** The handles that are used. */
type HandleName = "world" | "byte" | "f32" | "f64" | "sum" | "min" | "max";

/** Open MPI's are variables of the library, whose addresses are the handles; MPICH's are numbers (its mpi.h). */
const variables: Readonly<Record<HandleName, string>> = {
  world: "ompi_mpi_comm_world",
  byte: "ompi_mpi_byte",
  f32: "ompi_mpi_float",
  f64: "ompi_mpi_double",
  sum: "ompi_mpi_op_sum",
  min: "ompi_mpi_op_min",
  max: "ompi_mpi_op_max",
};
const numbers: Readonly<Record<HandleName, number>> = {
  world: 0x44000000,
  byte: 0x4c00010d,
  f32: 0x4c00040a,
  f64: 0x4c00080b,
  sum: 0x58000003,
  min: 0x58000002,
  max: 0x58000001,
};

/** Bytes of a library's description of itself, at most (both say 8,192). */
const DESCRIPTION = 8192;

/**
 * Loads a library and asks it which it is.
 *
 * @throws {InputError} when it does not load, or is of neither family
 */
export async function loadMpi(path: string): Promise<Mpi> {
  const open = (globalThis as { Deno?: unknown }).Deno ? openInDeno : await openerInBun();
  let said = "";
  try {
    const library = open(path, { MPI_Get_library_version: ["buffer", "buffer"] });
    const text = new Uint8Array(DESCRIPTION);
    library.call.MPI_Get_library_version(text, new Int32Array(1));
    said = new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
  } catch (error) {
    throw new InputError(`Cannot load the MPI library ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const family = familyOf(said);
  if (!family) {
    throw new InputError(
      `Cannot use the MPI library ${path}: it must be Open MPI or of the MPICH family, and says "${
        said.slice(0, 80)
      }"`,
    );
  }
  const { call, addresses } = open(
    path,
    calls,
    family === "Open MPI" ? { handle: "pointer", variables: Object.values(variables) } : noHandles,
  );
  const handle = family === "MPICH" ? numbers : Object.fromEntries(
    Object.entries(variables).map(([name, variable]) => [name, addresses[variable]!]),
  ) as Record<HandleName, Argument>;
  const differs = family === "MPICH"
    ? { inPlace: -1n, anySource: -2, sourceAt: 2 }
    : { inPlace: 1n, anySource: -1, sourceAt: 0 };
  return { path, family, version: versionOf(said), call, handle, ...differs };
}

/** Which family a library is of, by its description of itself. */
export function familyOf(said: string): MpiFamily | undefined {
  if (/\bOpen MPI\b/.test(said)) return "Open MPI";
  return /MPICH|Intel\(R\) MPI|MVAPICH/.test(said) ? "MPICH" : undefined;
}

/** `Open MPI 4.1.4` of `Open MPI v4.1.4, package: …`; `MPICH 4.0.2` of several lines, the first `MPICH Version: 4.0.2`. */
export function versionOf(said: string): string {
  const line = said.split("\n")[0] ?? "";
  return line.split(",")[0]!.replace(/\bversion:\s*/i, "").replace(/\bv(?=\d)/, "").replace(/\s+/g, " ")
    .trim();
}

/** A library's calls, and the addresses of its variables. */
interface Library<Name extends string> {
  readonly call: Readonly<Record<Name, (...values: Argument[]) => number>>;
  readonly addresses: Readonly<Record<string, Argument>>;
}

/** Loads calls and variables, with what a handle is to the calls. */
type Open = <Name extends string>(
  path: string,
  calls: Readonly<Record<Name, readonly Kind[]>>,
  handles?: { readonly handle: "pointer" | "i32"; readonly variables: readonly string[] },
) => Library<Name>;

/** Of a call without handles. */
const noHandles = { handle: "i32", variables: [] } as const;

const openInDeno: Open = (path, calls, { handle, variables } = noHandles) => {
  const entries = Object.entries<readonly Kind[]>(calls);
  const functions = Object.fromEntries(
    entries.map(([name, parameters]) => [
      name,
      { parameters: parameters.map((kind) => kind === "handle" ? handle : kind), result: "i32" as const },
    ]),
  );
  const statics = Object.fromEntries(variables.map((name) => [name, { type: "pointer" as const }]));
  const dlopen = Deno.dlopen as unknown as (path: string, symbols: object) => { readonly symbols: unknown };
  const { symbols } = dlopen(path, { ...functions, ...statics });
  return { call: symbols as never, addresses: symbols as never };
};

async function openerInBun(): Promise<Open> {
  const { dlopen } = await import("bun:ffi");
  return (path, calls, { handle, variables } = noHandles) => {
    const entries = Object.entries<readonly Kind[]>(calls);
    const kinds = {
      buffer: "ptr",
      handle: handle === "pointer" ? "ptr" : "i32",
      i32: "i32",
      i64: "i64",
    } as const;
    const functions = Object.fromEntries(
      entries.map((
        [name, parameters],
      ) => [name, { args: parameters.map((kind) => kinds[kind]), returns: "i32" as const }]),
    );
    // A variable is loaded as if it were a function, which is never called: its place is what is wanted.
    const statics = Object.fromEntries(
      variables.map((name) => [name, { args: [], returns: "void" as const }]),
    );
    const { symbols } = dlopen(path, { ...functions, ...statics });
    const places = symbols as unknown as Readonly<Record<string, { readonly ptr: number }>>;
    return {
      call: symbols as never,
      addresses: Object.fromEntries(variables.map((name) => [name, places[name]!.ptr])),
    };
  };
}
