/** Final answers: found in a chain of thought, brought into one form, compared. */

import { findOption } from "./_option_letters.ts";

/** What an answer is: a number, the letter of an option, or a text. */
export type AnswerKind = "number" | "option" | "text";

/** How to look for an answer. */
export interface ExtractOptions {
  /** What is looked for (default "number"). */
  readonly kind?: AnswerKind;
  /** Only an answer that is marked as such counts, and the first mark decides (default false). */
  readonly strict?: boolean;
  /** The options' texts, so that an answer given by its text is found too. */
  readonly choices?: readonly string[];
}

// A minus is a sign where it touches the number but no operand: "-3", "to -3", "$-3"; not "7-3", not "5 - 3".
const SIGN = String.raw`(?:(?<![\w)\]%])[-−–](?=[$€£.\d]))?`;
const DIGITS = String.raw`(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+`;
const NUMBER = String.raw`${SIGN}[$€£]?\s?${SIGN}(?:${DIGITS})(?:\s?/\s?\d+(?:\.\d+)?)?`;

/** After GSM8K's mark: `#### -1,234.5`. */
const STRICT_NUMBER = new RegExp(String.raw`####\s*(${NUMBER})`);
/** A last line that is an answer: `A: 18`, `Answer: $18.00 dollars`. */
const MARKED_NUMBER = new RegExp(String.raw`^\s*(?:A|Answer|ANSWER)\s*:\s*(${NUMBER})`, "gm");
const ANY_NUMBER = new RegExp(NUMBER, "g");

/**
 * The final answer of a response, normalized (`normalizeAnswer`), or null when there is none.
 *
 * - number, strict: the first number behind `####` (GSM8K's own rule). Flexible: that, or else the last line
 *   `A: number`, or else the last number of the text; calculator marks do not count.
 * - option, strict: the first letter behind `####` or "the answer is". Flexible: the last letter that is announced
 *   ("Answer D", "Correct answer - A", "option (B)"), or else the last that stands alone, or else the option whose
 *   text comes last.
 * - text: what follows `####` or "the answer is", up to the end of its line; flexible: or else the last line.
 */
export function extractAnswer(text: string, options: ExtractOptions = {}): string | null {
  const { kind = "number", strict = false, choices } = options;
  if (kind === "option") return findOption(text, { strict, choices });
  if (kind === "text") {
    const marked = text.match(/(?:####|\b[Tt]he (?:final |correct )?answer is:?)[ \t]*(.*\S)/)?.[1];
    const found = marked ?? (strict ? undefined : text.trim().split("\n").at(-1));
    return found ? normalizeAnswer(found) : null;
  }
  const visible = text.replace(/<<[^<>]*>>/g, "");
  const found = visible.match(STRICT_NUMBER)?.[1] ??
    (strict
      ? undefined
      : [...visible.matchAll(MARKED_NUMBER)].at(-1)?.[1] ?? visible.match(ANY_NUMBER)?.at(-1));
  return found === undefined ? null : normalizeAnswer(found);
}

/**
 * One way to write an answer: `$1,234.50` → `1234.5`, `18.0` → `18`, `(b)` → `B`, `3 / 4` → `3/4`; any other text
 * without white space around it and without a full stop.
 */
export function normalizeAnswer(text: string): string {
  const trimmed = text.trim().replace(/\.+$/, "").trim();
  const compact = trimmed.replace(/[−–]/g, "-").replace(/[$€£%\s]/g, "").replace(/,(?=\d{3}(?!\d))/g, "");
  const number = compact.match(/^(-?)(-?)0*(\d*)(?:\.(\d*?)0*)?(\/\d+(?:\.\d+)?)?$/);
  if (number && /\d/.test(compact)) {
    const [, minus, secondMinus, whole, decimals, fraction = ""] = number;
    const magnitude = (whole || "0") + (decimals ? `.${decimals}` : "") + fraction;
    return (minus || secondMinus) && magnitude !== "0" ? `-${magnitude}` : magnitude;
  }
  const letter = trimmed.match(/^\(?([A-Za-z])[).:]?$/);
  return letter ? letter[1].toUpperCase() : trimmed;
}

/** The value of a normalized number or fraction; NaN for any other answer. */
export function answerValue(answer: string): number {
  const parts = answer.match(/^(-?\d*\.?\d+)(?:\/(\d*\.?\d+))?$/);
  if (!parts) return NaN;
  const value = Number(parts[1]) / Number(parts[2] ?? 1);
  return Number.isFinite(value) ? value : NaN;
}

/** How exactly numbers must agree. */
export interface EqualityOptions {
  /** Largest difference, relative to the larger magnitude, and absolute below 1 (default 1e-6). */
  readonly tolerance?: number;
}

/**
 * Whether two answers are the same: as numbers within the tolerance (3/4 = 0.75), otherwise as texts, in which case
 * and runs of white space do not count. An answer that could not be extracted equals none.
 */
export function answersEqual(
  a: string | null,
  b: string | null,
  { tolerance = 1e-6 }: EqualityOptions = {},
): boolean {
  if (a === null || b === null) return false;
  const [left, right] = [normalizeAnswer(a), normalizeAnswer(b)];
  const [x, y] = [answerValue(left), answerValue(right)];
  if (!Number.isNaN(x) && !Number.isNaN(y)) {
    return x === y || Math.abs(x - y) <= tolerance * Math.max(1, Math.abs(x), Math.abs(y));
  }
  const fold = (text: string) => text.toLowerCase().replace(/\s+/g, " ");
  return fold(left) === fold(right);
}

/** What kind of answer a problem asks for: an option where it has choices, a number where its answer is one. */
export function answerKind(
  problem: { readonly choices?: readonly string[]; readonly answer?: string },
): AnswerKind {
  if (problem.choices !== undefined) return "option";
  if (problem.answer === undefined) return "number";
  return Number.isNaN(answerValue(normalizeAnswer(problem.answer))) ? "text" : "number";
}

/** What the functions below look at in a problem. */
export interface Asked {
  /** The right answer. */
  readonly answer?: string;
  /** The options' texts. */
  readonly choices?: readonly string[];
}

/** The answer that a response gives to a problem, looked for as its kind of answer asks; null when there is none. */
export function findAnswer(
  problem: Asked,
  text: string,
  options: { readonly strict?: boolean } = {},
): string | null {
  return extractAnswer(text, { kind: answerKind(problem), choices: problem.choices, strict: options.strict });
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
