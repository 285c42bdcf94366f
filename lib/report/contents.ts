/** What a report is made of: numbers and texts, before any of it is a page. */

import type { Summary } from "../evaluate/summary.ts";
import type { EvaluationLine } from "../train/evaluation_figures.ts";
import type { Metrics } from "../train/metrics.ts";
import type { RoundModel } from "./rounds_table.ts";

/** A model of the run. */
export interface ReportModel {
  /** "vft", "control", "aft-dc": stands in every table and plot. */
  readonly name: string;
  /** What was measured of it. */
  readonly summary: Summary;
  /** The lines of its metrics.jsonl; none for a model that was not trained here. */
  readonly metrics: readonly Metrics[];
  /** Its evaluations on held-out records while it was trained; none where nothing was measured. */
  readonly evaluations?: readonly EvaluationLine[];
}

/** A question whose candidates are shown with their scores. */
export interface ReportExample {
  /** As the model was asked it. */
  readonly question: string;
  /** The right answer. */
  readonly answer?: string | undefined;
  /** A known right chain of thought. */
  readonly reference?: string | undefined;
  /** Chains of thought that a model wrote. */
  readonly candidates: readonly {
    readonly text: string;
    /** Absent when nobody judged it. */
    readonly correct?: boolean | undefined;
    /** Score under each model, by the model's name, in nats per token. */
    readonly scores: Readonly<Record<string, number>>;
  }[];
}

/** All that a page says. Every string may come from data or from a model: it is escaped. */
export interface Report {
  /** Heading of the page. */
  readonly title: string;
  /** Data, model, backend, machine, seed, command, wall time: label and value. */
  readonly about: readonly (readonly [label: string, value: string])[];
  /** In the order of the table; the first is what the others are compared with. */
  readonly models: readonly ReportModel[];
  /** What each row of the table is, in a sentence: by the name that it has there. */
  readonly rows?: readonly { readonly name: string; readonly meaning: string }[];
  /** A handful; none leaves the section out. */
  readonly examples: readonly ReportExample[];
  /** The same models by kind and round, where there were several rounds. */
  readonly rounds?: readonly RoundModel[];
  /** What a reader must know before the numbers; shown first. */
  readonly warnings: readonly string[];
}
