/** Final answers: found in a chain of thought, brought into one form, compared. */

import { findOption } from "./_option_letters.ts";
import {
  announcedStatements,
  boldNumber,
  boxed,
  cutNextQuestion,
  markedStatement,
  readStatement,
  type Stated,
  visibleText,
} from "./_statements.ts";
import { listNumbers, numbersEqual, parseNumber } from "./numbers.ts";

/** What an answer is: a number, the letter of an option, or a text. */
export type AnswerKind = "number" | "option" | "text";

/** How to look for an answer. */
export interface ExtractOptions {
  /** What is looked for (default "number"). */
  readonly kind?: AnswerKind;
  /** Only an answer that is marked as such counts, and the first mark decides (default false). */
  readonly strict?: boolean;
  /** Of numbers, the last of the text counts, whatever is marked (default false). */
  readonly last?: boolean;
  /** The options' texts, so that an answer given by its text is found too. */
  readonly choices?: readonly string[] | undefined;
}

/**
 * The final answer of a response, normalized (`normalizeAnswer`), or null when there is none.
 *
 * What comes after a line that begins another question ("Question: …") does not count. Then:
 *
 * - number, strict: the one behind the first `####` (GSM8K's own rule). Last: the last of the text, whatever is marked
 *   (lm-eval's flexible rule). Otherwise the one that is stated: behind `####`, in the last `\boxed{…}`, behind the last
 *   "the answer is", `Answer:` or `A:`, in bold; or else the last of the text. Of an equation the right side counts;
 *   remarks and further sentences do not. A statement with two numbers states none: null.
 * - option, strict: the first letter behind `####` or "the answer is". Flexible: the last letter that is announced
 *   ("Answer D", "Correct answer - A", "option (B)"), or else the last that stands alone, or else the option whose
 *   text comes last.
 * - text: what follows `####` or "the answer is", up to the end of its line; flexible: or else what stands in the last
 *   `\boxed{…}`, or else the last line.
 */
export function extractAnswer(text: string, options: ExtractOptions = {}): string | null {
  const { kind = "number", strict = false, last = false, choices } = options;
  const visible = visibleText(text);
  if (kind === "option") return findOption(visible, { strict, choices });
  if (kind === "text") {
    const own = cutNextQuestion(text);
    const found = statedText(own) ?? (strict ? undefined : boxed(own) ?? lastLine(own));
    return found ? normalizeAnswer(found) : null;
  }
  if (last) return lastNumber(visible);
  return (strict ? strictNumber(visible) : statedNumber(visible, () => lastNumber(visible))) ?? null;
}

function strictNumber(text: string): Stated {
  const statement = markedStatement(text);
  // Words before the number make it no statement under GSM8K's rule.
  return statement === undefined || /^[^\d\\½¼¾⅓⅔]*\p{L}{3}/u.test(statement)
    ? null
    : readStatement(statement);
}

function statedNumber(text: string, otherwise: () => string | null): Stated {
  const marked = markedStatement(text);
  if (marked !== undefined) return readStatement(marked) ?? null;
  const box = boxed(text);
  if (box !== undefined) return readStatement(box) ?? null;
  for (const { statement, opens } of announcedStatements(text).reverse()) {
    const stated = readStatement(statement, { opens });
    if (stated !== undefined) return stated;
  }
  return boldNumber(text) ?? otherwise();
}

function lastNumber(text: string): string | null {
  return listNumbers(text).at(-1)?.value ?? null;
}

const TEXT_MARK = /####|\b[Tt]he (?:final |correct )?answer is:?/g;

function statedText(text: string): string | undefined {
  for (const { 0: mark, index } of text.matchAll(TEXT_MARK)) {
    const end = text.indexOf("\n", index),
      line = text.slice(index + mark.length, end < 0 ? undefined : end).trim();
    if (line !== "") return line;
  }
  return undefined;
}

function lastLine(text: string): string {
  const trimmed = text.trim();
  return trimmed.slice(trimmed.lastIndexOf("\n") + 1);
}

/**
 * One way to write an answer: a number as `parseNumber` has it (`$1,234.50` → `1234.5`, `12 dollars` → `12`), `(b)` → `B`;
 * any other text without white space around it and without a full stop.
 */
export function normalizeAnswer(text: string): string {
  let end = text.length;
  while (end > 0 && /[.\s]/.test(text[end - 1]!)) end--;
  const trimmed = text.slice(0, end).trim();
  const number = parseNumber(trimmed);
  if (number !== null) return number;
  const letter = trimmed.length > 4 ? null : trimmed.match(/^\(?([A-Za-z])[).:]?$/);
  return letter ? letter[1]!.toUpperCase() : trimmed;
}

/** How exactly numbers must agree. */
export interface EqualityOptions {
  /** Largest difference of two numbers that are not both integers, relative to the larger magnitude (default 1e-4). */
  readonly tolerance?: number;
}

/**
 * Whether two answers are the same: integers exactly, other numbers within the tolerance (3/4 = 0.75); otherwise as
 * texts, in which case, runs of white space and blanks beside marks and brackets do not count. An answer that could not be extracted equals none.
 */
export function answersEqual(
  a: string | null,
  b: string | null,
  { tolerance = 1e-4 }: EqualityOptions = {},
): boolean {
  if (a === null || b === null) return false;
  const [left, right] = [normalizeAnswer(a), normalizeAnswer(b)];
  if (parseNumber(left) !== null && parseNumber(right) !== null) return numbersEqual(left, right, tolerance);
  return foldedText(left) === foldedText(right);
}

/** A text without what does not make another answer: case, blanks beside marks and brackets, LaTeX's sizes of these. */
function foldedText(text: string): string {
  const bare = text.replace(/\\(?:left|right)(?![a-zA-Z])/g, "").replace(/^\$(.*)\$$/s, "$1");
  return bare.toLowerCase().replace(/\s+/g, " ").replace(/ ?([,:;()[\]{}]) ?/g, "$1").trim();
}

/**
 * What kind of answer a problem asks for: the one that its data set says; or else an option where it has choices, a
 * number where its answer is one.
 */
export function answerKind(problem: Asked): AnswerKind {
  if (problem.answer_kind !== undefined) return problem.answer_kind;
  if (problem.choices !== undefined) return "option";
  if (problem.answer === undefined) return "number";
  return parseNumber(problem.answer) === null ? "text" : "number";
}

/** What the functions below look at in a problem. */
export interface Asked {
  /** The right answer. */
  readonly answer?: string | undefined;
  /** The options' texts. */
  readonly choices?: readonly string[] | undefined;
  /** What the answer is, where that is known. */
  readonly answer_kind?: AnswerKind | undefined;
}

/** The answer that a response gives to a problem, looked for as its kind of answer asks; null when there is none. */
export function findAnswer(
  problem: Asked,
  text: string,
  options: { readonly strict?: boolean; readonly last?: boolean } = {},
): string | null {
  return extractAnswer(text, { ...options, kind: answerKind(problem), choices: problem.choices });
}

/** Whether a found answer is the problem's; an answer that was not found is wrong. False too without a right answer. */
export function isRight(problem: Asked, answer: string | null): boolean {
  return answersEqual(answer, problem.answer ?? null);
}

/** Where an answer would stand, for a message: the last 80 characters of a response, on one line. */
export function endOfResponse(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  return line === "" ? "it is empty" : line.length > 80 ? `…${line.slice(-80)}` : line;
}
