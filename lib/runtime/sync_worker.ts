/**
 * The same as `bounded_worker.ts` for callers that cannot wait for a promise: this thread sleeps until the other has
 * answered, or its time is up.
 */

import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { WorkerReply } from "./bounded_worker.ts";
import { InputError } from "./errors.ts";
import { workerModule } from "./worker_module.ts";

/** A thread that answers one request at a time. It does not keep the process alive. */
export interface SyncWorker extends Disposable {
  /**
   * Sends a request and sleeps until it is answered; both are copied as `structuredClone` does.
   *
   * @throws {InputError} with the worker's own message; or, when time is up, the one that `overdue` makes. The thread is
   * ended then, and every further request gets the same error
   */
  call(request: unknown, options: { readonly milliseconds: number; readonly overdue: () => string }): unknown;
}

/** Starts a thread on a module that calls `answerSyncRequests` of `worker_requests.ts`; see `openBoundedWorker`. */
export function openSyncWorker(module: URL): SyncWorker {
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
      if (Atomics.wait(answered, 0, 0, milliseconds) === "timed-out") throw end(new InputError(overdue()));
      const reply = receiveMessageOnPort(here)?.message as WorkerReply;
      if ("error" in reply) throw new InputError(reply.error);
      return reply.answer;
    },
    [Symbol.dispose]: () => {
      end(new InputError("A worker was asked after it was ended"));
    },
  };
}
