/**
 * A study shared out over jobs: threads of this process, each with a CPU device of its own, that make the cells of one
 * experiment and seed at a time. Small products gain little from more threads, and whole cells gain all. Threads and not
 * processes, since a study may run no program; what a cell is does not depend on who made it.
 */

import { Worker } from "node:worker_threads";
import { threadsToUse } from "../backend/threads.ts";
import { InputError } from "../runtime/errors.ts";
import { gpuInUse } from "../runtime/gpu.ts";
import type { Listener } from "../runtime/listener.ts";
import type { TakenPath } from "../pipeline/stages.ts";
import { heard } from "../runtime/told_error.ts";
import { workerModule } from "../runtime/worker_module.ts";
import { jobListener } from "./_job_listener.ts";
import type { FromJob, JobStart, Piece, ToJob } from "./_job_messages.ts";
import { PathsTaken } from "./_paths_taken.ts";
import { partName } from "./experiments.ts";
import type { StudySettings } from "./settings.ts";
import type { StudyRun } from "./study_options.ts";

/** Jobs at work. Disposing of them ends what they do within a moment, to be gone on with. */
export interface Jobs extends AsyncDisposable {
  /**
   * Waits until the cells of an experiment are made for all seeds.
   *
   * @returns which backend served, where a model was opened
   * @throws what a job failed with
   */
  made(part: string): Promise<string | undefined>;
  /** Takes a path of the study for this thread until it is disposed of. */
  take(path: string): Promise<TakenPath>;
}

/** Every experiment and seed, in the order in which they are dealt. */
export function piecesOf(
  asked: readonly { readonly name: string; readonly sizes: StudySettings }[],
): Piece[] {
  return asked.flatMap(({ name, sizes }) =>
    sizes.seeds.map((seed) => ({ name, sizes: { ...sizes, seeds: [seed] }, kept: sizes }))
  );
}

/** What is to come of an experiment. */
interface Part {
  left: number;
  backend?: string | undefined;
  readonly made: PromiseWithResolvers<void>;
}

/** Starts so many jobs on the pieces. */
export function startJobs(
  pieces: readonly Piece[],
  { count, run, listener }: { readonly count: number; readonly run: StudyRun; readonly listener: Listener },
): Jobs {
  const { out, dataDirectory, backend, microBatch, signal } = run;
  const start: JobStart = {
    ...{ out, dataDirectory, backend, microBatch },
    threads: Math.max(1, Math.floor(threadsToUse() / count)),
    gpu: gpuInUse(),
  };
  const told = jobListener(listener), taken = new PathsTaken(), waiting = [...pieces];
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => {}); // told to whoever waits for an experiment
  const parts = new Map<string, Part>();
  for (const { name, sizes } of pieces) {
    const part = partName(name, sizes), known = parts.get(part);
    if (known) known.left++;
    else parts.set(part, { left: 1, made: Promise.withResolvers() });
  }
  let made = 0;
  const finish = ({ name, sizes }: Piece, backend: string | undefined, began: number) => {
    const title = partName(name, sizes), part = parts.get(title)!;
    part.backend ??= backend;
    if (--part.left === 0) part.made.resolve();
    const seconds = Math.round((performance.now() - began) / 1000);
    told.note?.(`${title}, seed ${sizes.seeds[0]}: made in ${seconds} s (${++made} of ${pieces.length})`);
  };
  const jobs = Array.from({ length: count }, (_, number) => {
    const worker = new Worker(workerModule(new URL("./_job.ts", import.meta.url)), { workerData: start });
    const tell = (message: ToJob) => worker.postMessage(message);
    let piece: Piece | undefined, began = 0;
    const idle = Promise.withResolvers<void>();
    const next = () => {
      told.waits(number);
      piece = waiting.shift();
      if (piece === undefined) return idle.resolve();
      began = performance.now();
      tell({ perform: piece });
    };
    const fail = (error: Error) => {
      failure.reject(error);
      stop();
      idle.resolve();
    };
    const hear = (message: FromJob) => {
      if ("say" in message) told[message.say]?.(message.line);
      else if ("progress" in message) told.of(number, message.progress);
      else if ("metrics" in message) told.metrics?.(message.model, message.metrics);
      else if ("want" in message) {
        if (!taken.want(message.want, (first) => tell({ granted: message.number, first }))) {
          told.waits(number);
        }
      } else if ("give" in message) taken.give(message.give);
      else if ("failed" in message) fail(heard(message.failed));
      else {
        finish(piece!, message.done.backend, began);
        next();
      }
    };
    worker.on("message", hear)
      .on("error", (error: Error) => fail(new InputError(`A job of the study failed: ${error.message}`)))
      .on(
        "exit",
        () => fail(new InputError("A job of the study ended before its cells were made: out of memory")),
      );
    next();
    return { worker, tell, idle: idle.promise };
  });
  function stop(): void {
    waiting.length = 0;
    for (const { tell } of jobs) tell({ end: true });
  }
  const interrupted = () => {
    failure.reject(signal!.reason);
    stop();
  };
  signal?.addEventListener("abort", interrupted, { once: true });
  return {
    async made(name) {
      const part = parts.get(name)!;
      await Promise.race([part.made.promise, failure.promise]);
      return part.backend;
    },
    async take(path) {
      const turn = new Promise<boolean>((mine) => taken.want(path, mine));
      const first = await Promise.race([turn, failure.promise]);
      return {
        first,
        [Symbol.asyncDispose]: () => {
          taken.give(path);
          return Promise.resolve();
        },
      };
    },
    async [Symbol.asyncDispose]() {
      signal?.removeEventListener("abort", interrupted);
      stop();
      await Promise.all(jobs.map(({ idle }) => idle));
      await Promise.all(jobs.map(({ worker }) => worker.terminate()));
    },
  };
}
