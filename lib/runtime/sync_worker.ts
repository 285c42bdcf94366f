/**
 * The same as `bounded_worker.ts` for callers that cannot wait for a promise: this thread sleeps until the other has
 * answered, or its time is up.
 */

import process from "node:process";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { WorkerReply } from "./bounded_worker.ts";
import { InputError } from "./errors.ts";
import { workerModule } from "./worker_module.ts";

/**
 * Threads that may be at work although they were ended. Node and Bun stop a thread that is ended; Deno 2.9 does not while
 * it is inside a regular expression or a loop: it keeps a core busy until it has its answer, or the process ends.
 */
const MOST_LEFT = 2;

/** Of threads that were ended at work, what becomes 1 when they have their answer after all. */
let left: Int32Array[] = [];

/** How many threads that were ended are still at work: always 0 where the runtime stops them. */
export function threadsLeftAtWork(): number {
  left = left.filter((answered) => Atomics.load(answered, 0) === 0);
  return left.length;
}

/** A thread that answers one request at a time. It does not keep the process alive. */
export interface SyncWorker extends Disposable {
  /**
   * Sends a request and sleeps until it is answered; both are copied as `structuredClone` does.
   *
   * @param options `milliseconds`, the processor time that it may take
   *
   * @throws {InputError} with the worker's own message; or, when time is up, the one that `overdue` makes. The thread is
   * ended then, and every further request gets the same error: one thread at most stays at work (see `MOST_LEFT`)
   */
  call(request: unknown, options: { readonly milliseconds: number; readonly overdue: () => string }): unknown;
}

/**
 * Sleeps until there is an answer; false when the thread has worked for so many milliseconds without one. This thread
 * sleeps, so the process's processor time is the other's, and what else the machine does cannot make it late; a thread
 * that waits for its turn, or for nothing at all, is given up after sixteen times as long.
 */
function inTime(answered: Int32Array, milliseconds: number): boolean {
  const began = performance.now(), used = process.cpuUsage(), others = threadsLeftAtWork();
  for (;;) {
    if (Atomics.wait(answered, 0, 0, Math.min(milliseconds, 100)) !== "timed-out") return true;
    const { user, system } = process.cpuUsage(used), passed = performance.now() - began;
    const worked = (user + system) / 1000 / (1 + others);
    if ((passed >= milliseconds && worked >= milliseconds) || passed >= 16 * milliseconds) return false;
  }
}

/**
 * Starts a thread on a module that calls `answerSyncRequests` of `worker_requests.ts`; see `openBoundedWorker`.
 *
 * @throws {InputError} when two threads of this process were ended and are still at work
 */
export function openSyncWorker(module: URL): SyncWorker {
  if (threadsLeftAtWork() >= MOST_LEFT) {
    throw new InputError(
      `${MOST_LEFT} threads that took too long are still at work, and Deno cannot stop them: a third is not begun in this process`,
    );
  }
  const answered = new Int32Array(new SharedArrayBuffer(4)),
    { port1: here, port2: there } = new MessageChannel();
  const worker = new Worker(workerModule(module), {
    workerData: { answered, port: there },
    transferList: [there],
    // A regular expression that is compiled, or a text that grows, must not take the machine's memory with it.
    resourceLimits: { maxOldGenerationSizeMb: 2048 },
  });
  worker.unref();
  here.unref();
  worker.on("error", () => {}); // whoever calls is told
  let ended: InputError | undefined;
  const end = (reason: InputError): InputError => {
    ended ??= reason;
    here.close();
    worker.terminate();
    return reason;
  };
  return {
    call(request, { milliseconds, overdue }) {
      if (ended) throw ended;
      Atomics.store(answered, 0, 0);
      here.postMessage(request);
      if (!inTime(answered, milliseconds)) {
        if ("Deno" in globalThis) left.push(answered);
        throw end(new InputError(overdue()));
      }
      const reply = receiveMessageOnPort(here)?.message as WorkerReply;
      if ("error" in reply) throw new InputError(reply.error);
      return reply.answer;
    },
    [Symbol.dispose]: () => {
      end(new InputError("A worker was asked after it was ended"));
    },
  };
}
