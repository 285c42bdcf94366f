/**
 * Work that nobody can interrupt (a library that reads a corrupt file), in a thread that can be ended.
 *
 * Node and Bun stop a thread that is ended. Deno 2.9 does not while it is inside a loop: whoever asked gets the error in
 * time and the process can end, but until then the thread keeps a core busy. So what runs here must come to an end by
 * itself too: `lib/data/_parquet_bounds.ts` sees to it for Parquet.
 */

import { Worker } from "node:worker_threads";
import { InputError } from "./errors.ts";
import { workerModule } from "./worker_module.ts";

/** A thread that answers one request at a time. Dispose of it when done: an open one keeps the process alive. */
export interface BoundedWorker extends AsyncDisposable {
  /**
   * Sends a request and waits for its answer; both are copied as `structuredClone` does.
   *
   * @param options `milliseconds`, the longest that it may take; `signal`, which ends it
   * @throws {InputError} with the worker's own message; or, when time is up, the one that `overdue` makes. The thread is
   * ended then, and takes no further request
   */
  call(request: unknown, options: {
    readonly milliseconds: number;
    readonly overdue: () => string;
    readonly signal?: AbortSignal | undefined;
  }): Promise<unknown>;
}

/** What a worker's module sends back: an answer, or what it threw. */
export type WorkerReply = { readonly answer: unknown } | { readonly error: string };

/**
 * Starts a thread on a module that calls `answerRequests` of `worker_requests.ts`.
 *
 * @param module the module beside the caller's: `new URL("./_parquet_worker.ts", import.meta.url)`
 */
export function openBoundedWorker(module: URL): BoundedWorker {
  const worker = new Worker(workerModule(module));
  let ended = false;
  const end = async () => {
    ended = true;
    await worker.terminate();
  };
  return {
    async call(request, { milliseconds, overdue, signal }) {
      signal?.throwIfAborted();
      if (ended) throw new Error("The worker was ended");
      let settle: { resolve: (reply: WorkerReply) => void; reject: (reason: unknown) => void };
      const replied = new Promise<WorkerReply>((resolve, reject) => settle = { resolve, reject });
      const aborted = () => settle.reject(signal!.reason);
      // Also what a library left unhandled there.
      const failed = (error: Error) => settle.reject(new InputError(error.message));
      const gone = () =>
        settle.reject(new InputError("A worker ended before it had answered: out of memory"));
      worker.once("message", settle!.resolve).once("error", failed).once("exit", gone);
      signal?.addEventListener("abort", aborted, { once: true });
      const timer = setTimeout(() => settle.reject(new InputError(overdue())), milliseconds);
      try {
        worker.postMessage(request);
        const reply = await replied;
        if ("error" in reply) throw new InputError(reply.error);
        return reply.answer;
      } catch (error) {
        // It may still be busy with this request, so it cannot take another.
        await end();
        throw error;
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener("abort", aborted);
        worker.off("message", settle!.resolve).off("error", failed).off("exit", gone);
      }
    },
    [Symbol.asyncDispose]: end,
  };
}
