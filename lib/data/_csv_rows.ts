/** The rows of a CSV file, whichever sign parts its cells. */

import type { Parser } from "csv-parse";
import { InputError } from "../runtime/errors.ts";
import { readUnpacked } from "../runtime/packed_files.ts";
import { knownFields } from "./_field_names.ts";
import type { Row } from "./jsonl.ts";

/** What may part cells, the most usual first. */
const DELIMITERS = [",", ";", "\t", "|"] as const;
/** Columns of the widest table: a spreadsheet's. Every record is an object of all of them, looked through several times. */
const MOST_COLUMNS = 16_384;
/** Bytes of the longest record. */
const LONGEST = 64 * 2 ** 20;

/** The line above the header by which Excel says what parts cells. */
const EXCEL = /^\ufeff?"?sep=(.)"?\r?\n/i;

/** What is known of a CSV file. */
export interface CsvHead {
  /** Its first characters; the first line counts. */
  readonly header: string;
  /** Whether its name says that tabs part the cells. */
  readonly tabs: boolean;
}

/**
 * The sign that parts the cells of a header, outside quotes: the one that Excel's line names (`sep=;`), or the one by
 * which most cells are names of fields that
 * records have; of several, the one that the file's name says, or the one that parts most cells.
 */
export function delimiterOf({ header, tabs }: CsvHead): string {
  const named = header.match(EXCEL)?.[1];
  if (named !== undefined) return named;
  const line = firstLine(header.replace(/^\ufeff/, ""));
  const usual = tabs ? "\t" : ",";
  const ranked = DELIMITERS.map((sign) => {
    const cells = cellsOf(line, sign);
    const known = cells.filter((cell) => knownFields.has(cell.toLowerCase())).length;
    return { sign, known, cells: cells.length };
  }).filter(({ cells }) => cells > 1);
  ranked.sort((a, b) =>
    b.known - a.known || Number(b.sign === usual) - Number(a.sign === usual) || b.cells - a.cells
  );
  return ranked[0]?.sign ?? usual;
}

function firstLine(text: string): string {
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"') quoted = !quoted;
    else if (!quoted && (text[i] === "\n" || text[i] === "\r") && i > 0) return text.slice(0, i);
  }
  return text;
}

function cellsOf(line: string, sign: string): string[] {
  const cells = [""];
  let quoted = false;
  for (const char of line) {
    if (char === '"') quoted = !quoted;
    else if (char === sign && !quoted) cells.push("");
    else cells[cells.length - 1] += char;
  }
  return cells.map((cell) => cell.trim());
}

/**
 * The rows of a CSV file as objects of texts, by its header.
 *
 * @throws {InputError} for a file without a row, rows of another width, an open quote, two columns of one name, too many
 */
export async function* csvRows(path: string, head: CsvHead): AsyncGenerator<Row> {
  const { parse } = await import("csv-parse"); // here: JSONL, the common case, need not wait for it
  let record = 0;
  let rows: Row[] = [];
  let failure: Error | undefined;
  // Rows are taken from the callback: as a stream the parser drops those before a fault, and miscounts it.
  const delimiter = delimiterOf(head);
  const parser: Parser = parse({
    columns: (names: string[]) => named(names, path),
    bom: true,
    delimiter,
    from_line: EXCEL.test(head.header) ? 2 : 1,
    // Tables of tabs have quotes as any other sign: He said "hi".
    relax_quotes: delimiter === "\t",
    skip_empty_lines: true,
    max_record_size: LONGEST,
    on_record: (value: unknown, { lines }) => {
      rows.push({ value, where: { source: path, record: ++record, line: lines } });
      return null;
    },
  });
  const ended = new Promise<void>((resolve) => {
    parser.on("error", (error) => {
      failure ??= error;
      resolve();
    }).on("end", resolve).resume();
  });
  for await (const chunk of readUnpacked(path)) {
    await Promise.race([new Promise<void>((resolve) => parser.write(chunk, () => resolve())), ended]);
    yield* rows;
    rows = [];
    if (failure) break;
  }
  if (!failure) parser.end();
  await ended;
  yield* rows;
  if (failure instanceof InputError) throw failure;
  if (failure) {
    const reason = failure.message.replace(/\s+/g, " ");
    throw new InputError(`Cannot read record ${record + 1} of ${path}: ${reason}`, { cause: failure });
  }
  if (record === 0) {
    throw new InputError(`Cannot read ${path}: it must have at least one record below its header`);
  }
}

function named(names: readonly string[], path: string): string[] {
  if (names.length > MOST_COLUMNS) {
    throw new InputError(
      `Cannot read ${path}: its header must have at most ${MOST_COLUMNS} columns: got ${names.length}`,
    );
  }
  const trimmed = names.map((name) => name.trim());
  const seen = new Set<string>();
  const twice = trimmed.find((name) => name !== "" && (seen.has(name) || !seen.add(name)));
  if (twice === undefined) return trimmed;
  throw new InputError(`Cannot read ${path}: its header names the column ${JSON.stringify(twice)} twice`);
}
