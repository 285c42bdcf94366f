/** The library's tokenizer behind the two calls that are made of it. */

import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { InputError } from "../runtime/errors.ts";
import type { TokenizerJson } from "./_continuing_text.ts";

/** Text to ids and back, as the tokenizer's file says and nothing else. */
export interface Engine {
  /** Ids of a text; `special`: with what the post-processor puts around it. */
  encode(text: string, special: boolean): number[];
  /** Text of at least one id. */
  decode(ids: readonly number[], skipSpecial: boolean): string;
}

/** What an engine is made of. */
export interface EngineSource {
  /** The tokenizer.json, checked. */
  readonly json: TokenizerJson;
  /** What the library takes of tokenizer_config.json. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** What the thread is asked: to make the tokenizers, or for an answer of one of them. */
export type EngineRequest =
  | { readonly open: readonly EngineSource[] }
  | { readonly engine: number; readonly probes: readonly string[] }
  | { readonly engine: number; readonly encode: string; readonly special: boolean }
  | { readonly engine: number; readonly decode: readonly number[]; readonly skipSpecial: boolean };

/** The library's tokenizer. Throws what it throws. */
export function libraryEngine({ json, config }: EngineSource): Engine {
  const tokenizer = new LibraryTokenizer(json, config);
  return {
    encode(text, special) {
      const { ids, tokens } = tokenizer.encode(text, { add_special_tokens: special });
      const unknown = (ids as (number | undefined)[]).indexOf(undefined);
      if (unknown < 0) return ids;
      throw new InputError(
        `it has no token for ${JSON.stringify(tokens[unknown]) ?? "a text"}, nor one for what is unknown`,
      );
    },
    decode: (ids, skipSpecial) => tokenizer.decode([...ids], { skip_special_tokens: skipSpecial }),
  };
}
