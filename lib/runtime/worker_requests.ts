/** The other side of `bounded_worker.ts` and `sync_worker.ts`: what runs in the thread. */

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { WorkerReply } from "./bounded_worker.ts";

/** Answers each request that the thread gets by `answer`; what that throws goes back as its message. */
export function answerRequests(answer: (request: never) => unknown): void {
  const port = parentPort;
  if (!port) throw new Error("answerRequests was called outside a worker");
  port.on("message", async (request) => {
    let reply: WorkerReply;
    try {
      reply = { answer: await answer(request as never) };
    } catch (error) {
      reply = { error: error instanceof Error ? error.message : String(error) };
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
