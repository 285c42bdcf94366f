/** What a problem asks, as one text: two problems with the same are one question. */

import type { Problem } from "./records.ts";

/**
 * The prompt that a record brings, or else its question, with its options and with what was said around it; runs of white
 * space count as one space.
 *
 *   { question: "1 +  1?", choices: ["2", "3"] } → ["1 + 1?",["2","3"]]
 *   { question: "Why?", earlier: [{ role: "user", content: "1 + 1?" }, …] } → ["Why?",null,[["user","1 + 1?"],…]]
 */
export function askedText({ question, prompt, choices, earlier = [], between = [] }: Problem): string {
  const plain = (text: string) => text.replace(/\s+/g, " ").trim();
  const said = [...earlier, ...between].map((turn) => [
    turn.role,
    plain(turn.content),
    ...(turn.tool_calls ? [turn.tool_calls] : []),
  ]);
  return JSON.stringify([
    plain(prompt ?? question),
    choices?.map(plain) ?? null,
    ...(said.length > 0 ? [said] : []),
  ]);
}
