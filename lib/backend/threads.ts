import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { environmentVariable } from "../runtime/environment.ts";
import { UsageError } from "../runtime/errors.ts";
import type { NativeBlas } from "../runtime/native.ts";
import { atExit } from "../runtime/signals.ts";
import { workerModule } from "../runtime/worker_module.ts";
import { KernelTable, TABLE_BYTES } from "./_kernel_table.ts";
import { nativeProduct } from "./_native_product.ts";
import { CONTROL_BYTES, MOST_UNITS, NATIVE_PRODUCT, SCRATCH, SharedWork } from "./_shared_work.ts";
import type { ThreadData } from "./_thread.ts";
import type { AssemblyKernels } from "./instantiate.ts";

export { NATIVE_PRODUCT, SCRATCH };

/** Most threads that may be asked for. */
const MOST_THREADS = 256;

/** What records a job: units, and the calls of each. */
export interface Job {
  /** Begins the next unit. */
  unit(): void;
  /** A call of a kernel by its number; an argument plus {@linkcode SCRATCH} counts from the thread's own scratch. */
  call(kernel: number, ...values: number[]): void;
}

/** The threads of a CPU device: the one that opened it, and as many more as were asked for. */
export interface Threads {
  /** How many there are, the one that gives the work included. */
  readonly count: number;
  /** How many of them are at work by now. */
  readonly working: number;
  /** The kernels of a built module, for this thread to call. */
  module(text: string): AssemblyKernels;
  /** The number of one of them, for jobs. */
  kernel(text: string, name: string): number;
  /**
   * Runs a job and waits until it is done. Its units may run at the same time and in any order, so none may read what
   * another writes; results then are the same for any number of threads.
   *
   * @param scratchBytes what each thread needs for itself
   */
  run(scratchBytes: number, record: (job: Job) => void): void;
  /** The same on this thread alone, each call at once: for work that is over before another thread has come. */
  alone(scratchBytes: number, record: (job: Job) => void): void;
}

/** The heap of a device, and what gives out parts of it. */
export interface Heap {
  readonly memory: WebAssembly.Memory;
  allocate(bytes: number): number;
  free(pointer: number): void;
}

let chosen: number | undefined, opened: number | undefined;

/**
 * How many threads the CPU has for the whole program, this one included: to be said before a device is opened or a model
 * is loaded. Without it AFT_THREADS says so, or there are as many as this process may use at once. Results are the same
 * for any number, where a native library makes no products.
 *
 * ```ts
 * import { loadModel, useThreads } from "./mod.ts";
 *
 * useThreads(1); // leaves the other cores to other programs
 * using model = await loadModel("fixtures/base", { backend: "wasm" });
 * console.log(model.device.reason);
 * ```
 *
 * @throws {UsageError} when it is no whole number from 1 to 256, or the CPU is open with another number
 */
export function useThreads(count: number): void {
  checked(count, "The number of threads");
  if (opened !== undefined && opened !== count) {
    throw new UsageError(`Cannot use ${count} threads: the CPU is open with ${opened}`);
  }
  chosen = count;
}

/** The number of threads that {@linkcode useThreads} or AFT_THREADS says, or as many as this process may use at once. */
export function threadsToUse(): number {
  const said = environmentVariable("AFT_THREADS");
  return opened = chosen ??
    (said === undefined
      ? Math.min(MOST_THREADS, availableParallelism())
      : checked(Number(said), "AFT_THREADS"));
}

function checked(count: number, what: string): number {
  if (Number.isInteger(count) && count >= 1 && count <= MOST_THREADS) return count;
  throw new UsageError(`${what} must be a whole number from 1 to ${MOST_THREADS}: got ${count}`);
}

/**
 * Starts threads on a heap. They are at work within some 100 ms; until then the first one does all by itself. They keep
 * no process alive.
 *
 * @param count with 1, calls are made at once and nothing is written down; more need a heap that is shared
 */
export function startThreads(heap: Heap, count: number, blas: NativeBlas | undefined): Threads {
  const { memory } = heap;
  const put = (bytes: Uint8Array): [number, number] => {
    const at = heap.allocate(bytes.length);
    new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
    return [at, bytes.length];
  };
  const [table] = put(new Uint8Array(TABLE_BYTES));
  const kernels = new KernelTable({ memory, table, put, native: blas && nativeProduct(memory, blas) });
  const scratch = region(heap), program = region(heap);
  let work: SharedWork | undefined;
  if (count > 1) {
    const place = { memory, control: put(new Uint8Array(CONTROL_BYTES))[0] };
    work = new SharedWork(place, kernels.kernelOf);
    for (let thread = 1; thread < count; thread++) startThread({ place, table, thread, blas: blas?.path });
    atExit(() => work?.end());
  }
  /** Bytes of scratch that each thread gets: no two write to one line of a cache. */
  const each = (scratchBytes: number) => Math.ceil(scratchBytes / 64) * 64;
  const own = (scratchBytes: number) => scratchBytes === 0 ? 0 : scratch.atLeast(each(scratchBytes) * count);
  const alone = (scratchBytes: number, record: (job: Job) => void): void => {
    const at = own(scratchBytes);
    record({
      unit() {},
      call(kernel, ...values) {
        for (let i = 0; i < values.length; i++) if (values[i]! >= SCRATCH) values[i]! += at - SCRATCH;
        kernels.kernelOf(kernel)(...values);
      },
    });
  };
  return {
    count,
    get working() {
      return 1 + (work?.started ?? 0);
    },
    alone,
    module: (text) => kernels.module(text),
    kernel: (text, name) => kernels.number(text, name),
    run(scratchBytes, record) {
      if (!work?.started) return alone(scratchBytes, record);
      const { starts, words } = recorded(record), units = starts.length - 1;
      if (units === 0) return;
      if (units > MOST_UNITS) throw new Error(`A job of ${units} units: ${MOST_UNITS} is the most`);
      const length = starts.length + words.length, at = program.atLeast(8 * length);
      const written = new Float64Array(memory.buffer, at, length);
      written.set(starts);
      written.set(words, starts.length);
      work.give({
        units,
        program: at,
        scratch: [own(scratchBytes), each(scratchBytes)],
        kind: kindOf(units, words),
      });
    },
  };
}

/** Units, kernel and the sizes that the first call is given: pointers (larger numbers) come and go. */
function kindOf(units: number, words: readonly number[]): number {
  let kind = units;
  for (let i = 0; i < words.length && i < 16; i++) {
    const word = words[i]!;
    if (Number.isInteger(word) && word < 2 ** 17) kind = (Math.imul(kind, 31) + word) | 0;
  }
  return kind;
}

/** Where each unit begins and the last ends, counted from the first word of the program, and what follows these. */
function recorded(record: (job: Job) => void): { starts: number[]; words: number[] } {
  const starts: number[] = [], words: number[] = [];
  record({
    unit: () => void starts.push(words.length),
    call: (kernel, ...values) => void words.push(kernel, values.length, ...values),
  });
  starts.push(words.length);
  return { starts: starts.map((start) => start + starts.length), words };
}

/** Memory of a heap that lives on between uses, allocated anew only for a larger one. */
function region(heap: Heap): { atLeast(bytes: number): number } {
  let at = 0, size = 0;
  return {
    atLeast(bytes) {
      if (bytes > size) {
        if (at !== 0) heap.free(at);
        at = size = 0; // should there be no room for a larger one
        at = heap.allocate(bytes);
        size = bytes;
      }
      return at;
    },
  };
}

function startThread(workerData: ThreadData): void {
  const worker = new Worker(workerModule(new URL("./_thread.ts", import.meta.url)), { workerData });
  worker.on("error", () => {}); // it never starts, and the others do its share
  worker.unref();
}
