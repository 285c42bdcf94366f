/**
 * The page that a run ends with: what was run, what came out, and what the numbers mean.
 */
import type { Summary } from "../evaluate/summary.ts";
import type { Metrics } from "../train/metrics.ts";
import { type Markup, markup } from "./_markup.ts";
import { exampleSection } from "./_report_examples.ts";
import { resultSection } from "./_report_results.ts";
import { trainingSection } from "./_report_training.ts";
import { page } from "./page.ts";

/** A model of the run. */
export interface ReportModel {
  /** "vft", "control", "aft-dc": stands in every table and plot. */
  readonly name: string;
  /** What was measured of it. */
  readonly summary: Summary;
  /** The lines of its metrics.jsonl; none for a model that was not trained here. */
  readonly metrics: readonly Metrics[];
}

/** A question whose candidates are shown with their scores. */
export interface ReportExample {
  /** As the model was asked it. */
  readonly question: string;
  /** The right answer. */
  readonly answer?: string;
  /** A known right chain of thought. */
  readonly reference?: string;
  /** Chains of thought that a model wrote. */
  readonly candidates: readonly {
    readonly text: string;
    /** Absent when nobody judged it. */
    readonly correct?: boolean;
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
  /** A handful; none leaves the section out. */
  readonly examples: readonly ReportExample[];
  /** What a reader must know before the numbers; shown first. */
  readonly warnings: readonly string[];
}

/** The report as a complete HTML document that needs no script, no network and no other file. */
export function renderReport(report: Report): string {
  const { title, about, models, examples, warnings } = report;
  return page({
    title,
    warnings,
    body: [
      aboutList(about),
      resultSection(models),
      trainingSection(models),
      exampleSection(examples, models),
    ],
  });
}

function aboutList(about: Report["about"]): Markup | false {
  // A command is long and is copied: it gets a line and a typeface of its own.
  const wide = (label: string, value: string) => /command/i.test(label) || value.length > 60;
  return about.length > 0 &&
    markup`<dl class="about">${
      about.map(([label, value]) =>
        markup`<div class="${wide(label, value) && "wide"}"><dt>${label}</dt><dd>${value}</dd></div>\n`
      )
    }</dl>`;
}
