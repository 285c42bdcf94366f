/**
 * The processes that a launcher (mpirun, srun) started together, and what they say to each other, by MPI.
 *
 * Everything waits without keeping the event loop or a core busy: a call is begun, and asked about until it is done.
 */

import { fstatSync } from "node:fs";
import process from "node:process";
import { setImmediate } from "node:timers";
import { setTimeout as delay } from "node:timers/promises";
import { environmentVariable, runtime } from "./environment.ts";
import { InputError } from "./errors.ts";
import { type Argument, findMpi, foundMpis, loadMpi, type Mpi, type MpiFamily } from "./_mpi.ts";

/**
 * Processes that compute together. Every member of a world calls what is for all (sum, min, max, broadcast, gather,
 * barrier) in the same order; a message goes from one to one. In a world of one nothing happens.
 */
export interface World extends AsyncDisposable {
  /** Which of them this one is, from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly size: number;
  /** What joins them: `Open MPI 4.1.4`; "one process" in a world of one. */
  readonly description: string;
  /**
   * Puts the sum over all ranks in place of each number: the same bytes in every rank. More than 64 KiB keep a core busy
   * until all have come, which costs less than to ask: let a call for all that is small, or `barrier`, go before.
   */
  sum(values: Float32Array | Float64Array): Promise<void>;
  /** Puts the least of all ranks in place of each number. */
  min(values: Float64Array): Promise<void>;
  /** Puts the greatest of all ranks in place of each number. */
  max(values: Float64Array): Promise<void>;
  /** Gives every rank what rank 0 passes. What others pass is not looked at. */
  broadcast(bytes?: Uint8Array): Promise<Uint8Array>;
  /** Gives rank 0 what each rank passes, by rank; the others get nothing, in a list that is empty. */
  gather(bytes: Uint8Array): Promise<Uint8Array[]>;
  /** Waits until all have come here. */
  barrier(): Promise<void>;
  /** Sends a message to another rank, which asks for it by `receive`. Resolves when `bytes` may be changed. */
  send(to: number, bytes: Uint8Array): Promise<void>;
  /** The next message to this rank, from a rank or from whichever sends first. Those of one sender come in order. */
  receive(from?: number): Promise<{ readonly from: number; readonly bytes: Uint8Array }>;
  /** Ends all ranks at once with this exit code: it does not return, but in a world of one. */
  abort(code: number): void;
}

/** What a launcher says of itself in the environment of the processes it starts. */
export interface Launch {
  /** The launcher, as a person knows it. */
  readonly by: string;
  /** Processes that it started together; undefined where it does not say. */
  readonly size: number | undefined;
  /** Which of them this is. */
  readonly rank: number;
  /** The MPI that it belongs to; undefined where any may serve. */
  readonly family?: MpiFamily;
  /** Whether it helps no MPI to join them: Slurm without a plugin for one. */
  readonly apart?: boolean;
}

/** Which launcher started this process; undefined for a process of its own. Slurm is asked last: it may start mpirun. */
export function launched(): Launch | undefined {
  const count = (name: string) => {
    const value = environmentVariable(name);
    return value === undefined ? undefined : Number(value);
  };
  const slurm = count("SLURM_STEP_NUM_TASKS"), bySlurm = slurm === undefined ? undefined : "srun";
  const openMpi = count("OMPI_COMM_WORLD_SIZE"), pmi = count("PMI_SIZE"), pmix = count("PMIX_RANK");
  if (openMpi !== undefined) {
    const rank = count("OMPI_COMM_WORLD_RANK") ?? 0;
    return { by: "mpirun of Open MPI", size: openMpi, rank, family: "Open MPI" };
  }
  if (pmi !== undefined) {
    return { by: bySlurm ?? "mpirun of MPICH", size: pmi, rank: count("PMI_RANK") ?? 0, family: "MPICH" };
  }
  if (pmix !== undefined) return { by: bySlurm ?? "a launcher with PMIx", size: slurm, rank: pmix };
  // Cray's plugin sets others than these two.
  const apart = !Object.keys(process.env).some((name) => name.startsWith("PMI"));
  return bySlurm && { by: bySlurm, size: slurm, rank: count("SLURM_PROCID") ?? 0, apart };
}

/** A process by itself. */
export const alone: World = {
  rank: 0,
  size: 1,
  description: "one process",
  sum: () => Promise.resolve(),
  min: () => Promise.resolve(),
  max: () => Promise.resolve(),
  broadcast: (bytes = new Uint8Array()) => Promise.resolve(bytes),
  gather: (bytes) => Promise.resolve([bytes]),
  barrier: () => Promise.resolve(),
  send: () => Promise.reject(new Error("Cannot send: there is no other rank")),
  receive: () => Promise.reject(new Error("Cannot receive: there is no other rank")),
  abort() {},
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/**
 * The world that this process was started in: of one, which opens nothing, unless a launcher's variables say otherwise.
 * To be opened once, and disposed of at the end, when all have come there; a rank that fails calls `abort`.
 *
 * `AFT_MPI` names a library in another place than the usual ones; `AFT_MPI=none` makes each process a world of its own.
 *
 * ```ts
 * import { openWorld } from "./mod.ts";
 *
 * await using world = await openWorld();
 * const ones = new Float64Array([1]);
 * await world.sum(ones);
 * if (world.rank === 0) console.log(ones[0], "processes"); // mpirun -n 4 deno run -A counted.ts: 4 processes
 * ```
 *
 * @throws {InputError} when a launcher started several processes and no MPI library joins them
 */
export async function openWorld(): Promise<World> {
  const launch = launched();
  if (!launch || launch.size === 1 || environmentVariable("AFT_MPI") === "none") return alone;
  const cannot = `Cannot join the ${launch.size ?? ""} processes that ${launch.by} started`.replace(
    "  ",
    " ",
  );
  if (runtime().name === "node") {
    throw new InputError(`${cannot}: Node has no foreign function interface; run this under Deno or Bun`);
  }
  if (launch.apart) {
    throw new InputError(
      `${cannot}: Slurm does it by a plugin, pmi2 for MPICH or pmix for Open MPI; AFT_MPI=none keeps them apart`,
    );
  }
  if (runtime().name === "bun" && !isOpen(environmentVariable("PMI_FD"))) {
    throw new InputError(
      `${cannot}: its connection (PMI_FD) is closed, as Bun closes it to a script of package.json; give Bun the file itself`,
    );
  }
  const path = findMpi(launch.family);
  if (path === undefined) {
    const asked = environmentVariable("AFT_MPI");
    const where = asked === undefined ? "" : ` at ${asked}, which AFT_MPI names`;
    throw new InputError(`${cannot}: there is no MPI library${where}; ${installMpi(launch.family)}`);
  }
  const world = makeWorld(await loadMpi(path));
  if (launch.size !== undefined && world.size !== launch.size) {
    const known = world.size === 1 ? "one alone" : world.size;
    throw new InputError(
      `${cannot}: ${world.description}, ${path}, knows of ${known}; AFT_MPI names the library of the launcher`,
    );
  }
  return world;
}

/** Whether a descriptor that a launcher opened for this process has come here; none is as good. */
function isOpen(descriptor: string | undefined): boolean {
  if (descriptor === undefined) return true;
  try {
    fstatSync(Number(descriptor));
    return true;
  } catch {
    return false;
  }
}

/** The MPI libraries that could join processes here, each by path and name; none under Node. */
export async function availableMpi(): Promise<{ readonly path: string; readonly version: string }[]> {
  return runtime().name === "node" ? [] : await foundMpis();
}

/** Which package has the library. */
export function installMpi(family?: MpiFamily): string {
  const [debian, fedora] = family === "MPICH" ? ["libmpich12", "mpich"] : ["libopenmpi3", "openmpi"];
  return `apt install ${debian}, or dnf install ${fedora}`;
}

/** Bytes of a large sum that are taken at once: others have their turn in between. */
const BUCKET = 32 * 2 ** 20;
/** Up to here a sum is begun and asked about; a larger one is fastest by the call that waits, for which all should be there. */
const SMALL = 64 * 2 ** 10;
/** Bytes of a broadcast's piece: counts have 32 bits. */
const PIECE = 256 * 2 ** 20;
/** Messages of `send`, and those of `gather`. */
const MESSAGE = 1, GATHERED = 2;
/** Calls come from one thread alone (MPI_THREAD_FUNNELED). */
const FUNNELED = 1;
/** Bytes of a status, at least: Open MPI's has 24, MPICH's 20. */
const STATUS = 64;

function makeWorld(mpi: Mpi): World {
  const { call, handle } = mpi, { world: all, byte, f32, f64 } = handle;
  call.MPI_Init_thread(0n, 0n, FUNNELED, new Int32Array(1));
  const ask = (which: "MPI_Comm_rank" | "MPI_Comm_size") => {
    const answer = new Int32Array(1);
    call[which](all, answer);
    return answer[0]!;
  };
  const rank = ask("MPI_Comm_rank"), size = ask("MPI_Comm_size");
  const flag = new Int32Array(1), ignored = new Int32Array(STATUS / 4);
  /** Begins a call that leaves a request, and waits for it. Its buffers live as long as the caller awaits this. */
  const wait = async (begin: (request: BigInt64Array) => void) => {
    const request = new BigInt64Array(1);
    begin(request);
    await until(() => {
      flag[0] = 0;
      call.MPI_Test(request, flag, ignored);
      return flag[0] !== 0;
    });
  };
  const barrier = () => wait((request) => call.MPI_Ibarrier(all, request));
  const reduce = async (values: Float32Array | Float64Array, operation: Argument) => {
    const kind = values instanceof Float32Array ? f32 : f64;
    if (values.length === 0) return;
    if (values.byteLength <= SMALL) {
      return await wait((request) =>
        call.MPI_Iallreduce(mpi.inPlace, values, values.length, kind, operation, all, request)
      );
    }
    const step = BUCKET / values.BYTES_PER_ELEMENT;
    for (let at = 0; at < values.length; at += step) {
      const part = values.subarray(at, at + step);
      call.MPI_Allreduce(mpi.inPlace, part, part.length, kind, operation, all);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  };
  const broadcast = async (bytes: Uint8Array = new Uint8Array()) => {
    const length = new Float64Array([bytes.length]);
    await wait((request) => call.MPI_Ibcast(length, 1, f64, 0, all, request));
    const whole = rank === 0 ? bytes : new Uint8Array(length[0]!);
    for (let at = 0; at < whole.length; at += PIECE) {
      const part = whole.subarray(at, at + PIECE);
      await wait((request) => call.MPI_Ibcast(part, part.length, byte, 0, all, request));
    }
    return whole;
  };
  const send = async (to: number, { bytes, tag }: { readonly bytes: Uint8Array; readonly tag: number }) => {
    // Deno has no address for nothing.
    const buffer = bytes.length === 0 ? new Uint8Array(1) : bytes;
    await wait((request) => call.MPI_Isend(buffer, bytes.length, byte, to, tag, all, request));
  };
  const receive = async (from: number, tag: number) => {
    const status = new Int32Array(STATUS / 4), count = new Int32Array(1);
    await until(() => {
      flag[0] = 0;
      call.MPI_Iprobe(from, tag, all, flag, status);
      return flag[0] !== 0;
    });
    call.MPI_Get_count(status, byte, count);
    const source = status[mpi.sourceAt]!, bytes = new Uint8Array(count[0]!);
    const buffer = bytes.length === 0 ? new Uint8Array(1) : bytes;
    await wait((request) => call.MPI_Irecv(buffer, bytes.length, byte, source, tag, all, request));
    return { from: source, bytes };
  };
  return {
    rank,
    size,
    description: mpi.version,
    sum: (values) => reduce(values, handle.sum),
    min: (values) => reduce(values, handle.min),
    max: (values) => reduce(values, handle.max),
    broadcast,
    barrier,
    async gather(bytes) {
      if (rank !== 0) {
        await send(0, { bytes, tag: GATHERED });
        return [];
      }
      const gathered = [bytes];
      for (let other = 1; other < size; other++) gathered.push((await receive(other, GATHERED)).bytes);
      return gathered;
    },
    send: (to, bytes) => send(to, { bytes, tag: MESSAGE }),
    receive: (from = mpi.anySource) => receive(from, MESSAGE),
    abort: (code) => void call.MPI_Abort(all, code),
    async [Symbol.asyncDispose]() {
      await barrier(); // without a busy wait for the slowest
      call.MPI_Finalize();
    },
  };
}

/** Milliseconds in which an answer is asked for again and again; then others have their turn, and then the core its rest. */
const SPIN = 0.1, TURNS = 10, REST = 4;

async function until(isDone: () => boolean): Promise<void> {
  const started = performance.now();
  while (!isDone()) {
    const waited = performance.now() - started;
    if (waited < SPIN) continue;
    if (waited < TURNS) await new Promise<void>((resolve) => setImmediate(resolve));
    else await delay(Math.min(REST, waited / 20));
  }
}
