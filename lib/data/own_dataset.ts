/** Data sets of the caller's own: one object that says where the rows are, how they read and what is asked. */

import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import { suggestion } from "../runtime/suggestion.ts";
import { type AnswerKind, answerKind } from "./answers.ts";
import type { RawRow } from "./dataset.ts";
import { datasets } from "./datasets.ts";
import type { ReadOptions } from "./normalize_record.ts";
import { parseNumber } from "./numbers.ts";
import { templateFields } from "./prompts.ts";
import { parseProblem, type Problem } from "./records.ts";
import { readRows } from "./row_files.ts";
import { describeValue, describeWhere, type Where } from "./where.ts";

/** Rows of a data set of one's own, by the split that is asked for. */
export type OwnRows = string | Iterable<object> | AsyncIterable<object> | ((split: string) => OwnRows);

/** A data set of the caller's own. */
export interface OwnDataSet {
  /** Its name: what problems say in `dataset`, and what their ids begin with. */
  readonly name: string;
  /** What its answers are. It is used, not guessed: a text that looks like a number stays a text. */
  readonly kind: AnswerKind;
  /** A file, its rows, or a function that gives them for a split. */
  readonly rows: OwnRows;
  /** A row as a record's fields: any shape that files may have (default: the row is one). */
  readonly read?: (row: RawRow, where: Where) => object;
  /** Prompt template (default: by choices or none). Its fields must be in every problem. */
  readonly template?: string;
  /** Fields that every problem must have besides the question, such as `["reference"]` (default none). */
  readonly needs?: readonly string[];
  /** Its splits; the first is the one to take where "train" is not among them (default: any name is one). */
  readonly splits?: readonly string[];
}

const names: NamesOf<OwnDataSet> = {
  name: true,
  kind: true,
  rows: true,
  read: true,
  template: true,
  needs: true,
  splits: true,
};

const kinds: readonly AnswerKind[] = ["number", "option", "text"];

/**
 * The problems of a data set of one's own, of one split.
 *
 * @throws {UsageError} for a data set that is not one, or a split that it does not have
 * @throws {InputError} for a row that cannot be read, or lacks a field that the data set needs
 */
export async function* readOwn(
  set: OwnDataSet,
  options: ReadOptions & { readonly split?: string | undefined },
): AsyncGenerator<Problem> {
  checkSet(set);
  const { split: wanted, ...reading } = options, split = splitOf(set, wanted);
  let rows = set.rows;
  for (let depth = 0; typeof rows === "function" && depth < 2; depth++) rows = rows(split);
  const needed = ["question", ...templateFields(set.template), ...set.needs ?? []];
  if (set.kind === "option") needed.push("choices");
  let record = 0;
  for await (const { value, where } of placed(rows, set)) {
    const place = { ...where, id: where.id ?? `${set.name}-${split}-${record}` };
    record++;
    yield checked(parseProblem(fieldsOf(set, value, place), place, reading), { set, where: place, needed });
  }
}

/** Rows with their places. */
async function* placed(
  rows: OwnRows,
  { name }: OwnDataSet,
): AsyncGenerator<{ readonly value: unknown; readonly where: Where }> {
  if (typeof rows === "string") {
    // Ids are the data set's, not the file's.
    for await (const { value, where: { id: _, ...where } } of readRows(rows)) yield { value, where };
    return;
  }
  if (
    typeof rows !== "object" || rows === null || !(Symbol.iterator in rows || Symbol.asyncIterator in rows)
  ) {
    throw new UsageError(
      `Rows of data set ${name} must be a file, a list or stream of objects, or a function that gives one: got ${
        describeValue(rows)
      }`,
    );
  }
  let record = 0;
  for await (const value of rows) yield { value, where: { source: `data set ${name}`, record: ++record } };
}

function fieldsOf({ name, read }: OwnDataSet, row: unknown, where: Where): unknown {
  if (typeof row !== "object" || row === null || Array.isArray(row)) {
    throw new InputError(
      `Cannot read ${describeWhere(where)}: it must be an object: got ${describeValue(row)}`,
    );
  }
  if (!read) return row;
  let fields: unknown;
  try {
    fields = read(row as RawRow, where);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(
      `Cannot read ${describeWhere(where)}: read of data set ${name} failed: ${(error as Error).message}`,
      { cause: error },
    );
  }
  if (typeof fields === "object" && fields !== null && !Array.isArray(fields)) return fields;
  throw new InputError(
    `Cannot read ${describeWhere(where)}: read of data set ${name} must give an object: got ${
      describeValue(fields)
    }`,
  );
}

/** The problem with what its data set says of it; refused where it is not what the data set says. */
function checked(problem: Problem, { set, where, needed }: {
  readonly set: OwnDataSet;
  readonly where: Where;
  readonly needed: readonly string[];
}): Problem {
  const missing = needed.find((field) => problem[field] === undefined);
  if (missing !== undefined) {
    const why = set.needs?.includes(missing)
      ? "needs it"
      : missing === "choices" && set.kind === "option"
      ? "has options as answers"
      : "asks for it in its template";
    const found = Object.keys(problem).join(", ");
    throw new InputError(
      `Cannot read ${
        describeWhere(where)
      }: field "${missing}" is missing: data set ${set.name} ${why}; got ${found}`,
    );
  }
  if (set.kind === "number" && problem.answer !== undefined && parseNumber(problem.answer) === null) {
    throw new InputError(
      `Cannot read ${
        describeWhere(where)
      }: field "answer" must be a number, as data set ${set.name} says: got ${describeValue(problem.answer)}`,
    );
  }
  return {
    ...problem,
    dataset: set.name,
    ...(set.template !== undefined && { prompt_template: set.template }),
    ...(answerKind(problem) !== set.kind && { answer_kind: set.kind }),
  };
}

function checkSet(set: OwnDataSet): void {
  checkNames(set, names, { of: "a data set" });
  const { name, kind, read, template, needs, splits } = set;
  const must = (field: string, expected: string, found: unknown) =>
    new UsageError(`Field ${field} of a data set must be ${expected}: got ${describeValue(found)}`);
  if (typeof name !== "string" || name === "") throw must("name", "a text that is not empty", name);
  if (Object.hasOwn(datasets, name)) {
    throw new UsageError(`Name of a data set must not be one of the project's own: got ${name}`);
  }
  if (!kinds.includes(kind)) throw must("kind", kinds.join(", ").replace(/, (\w+)$/, " or $1"), kind);
  if (read !== undefined && typeof read !== "function") throw must("read", "a function", read);
  if (template !== undefined && typeof template !== "string") throw must("template", "a text", template);
  for (const [field, list] of Object.entries({ needs, splits })) {
    if (list === undefined || Array.isArray(list) && list.every((one) => typeof one === "string")) continue;
    throw must(field, "a list of texts", list);
  }
}

function splitOf({ name, splits = [] }: OwnDataSet, wanted = "train"): string {
  if (splits.length === 0 || splits.includes(wanted)) return wanted;
  if (wanted === "train") return splits[0]!;
  throw new UsageError(
    `Split of ${name} must be one of ${splits.join(", ")}: got ${JSON.stringify(wanted)}${
      suggestion(wanted, splits)
    }`,
  );
}
