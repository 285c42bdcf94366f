import { html, type Markup } from "./_html.ts";
import { wilson } from "./_interval.ts";
import { type HtmlColumn, htmlTable } from "./html_table.ts";
import { type Term, terms } from "./page.ts";
import { dotChart } from "./plots.ts";
import type { ReportModel } from "./report.ts";

const columns: readonly HtmlColumn[] = [
  { key: "name", title: "Model" },
  { key: "accuracy", title: "Accuracy", unit: "% ↑", percent: true, digits: 1, best: "highest" },
  { key: "majority_accuracy", title: "maj@k", unit: "% ↑", percent: true, digits: 1, best: "highest" },
  {
    key: "assessment_accuracy",
    title: "Assessment accuracy",
    unit: "% ↑",
    percent: true,
    digits: 1,
    best: "highest",
  },
  { key: "perplexity", title: "Perplexity", unit: "of references ↓", digits: 3, best: "lowest" },
  { key: "positives", title: "Right candidates", unit: "nats/token", digits: 3 },
  { key: "negatives", title: "Wrong candidates", unit: "nats/token", digits: 3 },
  { key: "margin", title: "Margin", unit: "nats/token ↑", digits: 3, best: "highest" },
  { key: "no_end_token", title: "Broke off", unit: "% ↓", percent: true, digits: 1, best: "lowest" },
];

const meanings: readonly Term[] = [
  {
    term: "Accuracy",
    better: "higher",
    meaning: "Share of questions whose greedy answer (always the likeliest next token) is right.",
  },
  {
    term: "maj@k",
    better: "higher",
    meaning: "The same when the model answers k times at random and the most frequent answer counts.",
  },
  {
    term: "Assessment accuracy",
    better: "higher",
    meaning:
      "How well the model tells right from wrong: the share of (right, wrong) pairs of candidates of one " +
      "question in which it finds the right one likelier. Guessing gives 50%.",
  },
  {
    term: "Perplexity",
    better: "lower",
    meaning:
      "How surprised the model is by the reference solutions: 1 is not at all; 2 is like a coin toss at " +
      "every token.",
  },
  {
    term: "Right and wrong candidates",
    meaning:
      "Mean score of each kind. A candidate's score is its mean log-prob per token: 0 is certain, more " +
      "negative is less likely. If both fall far, the model forgets how to write, however good the margin.",
  },
  {
    term: "Margin",
    better: "higher",
    meaning:
      "Right candidates' mean score − wrong candidates' mean score. Above 0, right chains of thought are " +
      "the likelier ones on the whole.",
  },
  {
    term: "Broke off",
    better: "lower",
    meaning: "Share of greedy answers that reached the length limit without an end.",
  },
];

/** The main table, its words and its two plots. */
export function resultSection(models: readonly ReportModel[]): Markup {
  if (models.length === 0) {
    return html`
      <section>
        <h2>Results</h2>
        <p class="empty">No model was measured.</p>
      </section>
    `;
  }
  const rows = models.map(({ name, summary }) => ({ ...summary, name }));
  const measured = columns.filter(({ key }) =>
    key !== "no_end_token" || models.some(({ summary }) => summary.no_end_token !== undefined)
  );
  const questions = range(models.map(({ summary }) => summary.questions));
  const mixed = range(models.map(({ summary }) => summary.mixed_questions));
  return html`<section aria-labelledby="results">
<h2 id="results">Results</h2>
${finding(models).map((line) => html`<p class="lead">${line}</p>\n`)}
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
<h3>What the numbers mean</h3>
${terms(meanings)}
</section>`;
}

function plot(models: readonly ReportModel[], key: "accuracy" | "assessment_accuracy"): Markup {
  const of = { accuracy: "questions", assessment_accuracy: "mixed_questions" } as const;
  const x = { accuracy: "Accuracy", assessment_accuracy: "Assessment accuracy" }[key];
  const rows = models.map(({ name, summary }) => {
    const value = summary[key], n = summary[of[key]];
    return { name, value, interval: value !== undefined && n > 0 ? wilson(value, n) : undefined };
  });
  const caption = rows.some(({ value }) => value !== undefined) &&
    html`<figcaption>Dot: what was measured. Bar: where it would lie with other questions of the same kind, 95 times in 100${
      key === "assessment_accuracy" && " (at the widest)"
    }. Dashed: the first row. The axis need not start at 0.</figcaption>`;
  return html`<figure><h3>${x}</h3>${
    dotChart(rows, {
      x: `${x} (further right is better)`,
      percent: true,
      rule: rows[0].value,
      label: `${x} by model: ${
        rows.map(({ name, value }) => `${name} ${value === undefined ? "not measured" : percent(value)}`)
          .join(", ")
      }`,
    })
  }${caption}</figure>`;
}

/** The outcome in words. */
function finding(models: readonly ReportModel[]): string[] {
  return ([["accuracy", "Accuracy", "questions"], [
    "assessment_accuracy",
    "Assessment accuracy",
    "mixed_questions",
  ]] as const)
    .flatMap(([key, words, count]) => {
      const known = models.filter(({ summary }) => summary[key] !== undefined);
      if (known.length === 0) return [];
      const first = models[0], value = first.summary[key];
      const best = known.reduce((a, b) => b.summary[key]! > a.summary[key]! ? b : a);
      const top = best.summary[key]!;
      if (known.length === 1 || value === undefined) {
        return [`${words} is highest for ${best.name}: ${percent(top)}.`];
      }
      if (top === value) return [`${words}: no model is above ${first.name}, which has ${percent(value)}.`];
      const points = (top - value) * 100, n = best.summary[count];
      const chance = 196 * Math.sqrt((value * (1 - value) + top * (1 - top)) / n);
      return [
        `${words} is highest for ${best.name}: ${percent(top)}, ${
          points.toFixed(1)
        } points above ${first.name}. ` +
        (points < chance
          ? `With ${n} questions a difference up to about ${chance.toFixed(0)} points can be chance.`
          : `With ${n} questions that is more than chance alone would give.`),
      ];
    });
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}

function range(counts: readonly number[]): string {
  const low = Math.min(...counts), high = Math.max(...counts);
  return low === high ? String(low) : `${low} to ${high}`;
}
