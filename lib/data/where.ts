/** Where a record came from, and how to say so, and what was found there, in one line of a message. */

/** The place of a record, for messages and for the id of a record without one. */
export interface Where {
  /** File name, or "standard input". */
  readonly source: string;
  /** Number of the record in its source, from 1. */
  readonly record: number;
  /** Number of its line, where that differs (blank lines, CSV). */
  readonly line?: number;
  /** The id of a record that has none (default `line-N`). */
  readonly id?: string;
}

/** `record 17 of problems.jsonl`, with the line where it is another number. */
export function describeWhere({ source, record, line }: Where): string {
  return `record ${record} of ${source}` + (line !== undefined && line !== record ? ` (line ${line})` : "");
}

/** What a wrong value is, short enough for a message: `null`, `a list`, `"ab…"`. */
export function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 40 ? text.slice(0, 40) + "…" : text;
}
