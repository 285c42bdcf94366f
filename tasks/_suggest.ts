/**
 * "Did you mean": the nearest of the known words to a mistyped one.
 */

import { closest, distance } from "fastest-levenshtein";

/** `: did you mean NAME?` when a known word is at most a third of its letters away from `word`, else nothing. */
export function suggestion(word: string, known: readonly string[]): string {
  if (known.length === 0) return "";
  const nearest = closest(word, known);
  return distance(word, nearest) <= Math.max(1, word.length / 3) ? `: did you mean ${nearest}?` : "";
}
