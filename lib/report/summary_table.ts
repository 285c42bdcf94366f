import { type Figure, summaryFigures } from "../evaluate/figures.ts";
import type { Summary } from "../evaluate/summary.ts";
import { textColumn } from "./figure_column.ts";
import { type Cell, type Column, csvTable, markdownTable, type Row, spread, textTable } from "./table.ts";

/** A model's name and what was measured of it, once or with several seeds. */
export interface NamedSummary {
  readonly name: string;
  readonly summary: Summary | readonly Summary[];
}

/** What a table shows. */
export interface SummaryTableOptions {
  /** Whether it is of one model, with the figures that a comparison leaves out (default false). */
  readonly single?: boolean;
}

/** How often answers broke off stands on the page alone. */
const shown: readonly Figure[] = Object.values(summaryFigures).filter(({ key }) => key !== "no_end_token");

/** One row a model; columns that no model has a value for are left out. Several seeds give mean ± standard deviation. */
function tableOf(
  models: readonly NamedSummary[],
  { single: all = false }: SummaryTableOptions = {},
): { columns: Column[]; rows: Row[] } {
  const lists = models.map(({ summary }) =>
    Array.isArray(summary) ? summary as readonly Summary[] : [summary as Summary]
  );
  const known = shown.filter(({ key, single = false }) =>
    (all || !single) && lists.some((list) => list.some((s) => s[key] !== undefined))
  );
  const columns: Column[] = [
    { key: "model", title: "model" },
    ...known.map(textColumn),
  ];
  const rows = models.map(({ name }, i): Row => {
    const cell = ({ key }: Figure): Cell => {
      const values = (lists[i] ?? []).map((s) => s[key]).filter((v) => v !== undefined);
      return values.length === 0 ? undefined : values.length === 1 ? values[0] : spread(values);
    };
    return { model: name, ...Object.fromEntries(known.map((figure) => [figure.key, cell(figure)])) };
  });
  return { columns, rows };
}

/** The table for a terminal. */
export function summaryTable(models: readonly NamedSummary[], options?: SummaryTableOptions): string {
  const { columns, rows } = tableOf(models, options);
  return textTable(columns, rows);
}

/** The table for a Markdown page. */
export function summaryMarkdown(models: readonly NamedSummary[]): string {
  const { columns, rows } = tableOf(models);
  return markdownTable(columns, rows);
}

/** The table as CSV: shares from 0 to 1, all digits, a standard deviation in a column of its own. */
export function summaryCsv(models: readonly NamedSummary[]): string {
  const { columns, rows } = tableOf(models);
  return csvTable(columns, rows);
}

/** The table as JSON: of each model its runs, and of each figure the value, or mean and standard deviation. */
export function summaryJson(models: readonly NamedSummary[]): string {
  const { columns, rows } = tableOf(models);
  const plain = (cell: Cell) => typeof cell === "number" && Number.isNaN(cell) ? null : cell;
  const listed = rows.map((row, i) => {
    const { summary } = models[i]!;
    return {
      ...Object.fromEntries(columns.map(({ key }) => [key, plain(row[key])])),
      runs: Array.isArray(summary) ? summary.length : 1,
    };
  });
  return JSON.stringify(listed, null, 2) + "\n";
}
