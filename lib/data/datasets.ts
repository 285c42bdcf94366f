/** The data sets that have a name, and how any row becomes a problem. To add one: a file, and a line in the table. */

import { UsageError } from "../runtime/errors.ts";
import { suggestion } from "../runtime/suggestion.ts";
import { answerKind } from "./answers.ts";
import { aqua } from "./sets/aqua.ts";
import { arithmeticProblems } from "./embedded/arithmetic.ts";
import { longArithmeticProblems } from "./embedded/arithmetic_long.ts";
import type { DataSet, RawRow } from "./dataset.ts";
import { ecqa } from "./sets/ecqa.ts";
import { gsm8k } from "./sets/gsm8k.ts";
import { mmlu } from "./sets/mmlu.ts";
import { optionsProblems } from "./embedded/options.ts";
import { markedEnding, optionEnding, optionsTemplate, questionTemplate } from "./prompts.ts";
import type { ReadOptions } from "./normalize_record.ts";
import { rankedGroups } from "./embedded/ranked.ts";
import { parseProblem, type Problem } from "./records.ts";
import { svamp } from "./sets/svamp.ts";
import type { Where } from "./where.ts";

/** An embedded set is drawn anew, but the same, each time. */
function embedded(
  about: string,
  draw: (options: { split: "train" | "test"; count?: number; seed?: number }) => Iterable<Problem>,
): DataSet {
  return {
    about: `embedded: ${about}`,
    splits: ["train", "test"],
    kind: "number",
    template: questionTemplate,
    ending: markedEnding,
    embedded: (options) => draw({ ...options, split: options.split === "test" ? "test" : "train" }),
  };
}

/** Every data set by its name, as `--data` takes it. */
export const datasets: Readonly<Record<string, DataSet>> = {
  arithmetic: embedded("arithmetic word problems with several chains each", arithmeticProblems),
  "arithmetic-long": embedded("arithmetic word problems of four equations", longArithmeticProblems),
  options: {
    ...embedded("questions with five options", optionsProblems),
    kind: "option",
    template: optionsTemplate,
    ending: optionEnding,
  },
  ranked: embedded("arithmetic word problems with ranked candidates", rankedGroups),
  gsm8k,
  aqua,
  ecqa,
  mmlu,
  svamp,
};

/** The data set of that name; throws UsageError with a suggestion. */
export function findDataset(name: string): DataSet {
  if (Object.hasOwn(datasets, name)) return datasets[name];
  throw new UsageError(unknownDataset(name));
}

/** Why a name is no data set's, with the nearest one. */
export function unknownDataset(name: string): string {
  const names = Object.keys(datasets);
  return `Data set must be a file, a directory or one of ${names.join(", ")}: got ${JSON.stringify(name)}${
    suggestion(name, names)
  }`;
}

/**
 * The problem in a row, of a named data set or, without a name, of whichever is published in the row's form; any other
 * row must be a record or one of the forms that `parseProblem` reads, and keeps what it says of its data set. Throws
 * InputError for a row that is none of these.
 */
export function readProblem(
  value: unknown,
  where: Where,
  options: ReadOptions & { readonly dataset?: string } = {},
): Problem {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return parseProblem(value, where, options);
  }
  const row = value as RawRow;
  const named = options.dataset === undefined ? undefined : datasets[options.dataset];
  const name = named?.recognizes?.(row) || named && !row.dataset
    ? options.dataset
    : Object.keys(datasets).find((other) => datasets[other].recognizes?.(row));
  const set = name === undefined ? undefined : datasets[name];
  const problem = parseProblem(
    set?.read && set.recognizes?.(row) ? set.read(row, where) : row,
    where,
    options,
  );
  if (name === undefined || set === undefined || problem.dataset !== undefined) return problem;
  // Said only where it could not be seen: an answer of GSM8K's that does not read as a number is none.
  return {
    ...problem,
    dataset: name,
    ...(set.kind !== answerKind(problem) && set.kind !== "option" && { answer_kind: set.kind }),
  };
}

/** The prompt template of a problem: its own, or its data set's; undefined where that has none, for `renderPrompt`'s default. */
export function templateOf(problem: Problem): string | undefined {
  if (problem.prompt_template !== undefined) return problem.prompt_template;
  return problem.dataset !== undefined && Object.hasOwn(datasets, problem.dataset)
    ? datasets[problem.dataset].template
    : undefined;
}
