/**
 * "Did you mean": the nearest of the known words to a mistyped one, for the messages of errors.
 */

import { closest, distance } from "fastest-levenshtein";

/**
 * `: did you mean NAME?` when a known word has two neighbouring letters the other way round, begins with `word` (three
 * letters at least, dashes aside; the shortest), or is at most a third of its letters away from it, else nothing.
 */
export function suggestion(word: string, known: readonly string[]): string {
  if (known.length === 0) return "";
  const swapped = known.find((other) => isSwapped(word, other));
  if (swapped !== undefined) return `: did you mean ${swapped}?`;
  const begun = word.replace(/^-+/, "").length < 3 ? [] : known.filter((other) => other.startsWith(word));
  if (begun.length > 0) return `: did you mean ${begun.reduce((a, b) => b.length < a.length ? b : a)}?`;
  const nearest = closest(word, known);
  return distance(word, nearest) <= Math.max(1, word.length / 3) ? `: did you mean ${nearest}?` : "";
}

function isSwapped(word: string, other: string): boolean {
  const at = [...word].findIndex((letter, i) => letter !== other[i]);
  return at >= 0 && word.slice(0, at) + word[at + 1] + word[at] + word.slice(at + 2) === other;
}
