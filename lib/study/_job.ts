/** A job of a study: a thread that makes the cells of one experiment and seed after the other, as it is told. */

import { parentPort, workerData } from "node:worker_threads";
import { useThreads } from "../backend/threads.ts";
import { useGpu } from "../runtime/gpu.ts";
import type { Listener, ProgressEvent } from "../runtime/listener.ts";
import { InterruptedError } from "../runtime/signals.ts";
import { told } from "../runtime/told_error.ts";
import type { TakenPath } from "../pipeline/stages.ts";
import { alone } from "../runtime/world.ts";
import type { FromJob, JobStart, ToJob } from "./_job_messages.ts";
import { performExperiment } from "./experiments.ts";

/** Milliseconds between two events of progress: a bar is not drawn more often. */
const EVERY = 50;

const port = parentPort!;
const { threads, gpu, ...where } = workerData as JobStart;
useThreads(threads);
useGpu(gpu);

const tell = (message: FromJob) => port.postMessage(message);
const ending = new AbortController();
const wanted = new Map<number, PromiseWithResolvers<boolean>>();
let asked = 0;

/** Takes a path, which other jobs may have: whoever started us knows. */
async function take(path: string): Promise<TakenPath> {
  ending.signal.throwIfAborted();
  const turn = Promise.withResolvers<boolean>(), number = asked++;
  wanted.set(number, turn);
  tell({ want: path, number });
  const first = await turn.promise;
  return {
    first,
    [Symbol.asyncDispose]: () => {
      tell({ give: path });
      return Promise.resolve();
    },
  };
}

/** Progress as often as it can be seen, with the tokens of the events that were left out. */
function seldom(): (event: ProgressEvent) => void {
  let part: string | undefined, last = 0, tokens = 0;
  return (event) => {
    if (event.part !== part) last = tokens = 0;
    part = event.part;
    tokens += event.tokens ?? 0;
    const now = performance.now(), ended = event.done >= (event.total ?? Infinity);
    if (now - last < EVERY && !ended) return;
    tell({ progress: { ...event, ...(tokens > 0 && { tokens }) } });
    last = now;
    tokens = 0;
  };
}

const listener: Listener = {
  note: (line) => tell({ say: "note", line }),
  warn: (line) => tell({ say: "warn", line }),
  detail: (line) => tell({ say: "detail", line }),
  metrics: (model, metrics) => tell({ model, metrics }),
  progress: seldom(),
};

port.on("message", async (message: ToJob) => {
  if ("end" in message) {
    const reason = new InterruptedError("Interrupted");
    ending.abort(reason);
    for (const { reject } of wanted.values()) reject(reason);
    wanted.clear();
  } else if ("granted" in message) {
    wanted.get(message.granted)?.resolve(message.first);
    wanted.delete(message.granted);
  } else {
    const { name, sizes, kept } = message.perform;
    try {
      const { backend } = await performExperiment(name, sizes, {
        ...where,
        kept,
        listener,
        take,
        signal: ending.signal,
        world: alone,
      });
      tell({ done: { backend } });
    } catch (error) {
      tell({ failed: told(error) });
    }
  }
});
