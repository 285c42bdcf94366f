/** What a problem asks, as one text: two problems with the same are one question. */

import type { Problem } from "./records.ts";

/**
 * The prompt that a record brings, or else its question, with its options; runs of white space count as one space.
 *
 *   { question: "1 +  1?", choices: ["2", "3"] } → ["1 + 1?",["2","3"]]
 */
export function askedText({ question, prompt, choices }: Problem): string {
  const plain = (text: string) => text.replace(/\s+/g, " ").trim();
  return JSON.stringify([plain(prompt ?? question), choices?.map(plain) ?? null]);
}
