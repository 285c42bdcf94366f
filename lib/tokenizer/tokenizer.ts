/**
 * Text to token ids and back, by any tokenizer.json.
 */

import { join } from "node:path";
import { InputError } from "../runtime/errors.ts";
import { exists, readText } from "../runtime/files.ts";
import { continuing, type TokenizerJson } from "./_continuing_text.ts";
import { addedTokens, separateControls } from "./_control_tokens.ts";
import { openEngines } from "./_engine.ts";
import type { Engine } from "./_library_engine.ts";
import { aroundText, specialsOf } from "./_special_tokens.ts";
import { checkTokenizerJson } from "./_tokenizer_json.ts";
import { vocabularyOf } from "./_vocabulary.ts";
import { chatTemplate } from "./chat_template.ts";
import { turnTokens } from "./_turn_tokens.ts";

/** A tokenizer, with what it takes to write it again. */
export interface Tokenizer extends Disposable {
  /**
   * Ids of a text. With `special` (default) the tokens that the tokenizer puts around a text are added, the one at the
   * beginning not a second time where the text already spells it, as a rendered chat does. Text that spells a control
   * token is that token, unless {@linkcode guard} has marked it.
   */
  encode(text: string, options?: { readonly special?: boolean }): number[];
  /** Ids of a prompt: what {@linkcode encode} gives, without the tokens that would end the text. */
  encodePrompt(text: string): number[];
  /**
   * Data as it goes into a template whose text {@linkcode encodePrompt} reads: what spells a control token gets a mark
   * that keeps it text, and the mark is taken out again there. Other text stays as it is. Not to be called twice.
   */
  guard(text: string): string;
  /**
   * Ids of a response that follows a prompt. It is data: text that spells a control token is text.
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
  readonly beginToken?: number | undefined;
  /** The tokens that end one (`eos_token`); empty when it names none. */
  readonly endTokens: readonly number[];
  /** Whether a token is a control token: special, named by a role, or what a chat template puts around a turn. */
  isControl(id: number): boolean;
  /** What is odd about its files and was made to work, one line each. */
  readonly doubts: readonly string[];
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
  readonly vocabularySize?: number | undefined;
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

/**
 * Loads a model directory's tokenizer.
 *
 * ```ts
 * import { loadTokenizer } from "./mod.ts";
 *
 * using tokenizer = await loadTokenizer("fixtures/base");
 * console.log(tokenizer.decode(tokenizer.encode("2 + 3 = 5"))); // 2 + 3 = 5
 * ```
 *
 * @throws {InputError} when it is missing, wrong or another model's
 */
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
  const path = join(where, "tokenizer.json");
  const { json: source, strangers } = checkTokenizerJson(parseObject(files, "tokenizer.json", where), path);
  const settings = parseObject(files, "tokenizer_config.json", where);
  const map = parseObject(files, "special_tokens_map.json", where);
  const { json: complete, specials, special } = specialsOf(source, { ...map, ...settings });
  const { json: bounded, doubts } = withinRows(complete, {
    where,
    specials,
    files,
    rows: options.vocabularySize,
  });
  parseObject(files, "chat_template.json", where);
  const template = chatTemplate(files);
  const turns = template === undefined ? [] : turnTokens(template, { specials, added: addedTokens(bounded) });
  const controls = separateControls(bounded, new Set([...special, ...turns]));
  // "I ' m" must stay as it is: tidying made 3% of GSM8K's texts come back changed. Roles and lists of special tokens
  // are in `json` already.
  const config: Record<string, unknown> = {
    ...settings,
    target_lang: undefined, // a vocabulary for each language is of speech models
    clean_up_tokenization_spaces: false,
    additional_special_tokens: [],
  };
  for (const [role, text] of Object.entries(specials)) config[role] = controls.inner(text);
  const { tokenOfId, idOfToken, vocabularySize } = vocabularyOf(controls, path);
  const rows = options.vocabularySize ?? vocabularySize;
  if (vocabularySize > rows) {
    throw new InputError(
      `Cannot use the tokenizer of ${where}: the model has ${rows} tokens, but id ${vocabularySize - 1} ` +
        `(${JSON.stringify(tokenOfId(vocabularySize - 1))}) is beyond them`,
    );
  }

  const unknown = options.endTokens?.find((id) => tokenOfId(id) === undefined);
  if (unknown !== undefined) {
    throw new InputError(
      `Cannot use the tokenizer of ${where}: it has no token ${unknown}, with which the model ends a text; its ` +
        `largest id is ${vocabularySize - 1}`,
    );
  }

  const idOf = (role: string) => specials[role] === undefined ? undefined : idOfToken(specials[role]);
  const rest = continuing(controls.json), jsons = rest ? [controls.json, rest] : [controls.json];
  const opened = openEngines(jsons.map((json) => ({ json, config })), { where: path, strangers });
  const whole = opened.engines[0]!, part = opened.engines.at(-1)!;
  const seen = specialsAround(whole);
  const { around, doubt } = aroundText(settings, { seen, begin: idOf("bos_token"), end: idOf("eos_token") });
  const body = (text: string) => whole.encode(controls.recognize(text), false);
  const encodePrompt = (text: string): number[] => {
    const ids = body(text), { before } = around;
    const there = before.length > 0 && before.every((id, i) => ids[i] === id);
    return there ? ids : [...before, ...ids];
  };
  const toText = (engine: Engine, ids: readonly number[], skipSpecial: boolean): string =>
    // The library refuses an empty list.
    ids.length === 0 ? "" : controls.reveal(engine.decode(ids, skipSpecial));
  const end = idOf("eos_token");

  return {
    encode: (text, { special = true } = {}) =>
      special ? [...encodePrompt(text), ...around.after] : body(text),
    encodePrompt,
    guard: controls.guard,
    encodeResponse: (text) => part.encode(text.toWellFormed(), false),
    decode: (ids, { skipSpecial = true } = {}) => toText(whole, ids, skipSpecial),
    decodeResponse: (ids) => toText(part, ids, true),
    vocabularySize,
    beginToken: idOf("bos_token"),
    endTokens: end === undefined ? [] : [end],
    specials,
    isControl: (id) => controls.ids.has(id),
    doubts: [...doubts, ...(doubt === undefined ? [] : [`The tokenizer of ${where} ${doubt}`])],
    idToToken: tokenOfId,
    tokenToId: idOfToken,
    files,
    [Symbol.dispose]: () => opened[Symbol.dispose](),
  };
}

/**
 * Leaves out added tokens beyond the model's rows where nothing uses them (a `[PAD]` somebody added): text that spells
 * one is text. Throws InputError where a role other than padding, the template or the text's own begin or end needs one.
 */
function withinRows(
  json: TokenizerJson,
  { where, specials, files, rows }: {
    readonly where: string;
    readonly specials: Readonly<Record<string, string>>;
    readonly files: ReadonlyMap<string, string>;
    readonly rows: number | undefined;
  },
): { json: TokenizerJson; doubts: string[] } {
  const beyond = rows === undefined ? [] : addedTokens(json).filter(({ id }) => id >= rows);
  if (rows === undefined || beyond.length === 0) return { json, doubts: [] };
  const roles = Object.entries(specials).filter(([role]) => role !== "pad_token").map(([, text]) => text);
  const used = [...roles, chatTemplate(files) ?? "", JSON.stringify(json.post_processor ?? "")].join("\n");
  const needed = beyond.find(({ content }) => used.includes(content));
  if (needed) {
    throw new InputError(
      `Cannot use the tokenizer of ${where}: the model has ${rows} tokens, but id ${needed.id} ` +
        `(${JSON.stringify(needed.content)}) is beyond them`,
    );
  }
  const names = beyond.slice(0, 3).map(({ content }) => JSON.stringify(content)).join(", ");
  return {
    json: { ...json, added_tokens: addedTokens(json).filter(({ id }) => id < rows) },
    doubts: [
      `The tokenizer of ${where} has added tokens beyond the model's ${rows} rows, which nothing uses: ` +
      `${names}${beyond.length > 3 ? ` and ${beyond.length - 3} more` : ""}; text that spells one is text`,
    ],
  };
}

/** What the tokenizer puts before and after a text, seen on one. */
function specialsAround(engine: Engine): { before: number[]; after: number[] } {
  const plain = engine.encode("a", false), whole = engine.encode("a", true);
  for (let start = 0; start + plain.length <= whole.length; start++) {
    if (plain.every((id, i) => whole[start + i] === id)) {
      return { before: whole.slice(0, start), after: whole.slice(start + plain.length) };
    }
  }
  return { before: [], after: [] };
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
