/** Records as others write them, brought into the form of `records.ts`. */

import { InputError } from "../runtime/errors.ts";
import { extractAnswer } from "./answers.ts";
import { describeWhere, type Where } from "./where.ts";

type Fields = Record<string, unknown>;

/**
 * Brings a parsed record into canonical form; what it does not know, right or wrong, it leaves for the schema.
 *
 * - GSM8K `{question, answer: "chain #### 72"}`: the chain becomes `reference`, the number `answer`. A reference
 *   that ends so gives the answer where there is none.
 * - RRHF `{query, responses, scores}`: question, and candidates with `reward`.
 * - `{prompt, completion}`: the prompt is the question and, verbatim, the prompt; the completion is the reference.
 * - `{prompt, chosen, rejected}`: one correct and one wrong candidate; `chosen` is the reference too, for the methods
 *   that train on one.
 * - An answer that is the text of one of the `choices` becomes its letter.
 * - Numbers as answers and ids become text (72 and 72.0: "72").
 * - A candidate's `pred` is its `answer`. Its `score` is a rating, and becomes `reward`, where it has neither
 *   `logprob` nor `reward`: our own `score` step always writes `score` and `logprob` together.
 * - A record without id gets `where.id`, or `line-N`.
 */
export function normalizeRecord(value: unknown, where: Where): unknown {
  if (!isFields(value)) return value;
  let record = value;
  if ("query" in record && !("question" in record)) record = rename(record, "query", "question");
  if ("prompt" in record && !("question" in record)) record = { question: record.prompt, ...record };
  if ("completion" in record && !("reference" in record)) record = rename(record, "completion", "reference");
  if ("responses" in record && !("candidates" in record)) record = fromResponses(record, where);
  if ("chosen" in record && "rejected" in record && !("candidates" in record)) record = fromPair(record);
  record = splitChain(record);
  if (!("id" in record)) record = { id: where.id ?? `line-${where.line ?? where.record}`, ...record };
  const { choices } = record;
  return mapFields(record, (name, field) => {
    if (name === "answer") return optionLetter(numberToText(field), choices);
    if (name === "id") return numberToText(field);
    if (name === "candidates" && Array.isArray(field)) return field.map(normalizeCandidate);
    return field;
  });
}

function normalizeCandidate(value: unknown): unknown {
  if (typeof value === "string") return { text: value };
  if (!isFields(value)) return value;
  let candidate = value;
  if ("pred" in candidate && !("answer" in candidate)) candidate = rename(candidate, "pred", "answer");
  if ("score" in candidate && !("logprob" in candidate) && !("reward" in candidate)) {
    candidate = rename(candidate, "score", "reward");
  }
  return mapFields(candidate, (name, field) => name === "answer" ? numberToText(field) : field);
}

function fromResponses(record: Fields, where: Where): Fields {
  const { responses, scores } = record;
  if (!Array.isArray(responses)) return rename(record, "responses", "candidates");
  if (scores !== undefined && (!Array.isArray(scores) || scores.length !== responses.length)) {
    const found = Array.isArray(scores) ? `${scores.length} scores` : "no list";
    throw new InputError(
      `Cannot read ${
        describeWhere(where)
      }: field "scores" must have one number for each of ${responses.length} responses: got ${found}`,
    );
  }
  const candidates = responses.map((text, i) =>
    Array.isArray(scores) ? { text, reward: scores[i] } : { text }
  );
  const { scores: _, ...rest } = record;
  return mapFields(
    rename(rest, "responses", "candidates"),
    (name, field) => name === "candidates" ? candidates : field,
  );
}

function fromPair(record: Fields): Fields {
  const { chosen, rejected, ...rest } = record;
  return {
    ...rest,
    ...(!("reference" in rest) && { reference: chosen }),
    candidates: [{ text: chosen, correct: true }, { text: rejected, correct: false }],
  };
}

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
  if (answer === undefined && typeof reference === "string" && reference.includes("####")) {
    const number = extractAnswer(reference, { strict: true });
    if (number !== null) return { ...record, answer: number };
  }
  return record;
}

function optionLetter(answer: unknown, choices: unknown): unknown {
  if (!Array.isArray(choices) || typeof answer !== "string") return answer;
  const isLetter = /^[A-Z]$/.test(answer) && answer.charCodeAt(0) - 65 < choices.length;
  const index = isLetter ? -1 : choices.map(numberToText).indexOf(answer);
  return index < 0 ? answer : String.fromCharCode(65 + index);
}

function numberToText(value: unknown): unknown {
  return typeof value === "number" || typeof value === "bigint" ? String(value) : value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The record with one field's name changed, in the same place. */
function rename(record: Fields, from: string, to: string): Fields {
  return Object.fromEntries(
    Object.entries(record).map(([name, field]) => [name === from ? to : name, field]),
  );
}

function mapFields(record: Fields, change: (name: string, field: unknown) => unknown): Fields {
  return Object.fromEntries(Object.entries(record).map(([name, field]) => [name, change(name, field)]));
}
