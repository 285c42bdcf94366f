/** What a study's jobs and the thread that started them tell each other. */

import type { GpuChoice } from "../runtime/gpu.ts";
import type { ProgressEvent } from "../runtime/listener.ts";
import type { ToldError } from "../runtime/told_error.ts";
import type { StudySettings } from "./settings.ts";
import type { StudyRun } from "./study_options.ts";

/** What a job is started with. */
export interface JobStart extends Pick<StudyRun, "out" | "dataDirectory" | "backend" | "microBatch"> {
  /** Threads of its CPU device. */
  readonly threads: number;
  /** Whose WebGPU is looked for, where a backend is to be found. */
  readonly gpu: GpuChoice;
}

/** An experiment for one seed: what a job is given at a time. */
export interface Piece {
  readonly name: string;
  /** Its sizes, of that seed alone. */
  readonly sizes: StudySettings;
  /** What the whole study asked for: kept in each model's run.json. */
  readonly kept: StudySettings;
}

/** To a job: work, the word that a path is its own, or that it is to end. */
export type ToJob = { readonly perform: Piece } | { readonly granted: number; readonly first: boolean } | {
  readonly end: true;
};

/** From a job: what it says, a path that it wants or gives back, and what came of its work. */
export type FromJob =
  | { readonly say: "note" | "warn" | "detail"; readonly line: string }
  | { readonly model: string; readonly metrics: Readonly<Record<string, unknown>> }
  | { readonly progress: ProgressEvent }
  | { readonly want: string; readonly number: number }
  | { readonly give: string }
  | { readonly done: { readonly backend: string | undefined } }
  | { readonly failed: ToldError };
