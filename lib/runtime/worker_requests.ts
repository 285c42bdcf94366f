/** The other side of `bounded_worker.ts`: what runs in the thread. */

import { parentPort } from "node:worker_threads";
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
