/**
 * The added tokens that a chat template puts around turns, where the tokenizer does not call them special.
 */

import type { AddedToken } from "./_control_tokens.ts";
import { renderChat } from "./chat_template.ts";

/**
 * The nearest added token before and behind what the user says, and behind what the assistant says: `<|im_start|>` and
 * `<|im_end|>`. Others that a template writes (`<think>`, `<tool_call>`) belong to what is said. None for a template
 * that is wrong: whoever uses it is told.
 */
export function turnTokens(
  template: string,
  { specials, added }: {
    readonly specials: Readonly<Record<string, string>>;
    readonly added: readonly AddedToken[];
  },
): string[] {
  const plain = added.filter(({ special, content }) => !special && template.includes(content));
  if (plain.length === 0) return [];
  const asked = "4815162341", said = "4815162342";
  let text: string;
  try {
    const messages = [{ role: "user", content: asked }, { role: "assistant", content: said }];
    text = renderChat(template, messages, { specials });
  } catch {
    return [];
  }
  const places = added.flatMap(({ content }) => placesOf(content, text).map((index) => ({ content, index })))
    .sort((a, b) => a.index - b.index);
  const user = text.lastIndexOf(asked), assistant = text.lastIndexOf(said);
  const nearest = [
    places.findLast(({ index }) => index < user),
    places.find(({ index }) => index > user),
    places.find(({ index }) => index > assistant),
  ];
  return nearest.flatMap((place) => place ? [place.content] : []);
}

function placesOf(part: string, text: string): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(part); part !== "" && at >= 0; at = text.indexOf(part, at + part.length)) {
    places.push(at);
  }
  return places;
}
