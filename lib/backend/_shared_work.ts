/**
 * What a thread that has work to give and threads that take it agree on: where in the heap a job is written, and how its
 * units are handed out. A job is a list of units, each a list of calls of kernels; units may run in any order and at the
 * same time, the calls of one in their order, on one thread.
 */

import { WorthSharing } from "./_worth_sharing.ts";

/** A kernel, or the product of a native library. */
export type Kernel = (...values: number[]) => unknown;

// Words of 32 bits of the control block:
const TICKET = 0; // number of the job (upper 16 bits) and of its next unit (lower 16)
const UNITS = 1; // units of the job
const DONE = 2; // units that are done
const SLEEPING = 3; // threads that wait for a job, asleep
const GIVER_SLEEPS = 4; // whether the giver sleeps until the last unit is done
const STARTED = 5; // threads that have started
const FAILED = 6; // whether a kernel threw
const PROGRAM = 7; // where the job is written, in words of 8 bytes
const SCRATCH_AT = 8; // where the scratch of thread 0 begins, in blocks of 16 bytes
const SCRATCH_SIZE = 9; // what each thread has of it, in the same
const ENDED = 10; // whether no more work will come
const WORDS = 11;

/** Bytes of the control block. */
export const CONTROL_BYTES: number = WORDS * 4;
/** A unit's number that no job has: while it is the next, none is taken. */
const CLOSED = 0xffff;
/** Most units of one job. */
export const MOST_UNITS: number = CLOSED - 1;

/** Added to an argument: it counts from the start of the thread's own scratch. No pointer and no factor is as large. */
export const SCRATCH: number = 2 ** 40;

/** The number of the product of a native library, in place of a kernel's. */
export const NATIVE_PRODUCT = -1;

/** How often a thread looks for work before it sleeps, some 0.1 ms: waking one takes 30 to 50 µs. */
const LOOKS = 20_000;

/** A job as it is given: where it is written, and each thread's scratch. */
interface Given {
  readonly units: number;
  readonly program: number;
  readonly scratch: readonly [at: number, each: number];
  /** A number that jobs of the same units and kernels have in common. */
  readonly kind: number;
}

/** What a thread needs to take part. */
export interface Place {
  /** The heap that all threads share. */
  readonly memory: WebAssembly.Memory;
  /** First byte of the control block. */
  readonly control: number;
}

/** One thread's view of the work that is shared. */
export class SharedWork {
  readonly #memory: WebAssembly.Memory;
  readonly #words: Int32Array;
  #heap: Float64Array;
  readonly #worth = new WorthSharing();

  /** @param kernelOf the kernel of a number, on this thread */
  constructor({ memory, control }: Place, readonly kernelOf: (kernel: number) => Kernel) {
    this.#memory = memory;
    this.#words = new Int32Array(memory.buffer, control, WORDS);
    this.#heap = new Float64Array(memory.buffer);
  }

  /** Threads that have started besides the giver. */
  get started(): number {
    return Atomics.load(this.#words, STARTED);
  }

  /** Gives a job out, takes part in it, and returns when all of it is done. */
  give(job: Given): void {
    const start = performance.now();
    if (this.#worth.way === "alone") {
      this.#alone(job);
      this.#worth.tell({ kind: job.kind, start, end: performance.now(), waited: 0 });
      return;
    }
    const words = this.#words, next = ((words[TICKET]! >>> 16) + 1) << 16;
    // Closed first: a thread that is late would else take a unit of the old job by the new one's numbers.
    Atomics.store(words, TICKET, next | CLOSED);
    words[UNITS] = job.units;
    words[DONE] = 0;
    words[FAILED] = 0;
    words[GIVER_SLEEPS] = 0;
    this.#place(job);
    Atomics.store(words, TICKET, next);
    if (Atomics.load(words, SLEEPING) > 0) Atomics.notify(words, TICKET);
    this.#work(0);
    const own = performance.now();
    for (let looks = 0;;) {
      const done = Atomics.load(words, DONE);
      if (done === job.units) break;
      if (looks++ < LOOKS) continue;
      Atomics.store(words, GIVER_SLEEPS, 1);
      Atomics.wait(words, DONE, done, 1);
    }
    const end = performance.now();
    this.#worth.tell({ kind: job.kind, start, end, waited: end - own });
    if (words[FAILED] !== 0) throw new Error("A kernel failed on one of the CPU's threads");
  }

  /** Says where a job is written. */
  #place({ program, scratch }: Given): void {
    const words = this.#words;
    words[PROGRAM] = program / 8;
    words[SCRATCH_AT] = scratch[0] / 16;
    words[SCRATCH_SIZE] = scratch[1] / 16;
  }

  /** Does a job of which no other thread hears: ticket and number of units stay as the last one left them, all taken. */
  #alone(job: Given): void {
    this.#place(job);
    for (let unit = 0; unit < job.units; unit++) this.#do(unit, 0);
  }

  /** Says that no more work will come, and waits until every thread knows it, 50 ms at most. */
  end(): void {
    const words = this.#words;
    Atomics.store(words, ENDED, 1);
    // Another job, of no units: threads that sleep wait for this word to change.
    Atomics.store(words, TICKET, (((words[TICKET]! >>> 16) + 1) << 16) | CLOSED);
    Atomics.notify(words, TICKET);
    for (let tries = 0; tries < 50; tries++) {
      const left = Atomics.load(words, STARTED);
      if (left <= 0) return;
      Atomics.wait(words, STARTED, left, 1);
    }
  }

  /** Takes work, as thread 1 or more, until no more will come. */
  serve(thread: number): void {
    const words = this.#words;
    Atomics.add(words, STARTED, 1);
    for (;;) {
      this.#work(thread);
      const seen = Atomics.load(words, TICKET);
      if (Atomics.load(words, ENDED) !== 0) break;
      let looks = 0;
      while (Atomics.load(words, TICKET) === seen && looks < LOOKS) looks++;
      if (looks < LOOKS) continue;
      Atomics.add(words, SLEEPING, 1);
      Atomics.wait(words, TICKET, seen);
      Atomics.sub(words, SLEEPING, 1);
    }
    Atomics.sub(words, STARTED, 1);
    Atomics.notify(words, STARTED);
  }

  /** Does units until none is left. */
  #work(thread: number): void {
    const words = this.#words;
    for (;;) {
      const ticket = Atomics.load(words, TICKET), unit = ticket & 0xffff;
      if (unit >= Atomics.load(words, UNITS)) return;
      if (Atomics.compareExchange(words, TICKET, ticket, ticket + 1) !== ticket) continue;
      // A ticket's number comes again after 65,536 jobs, for which a thread may have been held up since it looked.
      if (unit >= Atomics.load(words, UNITS)) return;
      try {
        this.#do(unit, thread);
      } catch {
        Atomics.store(words, FAILED, 1);
      }
      Atomics.add(words, DONE, 1);
      if (Atomics.load(words, GIVER_SLEEPS) !== 0) Atomics.notify(words, DONE);
    }
  }

  /** The calls of one unit. A program says first where each unit begins, then for each call its kernel and arguments. */
  #do(unit: number, thread: number): void {
    const words = this.#words, program = words[PROGRAM]! >>> 0;
    const scratch = (words[SCRATCH_AT]! >>> 0) * 16 + thread * (words[SCRATCH_SIZE]! >>> 0) * 16;
    let heap = this.#heap;
    // Longer since the heap has grown; a program that begins in the part that is known may end beyond it.
    if (this.#memory.buffer.byteLength > heap.byteLength) {
      heap = this.#heap = new Float64Array(this.#memory.buffer);
    }
    const end = program + heap[program + unit + 1]!;
    for (let at = program + heap[program + unit]!; at < end;) {
      const kernel = heap[at++]!, count = heap[at++]!, values = new Array<number>(count);
      for (let i = 0; i < count; i++) {
        const value = heap[at++]!;
        values[i] = value >= SCRATCH ? value - SCRATCH + scratch : value;
      }
      this.kernelOf(kernel).apply(undefined, values);
    }
  }
}
