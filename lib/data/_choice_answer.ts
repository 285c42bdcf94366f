/** The right one of several options: by letter, by text, or by an index where somebody says from what it counts. */

import { normalizeAnswer } from "./answers.ts";

/** What an answer of a record with options is: an index from 0 or from 1, a letter, or an option's text. */
export type AnswerIndex = "0" | "1" | "letter" | "text";

/**
 * The letter of an answer, or undefined where it is none. Unless told, a letter in range comes first, then the text of
 * exactly one option. A number is never taken for an index: whether the first is 0 or 1 cannot be seen.
 */
export function choiceLetter(
  answer: unknown,
  choices: readonly string[],
  kind?: AnswerIndex,
): string | undefined {
  if (kind === "0" || kind === "1") {
    const index = Number(typeof answer === "string" && answer.trim() === "" ? NaN : answer) - Number(kind);
    if (Number.isInteger(index)) return index in choices ? letterOf(index) : undefined;
  }
  if (kind === "text") return byText(answer, choices);
  const letter = typeof answer === "string" ? byLetter(answer, choices) : undefined;
  if (letter !== undefined || kind === "letter") return letter;
  // A bare number in range may be a text or an index, of either kind.
  const bare = Number.isInteger(answer) && Number(answer) >= 0 && Number(answer) <= choices.length;
  return typeof answer === "number" && bare ? undefined : byText(answer, choices);
}

/** What an answer may be, for a message. */
export function describeChoices(choices: readonly string[]): string {
  return `a letter from A to ${letterOf(choices.length - 1)} or the text of one of the choices`;
}

function byLetter(answer: string, choices: readonly string[]): string | undefined {
  const trimmed = answer.trim();
  const labelled = trimmed.match(/^\(?([A-Za-z])[).:]\s*(\S.*)$/s);
  if (labelled) {
    const letter = labelled[1]!.toUpperCase(), text = choices[letter.charCodeAt(0) - 65];
    return text !== undefined && fold(text) === fold(labelled[2]!) ? letter : undefined;
  }
  // A lower-case letter may be an option's text: "x" of the options x and y.
  if (/^[a-z]$/.test(trimmed) && choices.some((text) => text.trim() === trimmed)) return undefined;
  const letter = normalizeAnswer(trimmed);
  return /^[A-Z]$/.test(letter) && letter.charCodeAt(0) - 65 < choices.length ? letter : undefined;
}

function byText(answer: unknown, choices: readonly string[]): string | undefined {
  if (typeof answer !== "string" && typeof answer !== "number") return undefined;
  const text = String(answer);
  for (const same of [(a: string) => a, fold]) {
    const found = choices.flatMap((choice, i) => same(choice) === same(text) ? [i] : []);
    if (found.length > 0) return found.length === 1 ? letterOf(found[0]!) : undefined;
  }
  return undefined;
}

function letterOf(index: number): string {
  return String.fromCharCode(65 + index);
}

function fold(text: string): string {
  return text.trim().toLowerCase().replace(/\s+/g, " ");
}
