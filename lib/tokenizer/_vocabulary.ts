/** Which ids a tokenizer's tokens have, from its file alone: nobody who asks for one waits for a thread. */

import { checkEntry, wrongIn } from "./_tokenizer_json.ts";
import { addedTokens, type ControlTokens } from "./_control_tokens.ts";

/** Tokens by id and ids by token, with the tokens' own spellings. */
export interface Vocabulary {
  /** A token's spelling; undefined where no token has the id. */
  tokenOfId(id: number): string | undefined;
  /** A token's id; undefined where there is no such token. */
  idOfToken(token: string): number | undefined;
  /** One more than the largest id. */
  readonly vocabularySize: number;
}

/**
 * The vocabulary of a tokenizer.json that was checked but for its entries: its model's, and over it the added tokens.
 *
 * @param where the file's path
 * @throws {InputError} for an id that is none, or a token that is too long
 */
export function vocabularyOf({ json, inner, reveal }: ControlTokens, where: string): Vocabulary {
  const { vocab } = json.model as {
    vocab: Readonly<Record<string, unknown>> | readonly (readonly [string])[];
  };
  const wrong = wrongIn(where);
  const ids = new Map<string, number>(), tokens: string[] = [];
  let vocabularySize = 0;
  const add = (token: string, id: number) => {
    ids.set(token, id);
    tokens[id] = token;
    if (id >= vocabularySize) vocabularySize = id + 1;
  };
  const entries = Array.isArray(vocab)
    ? (vocab as readonly (readonly [string])[]).map(([token], id) => [token, id] as const)
    : Object.entries(vocab);
  for (const [token, id] of entries) add(token, checkEntry(token, id, wrong));
  for (const { content, id } of addedTokens(json)) add(content, id);
  return {
    tokenOfId: (id) => tokens[id] === undefined ? undefined : reveal(tokens[id]),
    idOfToken: (token) => ids.get(inner(token)),
    vocabularySize,
  };
}
