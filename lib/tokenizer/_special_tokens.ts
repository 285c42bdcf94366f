/**
 * Which tokens a tokenizer's files call special, and what they say is put around a text.
 */

import type { TokenizerJson } from "./_continuing_text.ts";
import { addedTokens } from "./_control_tokens.ts";

/** What a tokenizer's files say of special tokens. */
export interface SpecialTokens {
  /** The tokenizer.json, with an added token for each special one that only its vocabulary had. */
  readonly json: TokenizerJson;
  /** Their text by role, such as `bos_token`. */
  readonly specials: Readonly<Record<string, string>>;
  /** The text of all. */
  readonly special: ReadonlySet<string>;
}

/**
 * The special tokens: those that tokenizer.json or `added_tokens_decoder` flags, those with a role, and the additional
 * ones.
 *
 * @param config tokenizer_config.json, over special_tokens_map.json
 */
export function specialsOf(json: TokenizerJson, config: Readonly<Record<string, unknown>>): SpecialTokens {
  const specials: Record<string, string> = {}, special = new Set<string>();
  for (const [role, value] of Object.entries(config)) {
    const text = contentOf(value);
    if (role.endsWith("_token") && text !== undefined) specials[role] = text;
  }
  for (const text of Object.values(specials)) special.add(text);
  for (const list of ["additional_special_tokens", "extra_special_tokens"]) {
    for (const value of valuesOf(config[list])) {
      const text = contentOf(value);
      if (text !== undefined) special.add(text);
    }
  }
  for (const value of valuesOf(config.added_tokens_decoder)) {
    const text = contentOf(value);
    if (text !== undefined && (value as { special?: unknown }).special === true) special.add(text);
  }
  const added = addedTokens(json), there = new Set(added.map(({ content }) => content));
  for (const token of added) if (token.special) special.add(token.content);
  const vocabulary = (json.model as { vocab?: unknown } | null)?.vocab;
  const missing = [...special].flatMap((content) => {
    const id = there.has(content) ? undefined : idIn(vocabulary, content);
    if (id === undefined) return [];
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    return [{ id, content, ...flags, special: true }];
  });
  return {
    json: missing.length === 0 ? json : { ...json, added_tokens: [...added, ...missing] },
    specials,
    special,
  };
}

/** Tokens before and after a text. */
export interface Around {
  /** Before it. */
  readonly before: readonly number[];
  /** After it. */
  readonly after: readonly number[];
}

/** Classes that make their post-processor anew from `add_bos_token` and `add_eos_token`. */
const REBUILT = /^(?:CodeLlama|Llama|Gemma|Cohere)Tokenizer(?:Fast)?$/;

/**
 * What goes around a text: as tokenizer.json has it, unless tokenizer_config.json names a class that obeys
 * `add_bos_token` and `add_eos_token` instead, as transformers does. Where another class contradicts them, tokenizer.json
 * holds and `doubt` says so.
 */
export function aroundText(
  config: Readonly<Record<string, unknown>>,
  { seen, begin, end }: {
    readonly seen: Around;
    readonly begin: number | undefined;
    readonly end: number | undefined;
  },
): { readonly around: Around; readonly doubt?: string } {
  const { add_bos_token: addBegin, add_eos_token: addEnd, tokenizer_class: kind } = config;
  if (typeof kind === "string" && REBUILT.test(kind)) {
    const side = (add: unknown, token: number | undefined, otherwise: readonly number[]) =>
      typeof add !== "boolean" ? otherwise : add && token !== undefined ? [token] : [];
    return { around: { before: side(addBegin, begin, seen.before), after: side(addEnd, end, seen.after) } };
  }
  const has = begin !== undefined && seen.before.includes(begin);
  if (begin === undefined || typeof addBegin !== "boolean" || addBegin === has) return { around: seen };
  return {
    around: seen,
    doubt: `says add_bos_token ${addBegin}, but its tokenizer.json ${
      has ? "begins" : "does not begin"
    } a text with the begin token: tokenizer.json is followed`,
  };
}

function contentOf(value: unknown): string | undefined {
  const text = typeof value === "object" && value !== null ? (value as { content?: unknown }).content : value;
  return typeof text === "string" && text !== "" ? text : undefined;
}

function valuesOf(list: unknown): unknown[] {
  return typeof list === "object" && list !== null ? Object.values(list) : [];
}

function idIn(vocabulary: unknown, token: string): number | undefined {
  if (Array.isArray(vocabulary)) {
    const id = vocabulary.findIndex((entry) => Array.isArray(entry) && entry[0] === token);
    return id < 0 ? undefined : id;
  }
  if (typeof vocabulary !== "object" || vocabulary === null || !Object.hasOwn(vocabulary, token)) {
    return undefined;
  }
  const id = (vocabulary as Record<string, unknown>)[token];
  return typeof id === "number" ? id : undefined;
}
