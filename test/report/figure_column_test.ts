/** What tables and pages make of a figure. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Figure, summaryFigures } from "../../lib/evaluate/figures.ts";
import { pageColumn, termOf, textColumn } from "../../lib/report/figure_column.ts";
import { htmlTable } from "../../lib/report/html_table.ts";
import { summaryTable } from "../../lib/report/summary_table.ts";
import { modelColumns } from "../../lib/study/figures.ts";

test("a figure's columns and term follow from its declaration", () => {
  const { perplexity, accuracy, positives } = summaryFigures;
  assert.deepEqual(pageColumn(perplexity), {
    key: "perplexity",
    title: "Perplexity",
    unit: "of references ↓",
    digits: 3,
    best: "lowest",
  });
  assert.deepEqual(pageColumn(positives), {
    key: "positives",
    title: "Right candidates",
    unit: "nats/token",
    digits: 3,
  });
  assert.deepEqual(textColumn(accuracy), { key: "accuracy", title: "accuracy %", digits: 1, percent: true });
  assert.deepEqual(textColumn(perplexity), { key: "perplexity", title: "perplexity", digits: 3 });
  assert.equal(termOf(perplexity).better, "lower");
  assert.ok(!("better" in termOf(positives)));
});

test("the best value of a column is the figure's better side", () => {
  const rows = [{ name: "a", perplexity: 1.25, accuracy: 0.5 }, {
    name: "b",
    perplexity: 1.5,
    accuracy: 0.75,
  }];
  const columns = [
    { key: "name" },
    pageColumn(summaryFigures.perplexity),
    pageColumn(summaryFigures.accuracy),
  ];
  const best = [...htmlTable(columns, { rows, caption: false }).text.matchAll(/<b>([^<]*)<\/b>/g)];
  assert.deepEqual(best.map(([, text]) => text), ["1.250", "75.0"]);
});

test("every figure has its own key, a name nobody else has, and one line of words", () => {
  const all: Figure[] = Object.values(summaryFigures);
  assert.deepEqual(all.map(({ key }) => key), Object.keys(summaryFigures));
  for (const name of ["title", "short", "meaning"] as const) {
    assert.equal(new Set(all.map((figure) => figure[name])).size, all.length, name);
  }
  for (const { meaning } of all) assert.match(meaning, /^[A-Z][^\n]*\.$/);
  const keys = modelColumns.map(({ key }) => key).filter((key) => key in summaryFigures);
  assert.equal(keys.length, 7);
});

test("a summary's table is headed by the figures' short names", () => {
  const summary = { questions: 4, accuracy: 0.5, perplexity: 1.25, margin: 0.125, mixed_questions: 0 };
  assert.equal(
    summaryTable([{ name: "vft", summary }]),
    [
      "model  accuracy %  perplexity  margin",
      "─────  ──────────  ──────────  ──────",
      "vft          50.0       1.250   0.125",
      "",
    ].join("\n"),
  );
});
