import type { Summary } from "../evaluate/summary.ts";
import { type Cell, type Column, markdownTable, type Row, spread, textTable } from "./table.ts";

/** A model's name and what was measured of it, once or with several seeds. */
export interface NamedSummary {
  readonly name: string;
  readonly summary: Summary | readonly Summary[];
}

const fields: readonly {
  readonly key: keyof Summary;
  readonly title: string;
  readonly digits: number;
  readonly percent?: boolean;
}[] = [
  { key: "accuracy", title: "accuracy %", digits: 1, percent: true },
  { key: "majority_accuracy", title: "maj@k %", digits: 1, percent: true },
  { key: "option_accuracy", title: "options %", digits: 1, percent: true },
  { key: "assessment_accuracy", title: "assessment %", digits: 1, percent: true },
  { key: "perplexity", title: "perplexity", digits: 3 },
  { key: "positives", title: "score +", digits: 3 },
  { key: "negatives", title: "score −", digits: 3 },
  { key: "margin", title: "margin", digits: 3 },
];

/** One row a model; columns that no model has a value for are left out. Several seeds give mean ± standard deviation. */
function tableOf(models: readonly NamedSummary[]): { columns: Column[]; rows: Row[] } {
  const lists = models.map(({ summary }) =>
    Array.isArray(summary) ? summary as readonly Summary[] : [summary as Summary]
  );
  const known = fields.filter(({ key }) => lists.some((list) => list.some((s) => s[key] !== undefined)));
  const columns: Column[] = [
    { key: "model", title: "model" },
    ...known.map(({ key, title, digits, percent }): Column => ({ key, title, digits, percent })),
  ];
  const rows = models.map(({ name }, i): Row => {
    const cell = ({ key }: typeof fields[number]): Cell => {
      const values = lists[i].map((s) => s[key]).filter((v) => v !== undefined);
      return values.length === 0 ? undefined : values.length === 1 ? values[0] : spread(values);
    };
    return { model: name, ...Object.fromEntries(known.map((field) => [field.key, cell(field)])) };
  });
  return { columns, rows };
}

/** The table for a terminal. */
export function summaryTable(models: readonly NamedSummary[]): string {
  const { columns, rows } = tableOf(models);
  return textTable(columns, rows);
}

/** The table for a Markdown page. */
export function summaryMarkdown(models: readonly NamedSummary[]): string {
  const { columns, rows } = tableOf(models);
  return markdownTable(columns, rows);
}
