/**
 * The page that a run ends with: what was run, what came out, and what the numbers mean.
 */
import { type Markup, markup } from "./_markup.ts";
import { exampleSection } from "./_report_examples.ts";
import { headline, resultSection } from "./_report_results.ts";
import { roundsSection } from "./_report_rounds.ts";
import { trainingSection } from "./_report_training.ts";
import type { Report } from "./contents.ts";
import { page } from "./page.ts";

/** The report as a complete HTML document that needs no script, no network and no other file. */
export function renderReport(report: Report): string {
  const { title, about, models, rows = [], rounds = [], examples, warnings } = report;
  return page({
    title,
    lead: headline(models),
    warnings,
    body: [
      aboutList(about),
      resultSection(models, rows),
      roundsSection(rounds),
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
