/**
 * A table of results as aligned plain text, Markdown and CSV.
 */

import { fixed } from "./fixed.ts";

/** A number with its spread over seeds. */
export interface Spread {
  /** Mean. */
  readonly mean: number;
  /** Standard deviation; NaN when there is only one value. */
  readonly deviation: number;
}

/** What a cell may hold; nothing is shown for undefined and null, "–" for NaN. */
export type Cell = string | number | Spread | null | undefined;

/** One column. */
export interface Column {
  /** The key of its values in a row. */
  readonly key: string;
  /** Its head. Default the key. */
  readonly title?: string;
  /** Digits after the point. Default 2; integers have none. */
  readonly digits?: number;
  /** Shows a share as a percentage: 0.5 is "50.00". Default false. */
  readonly percent?: boolean;
}

/** A row: values by the columns' keys. */
export type Row = Readonly<Record<string, Cell>>;

/**
 * Mean and sample standard deviation (divisor n − 1) of some numbers; NaN values are left out.
 *
 *   mean = Σx/n,  deviation = √(Σ(x − mean)²/(n − 1))
 */
export function spread(numbers: readonly number[]): Spread {
  const known = numbers.filter((x) => !Number.isNaN(x));
  const mean = known.reduce((sum, x) => sum + x, 0) / known.length;
  const squares = known.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (known.length - 1)) };
}

/** Whether a table shows nothing: every row lacks a value, and has none but 0 (a count of nothing) beside its words. */
export function isBare(columns: readonly Column[], rows: readonly Row[]): boolean {
  const missing = (cell: Cell) => cell === undefined || cell === null || Number.isNaN(cell);
  return rows.every((row) => {
    const cells = columns.map(({ key }) => row[key]).filter((cell) => typeof cell !== "string");
    return cells.some(missing) && cells.every((cell) => missing(cell) || cell === 0);
  });
}

function formatNumber(value: number, column: Column): string {
  if (Number.isNaN(value)) return "–";
  if (column.percent) return fixed(value * 100, column.digits ?? 2);
  if (Number.isInteger(value) && column.digits === undefined) return String(value);
  return Number.isFinite(value) ? fixed(value, column.digits ?? 2) : String(value).replace("Infinity", "∞");
}

/** One cell as text: "0.41", "12", "0.41 ± 0.02". */
export function formatCell(cell: Cell, column: Column): string {
  if (cell === undefined || cell === null) return "";
  if (typeof cell === "string") return cell;
  if (typeof cell === "number") return formatNumber(cell, column);
  const mean = formatNumber(cell.mean, { digits: 2, ...column });
  if (Number.isNaN(cell.deviation)) return mean;
  return `${mean} ± ${formatNumber(cell.deviation, { digits: 2, ...column })}`;
}

function layout(columns: readonly Column[], rows: readonly Row[], escape: (cell: string) => string) {
  const body = rows.map((row) => columns.map((column) => escape(formatCell(row[column.key], column))));
  const head = columns.map((column) => escape(column.title ?? column.key));
  const widths = head.map((title, i) =>
    Math.max(3, ...[title, ...body.map((row) => row[i] ?? "")].map(width))
  );
  // Words stand left, numbers right.
  const left = columns.map(({ key }) => rows.some((row) => typeof row[key] === "string"));
  const pad = (cell: string, i: number) => {
    const space = " ".repeat((widths[i] ?? 0) - width(cell));
    return left[i] ? cell + space : space + cell;
  };
  return { head: head.map(pad), body: body.map((row) => row.map(pad)), widths, left };
}

function width(text: string): number {
  return [...text].length;
}

/** The table for a terminal: columns two spaces apart, a rule under the head, no space at a line's end. */
export function textTable(columns: readonly Column[], rows: readonly Row[]): string {
  const { head, body, widths } = layout(columns, rows, (cell) => cell.replace(/\s+/g, " "));
  const rule = widths.map((length) => "─".repeat(length));
  return [head, rule, ...body].map((cells) => cells.join("  ").trimEnd() + "\n").join("");
}

/** The table in Markdown, aligned in its source too. */
export function markdownTable(columns: readonly Column[], rows: readonly Row[]): string {
  const escape = (cell: string) => cell.replace(/\s+/g, " ").replace(/\|/g, "\\|");
  const { head, body, widths, left } = layout(columns, rows, escape);
  const rule = widths.map((length, i) => left[i] ? "-".repeat(length) : "-".repeat(length - 1) + ":");
  return [head, rule, ...body].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

/**
 * The table as CSV (RFC 4180, lines end with \n): numbers in full precision, a spread as two columns `KEY` and
 * `KEY_deviation`.
 */
export function csvTable(columns: readonly Column[], rows: readonly Row[]): string {
  const quote = (cell: string) => /[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  const isSpread = (cell: Cell): cell is Spread => typeof cell === "object" && cell !== null;
  const fields = columns.flatMap(({ key }) => {
    const mean = { name: key, of: (cell: Cell) => isSpread(cell) ? cell.mean : cell };
    if (!rows.some((row) => isSpread(row[key]))) return [{ key, ...mean }];
    const deviation = (cell: Cell) => isSpread(cell) ? cell.deviation : undefined;
    return [{ key, ...mean }, { key, name: `${key}_deviation`, of: deviation }];
  });
  const line = (cells: readonly Cell[]) =>
    cells.map((cell) => Number.isNaN(cell) ? "" : quote(String(cell ?? ""))).join(",") + "\n";
  return line(fields.map(({ name }) => name)) +
    rows.map((row) => line(fields.map(({ key, of }) => of(row[key])))).join("");
}
