/** Which ids a tokenizer's tokens have, from its file alone: nobody who asks for one waits for a thread. */

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

/** The vocabulary of a checked tokenizer.json: its model's, and over it the added tokens. */
export function vocabularyOf({ json, inner, reveal }: ControlTokens): Vocabulary {
  const { vocab } = json.model as {
    vocab: Readonly<Record<string, number>> | readonly (readonly [string])[];
  };
  const ids = new Map<string, number>(), tokens: string[] = [];
  let vocabularySize = 0;
  const add = (token: string, id: number) => {
    ids.set(token, id);
    tokens[id] = token;
    if (id >= vocabularySize) vocabularySize = id + 1;
  };
  if (Array.isArray(vocab)) vocab.forEach(([token], id) => add(token, id));
  else for (const [token, id] of Object.entries(vocab as Readonly<Record<string, number>>)) add(token, id);
  for (const { content, id } of addedTokens(json)) add(content, id);
  return {
    tokenOfId: (id) => tokens[id] === undefined ? undefined : reveal(tokens[id]),
    idOfToken: (token) => ids.get(inner(token)),
    vocabularySize,
  };
}
