/** What several jobs say at the same time, as one: whoever listens knows one part of the work at a time. */

import type { Listener, ProgressEvent } from "../runtime/listener.ts";

/** Hears of the jobs by their number. */
export interface JobListener extends Listener {
  /** What a job does now. One job is followed until what it does is done, or it waits; then the one that speaks next. */
  readonly of: (job: number, event: ProgressEvent) => void;
  /** Says that a job has nothing to do for now. */
  readonly waits: (job: number) => void;
}

/** The jobs' listener: a line of several jobs about the same is told once. */
export function jobListener(listener: Listener): JobListener {
  const said = new Set<string>();
  const once = (tell: ((line: string) => void) | undefined) => (line: string) => {
    if (said.has(line)) return;
    said.add(line);
    tell?.(line);
  };
  let followed: number | undefined;
  return {
    ...listener,
    note: once(listener.note),
    warn: once(listener.warn),
    of(job, event) {
      if (event.unit !== "bytes") {
        followed ??= job;
        if (followed !== job) return;
        if (event.done >= (event.total ?? Infinity)) followed = undefined;
      }
      listener.progress?.(event);
    },
    waits(job) {
      if (followed === job) followed = undefined;
    },
  };
}
