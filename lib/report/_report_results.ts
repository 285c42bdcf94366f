import { type Markup, markup } from "./_markup.ts";
import { type Figure, summaryFigures } from "../evaluate/figures.ts";
import { pageColumn, termOf } from "./figure_column.ts";
import { wilson } from "./_interval.ts";
import { fixed } from "./fixed.ts";
import { type HtmlColumn, htmlTable } from "./html_table.ts";
import { terms } from "./page.ts";
import { dotChart } from "./plots.ts";
import type { Report, ReportModel } from "./contents.ts";

/** Figures of the main table. The letters of options are the study's. */
const shown: readonly Figure[] = (Object.values(summaryFigures) as readonly Figure[]).filter((
  { key, single },
) => key !== "option_accuracy" && !single);

const columns: readonly HtmlColumn[] = [{ key: "name", title: "Model" }, ...shown.map(pageColumn)];

/** The main table, its words and its two plots. */
export function resultSection(
  models: readonly ReportModel[],
  explained: NonNullable<Report["rows"]> = [],
): Markup {
  if (models.length === 0) {
    return markup`<section><h2>Results</h2><p class="empty">No model was measured.</p></section>`;
  }
  const rows = models.map(({ name, summary }) => ({ ...summary, name }));
  const measured = columns.filter(({ key }) =>
    key !== "no_end_token" || models.some(({ summary }) => summary.no_end_token !== undefined)
  );
  const questions = range(models.map(({ summary }) => summary.questions));
  const mixed = range(models.map(({ summary }) => summary.mixed_questions));
  const findings = [finding(models, "accuracy"), finding(models, "assessment_accuracy")];
  return markup`<section aria-labelledby="results">
<h2 id="results">Results</h2>
${findings.map((line) => line && markup`<p class="lead">${line}</p>\n`)}
${
    htmlTable(measured, {
      rows,
      caption:
        `${questions} questions; ${mixed} of them have right and wrong candidates, which the last columns and ` +
        "assessment accuracy need. Shaded and bold: the best of a column. –: not measured.",
    })
  }
<div class="pair">
${plot(models, "accuracy")}
${plot(models, "assessment_accuracy")}
</div>
${
    explained.length > 0 &&
    markup`<h3>What the rows are</h3>
${terms(explained.map(({ name, meaning }) => ({ term: name, meaning })))}`
  }
<h3>What the numbers mean</h3>
${terms(shown.map(termOf))}
</section>`;
}

function plot(models: readonly ReportModel[], key: keyof typeof measures): Markup {
  const { words: x, count } = measures[key];
  const rows = models.map(({ name, summary }) => {
    const value = summary[key], n = summary[count];
    return { name, value, interval: value !== undefined && n > 0 ? wilson(value, n) : undefined };
  });
  const caption = rows.some(({ value }) => value !== undefined) &&
    markup`<figcaption>Dot: what was measured. Bar: its 95% interval, for other questions of the same kind would give another number${
      key === "assessment_accuracy" && " (at the widest)"
    }. ${rows.length > 1 && "Dashed: the first row. "}The axis need not start at 0.</figcaption>`;
  return markup`<figure><h3>${x}</h3>${
    dotChart(rows, {
      x: `${x} (further right is better)`,
      percent: true,
      rule: rows.length > 1 ? rows[0]?.value : undefined,
      label: `${x} by model: ${
        rows.map(({ name, value }) => `${name} ${value === undefined ? "not measured" : percent(value)}`)
          .join(", ")
      }`,
    })
  }${caption}</figure>`;
}

const measures = {
  accuracy: { words: summaryFigures.accuracy.title, count: "questions" },
  assessment_accuracy: { words: summaryFigures.assessment_accuracy.title, count: "mixed_questions" },
} as const;

/**
 * The outcome in words. What can be chance is 1.96 standard errors of a difference of two independent shares: with the
 * same questions for both models it is less, so a difference is never called real too early.
 */
function finding(models: readonly ReportModel[], key: keyof typeof measures): string | undefined {
  const { words, count } = measures[key];
  const known = models.filter(({ summary }) => summary[key] !== undefined);
  const [first] = models;
  if (!first || known.length === 0) return undefined;
  const best = known.reduce((a, b) => b.summary[key]! > a.summary[key]! ? b : a);
  const top = best.summary[key]!, n = best.summary[count];
  if (models.length === 1) return `${words} of ${best.name}: ${percent(top)} of ${n} questions.`;
  const value = first.summary[key];
  if (known.length === 1 || value === undefined) {
    return `${words} is highest for ${best.name}: ${percent(top)}.`;
  }
  if (top === value) return `${words}: no model is above ${first.name}, which has ${percent(value)}.`;
  const points = (top - value) * 100;
  const chance = chanceOf(value, top, n);
  const judgement = points < chance
    ? `With ${n} questions a difference up to about ${chance.toFixed(0)} points can be chance.`
    : `With ${n} questions that is more than chance alone would give.`;
  return `${words} is highest for ${best.name}: ${percent(top)}, ${
    fixed(points, 1)
  } points above ${first.name}. ${judgement}`;
}

/**
 * What came out, in one sentence: the best answers beside the first model's, or how well right and wrong are told apart
 * where no answers were measured. Undefined where neither was.
 */
export function headline(models: readonly ReportModel[]): string | undefined {
  for (const key of ["accuracy", "assessment_accuracy"] as const) {
    const { count } = measures[key], known = models.filter(({ summary }) => summary[key] !== undefined);
    if (known.length === 0) continue;
    const does = key === "accuracy" ? "answers" : "tells right from wrong in";
    const of = (n: number) =>
      key === "accuracy" ? `of ${n} test problems right` : `of the pairs of ${n} test problems`;
    const best = known.reduce((a, b) => b.summary[key]! > a.summary[key]! ? b : a), first = models[0]!;
    const top = best.summary[key]!, n = best.summary[count], start = first.summary[key];
    if (best === first || start === undefined || top === start) {
      const others = known.length > 1 ? ", and no model more" : "";
      return `${best.name} ${does} ${percent(top)} ${of(n)}${others}.`;
    }
    const points = (top - start) * 100, chance = chanceOf(start, top, n);
    return `${best.name} ${does} ${percent(top)} ${of(n)}, ${
      fixed(points, 1)
    } points more than ${first.name}: ${
      points < chance ? "that can be chance" : "more than chance alone would give"
    }.`;
  }
  return undefined;
}

/** Points up to which a difference of two shares of n questions can be chance: 1.96 standard errors. */
function chanceOf(one: number, other: number, n: number): number {
  return 196 * Math.sqrt((one * (1 - one) + other * (1 - other)) / n);
}

function percent(share: number): string {
  return `${fixed(share * 100, 1)}%`;
}

function range(counts: readonly number[]): string {
  const low = Math.min(...counts), high = Math.max(...counts);
  return low === high ? String(low) : `${low} to ${high}`;
}
