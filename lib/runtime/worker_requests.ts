/** The other side of `bounded_worker.ts` and `sync_worker.ts`: what runs in the thread. */

import process from "node:process";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { WorkerReply } from "./bounded_worker.ts";

/**
 * Answers each request that the thread gets by `answer`; what that throws goes back as its message. So does what a library
 * left unhandled meanwhile, which the runtime would show with its stack.
 */
export function answerRequests(answer: (request: never) => unknown): void {
  const port = parentPort;
  if (!port) throw new Error("answerRequests was called outside a worker");
  const lineOf = (error: unknown) => error instanceof Error ? error.message : String(error);
  let stray: (error: unknown) => void = () => {};
  process.on("unhandledRejection", (error) => stray(error));
  port.on("message", async (request) => {
    let reply: WorkerReply;
    try {
      const left = new Promise<never>((_, reject) => stray = reject);
      left.catch(() => {}); // what comes behind the answer is nobody's
      reply = { answer: await Promise.race([answer(request as never), left]) };
    } catch (error) {
      reply = { error: lineOf(error) };
    }
    port.postMessage(reply);
  });
}

/** The same for a thread that `openSyncWorker` started, whose caller sleeps meanwhile. */
export function answerSyncRequests(answer: (request: never) => unknown): void {
  const { answered, port } = workerData as { readonly answered: Int32Array; readonly port: MessagePort };
  port.on("message", (request) => {
    let reply: WorkerReply;
    try {
      reply = { answer: answer(request as never) };
    } catch (error) {
      reply = { error: error instanceof Error ? error.message : String(error) };
    }
    port.postMessage(reply);
    // Also of a thread that was ended meanwhile: whoever counts those at work sees that it is not.
    Atomics.store(answered, 0, 1);
    Atomics.notify(answered, 0);
  });
}
