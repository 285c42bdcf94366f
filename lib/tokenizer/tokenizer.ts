/**
 * Text to token ids and back, by any tokenizer.json.
 */

import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { join } from "node:path";
import { InputError } from "../runtime/errors.ts";
import { exists, readText } from "../runtime/files.ts";
import { continuing, type TokenizerJson } from "./_continuing_text.ts";

/** A tokenizer, with what it takes to write it again. */
export interface Tokenizer {
  /**
   * Ids of a text. With `special` (default) the tokens that the tokenizer puts around a text are added, the one at the
   * beginning not a second time where the text already spells it, as a rendered chat does.
   */
  encode(text: string, options?: { readonly special?: boolean }): number[];
  /** Ids of a prompt: what {@linkcode encode} gives, without the tokens that would end the text. */
  encodePrompt(text: string): number[];
  /**
   * Ids of a response that follows a prompt.
   *
   * The rule, the same in training, scoring and generation: a response is tokenised by itself, as the continuation of
   * any text, so its ids depend neither on the prompt nor on where they are asked for. No special token is added, nor
   * the blank that tokenizers of SentencePiece's kind put before a text. So for every prompt that is not empty
   * decode(prompt ids + response ids) = prompt + response, and a response that begins with a word begins with that
   * word's piece inside a text (`The`, not `▁The`).
   */
  encodeResponse(text: string): number[];
  /** Text of ids; special tokens are left out with `skipSpecial` (default). */
  decode(ids: readonly number[], options?: { readonly skipSpecial?: boolean }): string;
  /**
   * Text of the ids of a response: the inverse of {@linkcode encodeResponse}; a blank at its beginning is kept, and
   * special tokens are left out. Ids that the tokenizer itself would not have chosen for their text (a sampled `th`,
   * `e`) come back as the ones it would.
   */
  decodeResponse(ids: readonly number[]): string;
  /** One more than the largest id. */
  readonly vocabularySize: number;
  /** The token that starts a sequence (`bos_token`). */
  readonly beginToken?: number;
  /** The tokens that end one (`eos_token`); empty when it names none. */
  readonly endTokens: readonly number[];
  /** The text of special tokens by role, such as `bos_token`, as chat templates use them. */
  readonly specials: Readonly<Record<string, string>>;
  /** A token's spelling in the vocabulary, or undefined. */
  idToToken(id: number): string | undefined;
  /** A token's id, or undefined. */
  tokenToId(token: string): number | undefined;
  /** Content of the tokenizer's files by name, as they were read. */
  readonly files: ReadonlyMap<string, string>;
}

/** How to load a tokenizer. */
export interface LoadTokenizerOptions {
  /** Rows of the model's embedding; an id beyond them is refused. */
  readonly vocabularySize?: number;
  /** The model's end tokens; a tokenizer that lacks one is another model's. */
  readonly endTokens?: readonly number[];
}

const tokenizerFiles = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
];

/** Loads a model directory's tokenizer. Throws InputError, one line, when it is missing, wrong or another model's. */
export async function loadTokenizer(
  directory: string,
  options: LoadTokenizerOptions = {},
): Promise<Tokenizer> {
  const files = new Map<string, string>();
  for (const name of tokenizerFiles) {
    const path = join(directory, name);
    if (await exists(path)) files.set(name, await readText(path));
  }
  return makeTokenizer(files, directory, options);
}

/**
 * Makes a tokenizer of the content of its files, of which tokenizer.json must be there.
 *
 * @param where their directory, for errors
 */
export function makeTokenizer(
  files: ReadonlyMap<string, string>,
  where: string,
  options: LoadTokenizerOptions = {},
): Tokenizer {
  if (!files.has("tokenizer.json")) {
    throw new InputError(`Cannot load the tokenizer of ${where}: tokenizer.json is missing`);
  }
  const json = parseObject(files, "tokenizer.json", where) as unknown as TokenizerJson;
  // "I ' m" must stay as it is: tidying made 3% of GSM8K's texts come back changed.
  const config = {
    ...parseObject(files, "tokenizer_config.json", where),
    clean_up_tokenization_spaces: false,
  };
  const whole = build(json, config, where);
  const rest = continuing(json), part = rest ? build(rest, config, where) : whole;

  const vocabulary = whole.get_vocab();
  let vocabularySize = 0;
  for (const id of vocabulary.values()) vocabularySize = Math.max(vocabularySize, id + 1);
  const rows = options.vocabularySize ?? vocabularySize;
  if (vocabularySize > rows) {
    throw new InputError(
      `Cannot use the tokenizer of ${where}: the model has ${rows} tokens, but id ${vocabularySize - 1} ` +
        `(${JSON.stringify(whole.id_to_token(vocabularySize - 1))}) is beyond them`,
    );
  }

  const unknown = options.endTokens?.find((id) => whole.id_to_token(id) === undefined);
  if (unknown !== undefined) {
    throw new InputError(
      `Cannot use the tokenizer of ${where}: it has no token ${unknown}, with which the model ends a text; its ` +
        `largest id is ${vocabularySize - 1}`,
    );
  }

  const specials = specialTexts(config);
  const idOf = (role: string) => specials[role] === undefined ? undefined : whole.token_to_id(specials[role]);
  const around = specialsAround(whole);
  const body = (text: string) => whole.encode(text, { add_special_tokens: false }).ids;
  const encodePrompt = (text: string): number[] => {
    const ids = body(text), { before } = around;
    const there = before.length > 0 && before.every((id, i) => ids[i] === id);
    return there ? ids : [...before, ...ids];
  };
  const toText = (tokenizer: HuggingFaceTokenizer, ids: readonly number[], skipSpecial: boolean): string =>
    // The library refuses an empty list.
    ids.length === 0 ? "" : tokenizer.decode([...ids], { skip_special_tokens: skipSpecial });
  const end = idOf("eos_token");

  return {
    encode: (text, { special = true } = {}) =>
      special ? [...encodePrompt(text), ...around.after] : body(text),
    encodePrompt,
    encodeResponse: (text) => part.encode(text, { add_special_tokens: false }).ids,
    decode: (ids, { skipSpecial = true } = {}) => toText(whole, ids, skipSpecial),
    decodeResponse: (ids) => toText(part, ids, true),
    vocabularySize,
    beginToken: idOf("bos_token"),
    endTokens: end === undefined ? [] : [end],
    specials,
    idToToken: (id) => whole.id_to_token(id),
    tokenToId: (token) => whole.token_to_id(token),
    files,
  };
}

function build(json: TokenizerJson, config: object, where: string): HuggingFaceTokenizer {
  try {
    return new HuggingFaceTokenizer(json, config);
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0];
    throw new InputError(`Cannot load the tokenizer of ${where}: ${reason}`, { cause: error });
  }
}

/** What the tokenizer puts before and after a text, seen on one. */
function specialsAround(tokenizer: HuggingFaceTokenizer): { before: number[]; after: number[] } {
  const plain = tokenizer.encode("a", { add_special_tokens: false }).ids;
  const whole = tokenizer.encode("a").ids;
  for (let start = 0; start + plain.length <= whole.length; start++) {
    if (plain.every((id, i) => whole[start + i] === id)) {
      return { before: whole.slice(0, start), after: whole.slice(start + plain.length) };
    }
  }
  return { before: [], after: [] };
}

/** Roles such as `bos_token`, given as text or as an object with `content`. */
function specialTexts(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [role, value] of Object.entries(config)) {
    if (!role.endsWith("_token")) continue;
    const text = typeof value === "object" && value !== null
      ? (value as { content?: unknown }).content
      : value;
    if (typeof text === "string") texts[role] = text;
  }
  return texts;
}

function parseObject(
  files: ReadonlyMap<string, string>,
  name: string,
  where: string,
): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(files.get(name) ?? "{}");
  } catch (error) {
    const reason = (error as Error).message.replace(/\s+/g, " ");
    throw new InputError(`Cannot read ${join(where, name)}: expected JSON: ${reason}`, { cause: error });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InputError(`Cannot read ${join(where, name)}: expected a JSON object`);
  }
  return value as Record<string, unknown>;
}
