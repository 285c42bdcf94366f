/** Records as others write them, brought into the form of `records.ts`. */

import { InputError, UsageError } from "../runtime/errors.ts";
import { boxed } from "./_statements.ts";
import { extractAnswer } from "./answers.ts";
import { parseNumber } from "./numbers.ts";
import { type AnswerIndex, choiceLetter, describeChoices } from "./_choice_answer.ts";
import { knownFields, listNames, shapesRead } from "./_field_names.ts";
import { type Fields, readShape, renamed } from "./_shapes.ts";
import { describeValue, describeWhere, type Where } from "./where.ts";

export type { AnswerIndex };

/** What is known of records that they do not say themselves. */
export interface ReadOptions {
  /** What the answer to a question with choices is (default: a letter or a choice's text; an index is refused). */
  readonly answerIndex?: AnswerIndex | undefined;
  /** Own names of fields, by ours: `{question: "problem_text"}`. */
  readonly fields?: Readonly<Record<string, string>>;
}

/**
 * Brings a parsed record into canonical form; what it does not know, right or wrong, it leaves for the schema. Of every
 * field that means something null is the same as absent.
 *
 * - GSM8K `{question, answer: "chain #### 72"}`: the chain becomes `reference`, the number `answer`. A reference
 *   that ends so, in `\\boxed{72}` or in `The answer is: 72`, gives the answer where there is none.
 * - `{problem, solution}`, `{query, response}`, Alpaca's `{instruction, input, output}` and its `history`.
 * - RRHF `{query, responses, scores}`: question, and candidates with `reward`.
 * - `{prompt, completion}`: the prompt is the question and, verbatim, the prompt; the completion is the reference.
 *   With a `label` the completion is a candidate that is right or wrong, and a reference only where it is right.
 * - `{prompt, chosen, rejected}`: one correct and one wrong candidate; `chosen` is the reference too, for the methods
 *   that train on one. Without a prompt it is what both sides begin with.
 * - `{messages}`, ShareGPT's `{conversations}`, and lists of messages in place of the texts above: the last question is
 *   the question, what was said before it `earlier`.
 * - `{text}`: a reference behind an empty prompt.
 * - An answer that is the text of one of the `choices` becomes its letter. Choices may be `{text, label}` with an
 *   `answerKey`, as ARC has them.
 * - Numbers as answers and ids become text (72 and 72.0: "72").
 * - A candidate's `pred` is its `answer`. Its `score` is a rating, and becomes `reward`, where it has neither
 *   `logprob` nor `reward`: our own `score` step always writes `score` and `logprob` together.
 * - A record without id gets `where.id`, or `line-N`.
 */
export function normalizeRecord(value: unknown, where: Where, options: ReadOptions = {}): unknown {
  if (!isFields(value)) return value;
  let record: Fields = withoutNulls(ownNames(value, where, options.fields), knownFields);
  record = splitChain(readShape(labelledChoices(record), where));
  if (record.question === undefined) throw noShape(value, where);
  if (record.id === undefined) record = { id: where.id ?? `line-${where.line ?? where.record}`, ...record };
  const choices = readChoices(record.choices, where);
  return mapFields(record, (name, field) => {
    if (name === "answer") {
      return choices ? letterOf(field, { choices, where, options }) : numberToText(field, { name, where });
    }
    if (name === "id") return numberToText(field, { name, where });
    if (name === "choices") return choices ?? field;
    if (name === "candidates" && Array.isArray(field)) {
      return field.map((candidate, i) =>
        normalizeCandidate(candidate, { name: `candidates[${i}].answer`, where })
      );
    }
    return field;
  });
}

/**
 * The `fields` of {@linkcode ReadOptions} in a text: `question=problem,reference=solution`.
 *
 * @throws {UsageError} for anything else
 */
export function parseFields(text: string): Readonly<Record<string, string>> {
  const pairs = text.split(",").map((pair) => pair.split("=").map((name) => name.trim()));
  const wrong = pairs.find((pair) => pair.length !== 2 || !/^\w+$/.test(pair[0]!) || pair[1] === "");
  if (wrong) {
    throw new UsageError(
      `Fields must be names such as question=problem,reference=solution: got ${
        JSON.stringify(wrong.join("="))
      }`,
    );
  }
  const unknown = pairs.find(([name]) => !knownFields.has(name!));
  if (unknown) {
    throw new UsageError(
      `Fields must map names of ours, as question, reference, answer or choices, to yours: got ${
        JSON.stringify(unknown.join("="))
      }`,
    );
  }
  return Object.fromEntries(pairs);
}

/** The record under our names; a field that is mapped must be there. */
function ownNames(record: Fields, where: Where, fields: ReadOptions["fields"]): Fields {
  for (const [name, own] of Object.entries(fields ?? {})) {
    if (!Object.hasOwn(record, own)) {
      throw new InputError(
        `Cannot read ${describeWhere(where)}: field "${own}", which stands for "${name}", is missing: got ${
          listFields(record)
        }`,
      );
    }
  }
  // All at once: a name may move to where another was.
  const named = Object.entries(fields ?? {});
  if (named.length === 0) return record;
  const moved = new Map(named.map(([name, own]) => [own, name]));
  const taken = new Set(named.map(([name]) => name));
  return Object.fromEntries(
    Object.entries(record).filter(([name]) => moved.has(name) || !taken.has(name))
      .map(([name, field]) => [moved.get(name) ?? name, field]),
  );
}

function noShape(record: Fields, where: Where): InputError {
  return new InputError(
    `Cannot read ${describeWhere(where)}: field "question" is missing: got ${listFields(record)}; ${
      holdsRecords(record)
        ? "option `data` reads a file whose object holds a list of records"
        : `records are ${shapesRead}; option \`fields\` maps other names`
    }`,
  );
}

/** Whether a record is an object around a list of them, as a stream of lines cannot have. */
function holdsRecords(record: Fields): boolean {
  return listNames.some((name) => Array.isArray(record[name]) && (record[name] as unknown[]).some(isFields));
}

function listFields(record: Fields): string {
  const names = Object.entries(record).map(([name, field]) => name + (field === null ? " (null)" : ""));
  const shown = names.slice(0, 12).map((name) => name.length > 40 ? `${name.slice(0, 40)}…` : name);
  if (names.length === 0) return "no field";
  return `the field${names.length > 1 ? "s" : ""} ${shown.join(", ")}${names.length > 12 ? ", …" : ""}`;
}

function normalizeCandidate(
  value: unknown,
  answer: { readonly name: string; readonly where: Where },
): unknown {
  if (typeof value === "string") return { text: value };
  if (!isFields(value)) return value;
  let candidate: Fields = withoutNulls(value, candidateFields);
  if ("pred" in candidate && !("answer" in candidate)) candidate = renamed(candidate, "pred", "answer");
  if ("score" in candidate && !("logprob" in candidate) && !("reward" in candidate)) {
    candidate = renamed(candidate, "score", "reward");
  }
  return mapFields(candidate, (name, field) => name === "answer" ? numberToText(field, answer) : field);
}

/** Fields of a candidate whose null is no value; of `answer` it says that none was found. */
const candidateFields = new Set(
  ["finish", "tokens", "token_ids", "correct", "rank", "reward", "logprob", "score", "source"],
);

/** Splits GSM8K's answer, which holds the chain too; fills an answer from a reference that states it. */
function splitChain(record: Fields): Fields {
  const { answer, reference } = record;
  if (typeof answer === "string" && reference === undefined && answer.includes("####")) {
    const number = extractAnswer(answer, { strict: true });
    if (number === null) return record;
    const entries = Object.entries(record).flatMap(([name, field]) =>
      name === "answer" ? [["reference", answer], ["answer", number]] : [[name, field]]
    );
    return Object.fromEntries(entries);
  }
  if (answer !== undefined || typeof reference !== "string" || record.choices !== undefined) return record;
  const stated = statedNumber(reference);
  return stated === null ? record : { ...record, answer: stated };
}

/** The number that a chain states as its answer, in the ways of GSM8K, MATH and MetaMath; null for anything else. */
function statedNumber(chain: string): string | null {
  if (chain.includes("####")) return extractAnswer(chain, { strict: true });
  const stated = boxed(chain) ??
    chain.match(/\bThe answer is: ?([^\n]*?)\s*$/)?.[1];
  return stated === undefined ? null : parseNumber(stated);
}

/** ARC's and CommonsenseQA's `choices: {text, label}` and `answerKey`. */
function labelledChoices(record: Fields): Fields {
  const { choices, answerKey, answer } = record;
  if (!isFields(choices) || !Array.isArray(choices.text) || !Array.isArray(choices.label)) return record;
  const at = choices.label.map(String).indexOf(String(answerKey ?? answer));
  const found = at < 0 ? answerKey ?? answer : String.fromCharCode(65 + at);
  const { answerKey: _, ...rest } = record;
  return { ...rest, choices: choices.text, ...(found !== undefined && { answer: found }) };
}

/** Choices as texts; those that a table has no value for are not there. */
function readChoices(choices: unknown, where: Where): string[] | undefined {
  if (!Array.isArray(choices)) return undefined;
  const given = choices.slice(0, choices.findLastIndex((choice) => choice !== null) + 1).map((choice, i) =>
    numberToText(choice, { name: `choices[${i}]`, where })
  );
  return given.length > 0 && given.every((choice) => typeof choice === "string") ? given : undefined;
}

function letterOf(
  answer: unknown,
  { choices, where, options }: {
    readonly choices: readonly string[];
    readonly where: Where;
    readonly options: ReadOptions;
  },
): unknown {
  const letter = choiceLetter(answer, choices, options.answerIndex);
  if (letter !== undefined) return letter;
  const index = /^\s*\d+\s*$/.test(String(answer)) && options.answerIndex === undefined;
  throw new InputError(
    `Cannot read ${describeWhere(where)}: field "answer" must be ${describeChoices(choices)}: got ${
      describeValue(answer)
    }` + (index ? "; of an index, option `answerIndex` says whether it counts from 0 or 1" : ""),
  );
}

/**
 * A number as text. A whole number beyond 2⁵³ is no longer the one that was written, since JSON readers keep 53 bits of
 * it: two answers that differ would be one.
 *
 * @throws {InputError} for such a number
 */
function numberToText(value: unknown, of: { readonly name: string; readonly where: Where }): unknown {
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new InputError(
      `Cannot read ${
        describeWhere(of.where)
      }: field "${of.name}" must be text where it has more than 15 digits ` +
        `("…"): a JSON number of that size loses the last ones: got about ${value}`,
    );
  }
  return typeof value === "number" || typeof value === "bigint" ? String(value) : value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function withoutNulls(record: Fields, names: ReadonlySet<string>): Fields {
  const absent = Object.entries(record).some(([name, field]) => field === null && names.has(name));
  if (!absent) return record;
  return Object.fromEntries(
    Object.entries(record).filter(([name, field]) => field !== null || !names.has(name)),
  );
}

function mapFields(record: Fields, change: (name: string, field: unknown) => unknown): Fields {
  return Object.fromEntries(Object.entries(record).map(([name, field]) => [name, change(name, field)]));
}
