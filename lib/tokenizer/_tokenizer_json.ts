/**
 * tokenizer.json at the edge: what is not as `@huggingface/tokenizers` reads it is refused here, by its place in the file,
 * and nothing in it can take memory or time that its size does not account for.
 */

import * as z from "zod/mini";
import { InputError } from "../runtime/errors.ts";
import type { TokenizerJson } from "./_continuing_text.ts";
import { checkSteps, stepParts } from "./_steps.ts";

/** Largest id that a token may have; real ones end below 300,000. */
const LARGEST_ID = 2 ** 31 - 1;
/** Characters of a token. The library keeps a node for each of them, and looks for each token at each place of a text. */
const LONGEST_TOKEN = 1024;
/** Characters of a word that WordPiece looks through, in cubic time. */
const LONGEST_WORD = 1000;

/** A tokenizer.json that was checked. */
export interface CheckedTokenizerJson {
  /** Its content. */
  readonly json: TokenizerJson;
  /** Where regular expressions stand that no public model is known to have. */
  readonly strangers: readonly string[];
}

const flag = z.nullish(z.boolean({ error: "true or false" }));
const word = z.nullish(z.string({ error: "a string" }));

const addedSchema = z.looseObject({
  id: z.int({ error: "a token id" }).check(
    z.minimum(0, { error: "a token id" }),
    z.maximum(LARGEST_ID, { error: `a token id of at most ${LARGEST_ID}` }),
  ),
  content: z.string({ error: "a string" }).check(
    z.maxLength(LONGEST_TOKEN, { error: `a string of at most ${LONGEST_TOKEN} characters` }),
  ),
  // The library would find it inside words too, and so give other ids than the file means.
  single_word: z.nullish(z.literal(false, { error: "false (tokens that stand alone are not supported)" })),
  lstrip: flag,
  rstrip: flag,
  normalized: flag,
  special: flag,
}, { error: "an object with id and content" });

const modelKinds = ["BPE", "WordPiece", "WordLevel", "Unigram"];
const modelSchema = z.looseObject({
  type: z.nullish(z.enum(modelKinds, { error: `one of ${modelKinds.join(", ")}` })),
  unk_token: word,
  continuing_subword_prefix: word,
  continuing_subword_suffix: word,
  end_of_word_suffix: word,
  fuse_unk: flag,
  byte_fallback: flag,
  ignore_merges: flag,
  max_input_chars_per_word: z.nullish(
    z.int({ error: "a positive integer" }).check(
      z.positive({ error: "a positive integer" }),
      z.maximum(LONGEST_WORD, { error: `an integer of at most ${LONGEST_WORD}` }),
    ),
  ),
}, { error: "an object" });

/**
 * Checks the content of a tokenizer.json.
 *
 * @param where the file's path
 * @throws {InputError} one line: the file, the place in it, what is read, what was found
 */
export function checkTokenizerJson(
  json: Readonly<Record<string, unknown>>,
  where: string,
): CheckedTokenizerJson {
  const wrong = wrongIn(where), strangers: string[] = [], steps: Record<string, unknown> = {};
  checkModel(json.model, wrong);
  for (const part of stepParts) {
    if (json[part] === undefined) throw wrong(part, "an object, or null", undefined);
    const checked = checkSteps(part, json[part], where);
    steps[part] = checked.steps;
    strangers.push(...checked.strangers);
  }
  const added = json.added_tokens ?? [];
  if (!Array.isArray(added)) throw wrong("added_tokens", "a list of tokens", added);
  added.forEach((token, i) => check(addedSchema, token, { place: `added_tokens[${i}]`, wrong }));
  return { json: { ...json, ...steps, added_tokens: added } as unknown as TokenizerJson, strangers };
}

/** Makes the error of a place in the file: what is read there, and what was found. */
export type Wrong = (place: string, expected: string, found: unknown) => InputError;

function check(
  schema: z.ZodMiniType,
  value: unknown,
  { place, wrong }: { readonly place: string; readonly wrong: Wrong },
): void {
  const { error } = schema.safeParse(value);
  if (!error) return;
  const [{ path, message }] = error.issues as [z.core.$ZodIssue];
  const found = path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], value);
  throw wrong([place, ...path].join("."), message, found);
}

/** Errors of a file. */
export function wrongIn(where: string): Wrong {
  return (place, expected, found) =>
    new InputError(
      `Cannot read ${where}: ${place} must be ${expected}: got ${JSON.stringify(found) ?? "nothing"}`,
    );
}

/**
 * Checks an entry of model.vocab, where it is walked for its ids anyway: of a hundred thousand entries, another walk is
 * a tenth of the time that loading takes.
 */
export function checkEntry(token: string, id: unknown, wrong: Wrong): number {
  if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > LARGEST_ID) {
    throw wrong(`model.vocab[${JSON.stringify(token)}]`, `a token id of at most ${LARGEST_ID}`, id);
  }
  if (token.length > LONGEST_TOKEN) {
    const shown = `${token.slice(0, 20)}… of ${token.length}`;
    throw wrong("each token of model.vocab", `of at most ${LONGEST_TOKEN} characters`, shown);
  }
  return id as number;
}

/** By loops of our own where a file has a hundred thousand entries: a schema over each would take longer than the rest. */
function checkModel(model: unknown, wrong: Wrong): void {
  // A vocabulary is not walked by the schema, which knows nothing of the field.
  check(modelSchema, model, { place: "model", wrong });
  const { type, vocab, merges, unk_id: unknown } = model as Record<string, unknown>;
  const isList = Array.isArray(vocab);
  if (isList ? type !== "Unigram" && type !== undefined && type !== null : type === "Unigram") {
    throw wrong(
      "model.vocab",
      isList ? "an object of token ids" : "a list of tokens and their scores",
      vocab,
    );
  }
  if (isList) return checkScores(vocab, unknown, wrong);
  if (typeof vocab !== "object" || vocab === null) {
    throw wrong("model.vocab", "an object of token ids", vocab);
  }
  if (type === "WordPiece") {
    for (const field of ["unk_token", "continuing_subword_prefix"]) {
      const value = (model as Record<string, unknown>)[field];
      if (typeof value !== "string") throw wrong(`model.${field}`, "a string", value);
    }
  }
  if (type === "BPE" || merges !== undefined) checkMerges(model as Record<string, unknown>, wrong);
}

function checkScores(vocab: readonly unknown[], unknown: unknown, wrong: Wrong): void {
  if (vocab.length === 0) throw wrong("model.vocab", "a list of tokens and their scores", vocab);
  vocab.forEach((entry, i) => {
    if (!Array.isArray(entry) || typeof entry[0] !== "string" || typeof entry[1] !== "number") {
      throw wrong(`model.vocab[${i}]`, "a token and its score", entry);
    }
  });
  const inside = Number.isInteger(unknown) && (unknown as number) >= 0 && (unknown as number) < vocab.length;
  if (unknown !== null && unknown !== undefined && !inside) {
    throw wrong("model.unk_id", `an id below ${vocab.length}`, unknown);
  }
}

/** Merges are two texts each, in one of two spellings. */
function checkMerges({ merges }: Readonly<Record<string, unknown>>, wrong: Wrong): void {
  if (!Array.isArray(merges)) throw wrong("model.merges", "a list of merges", merges);
  const pairs = Array.isArray(merges[0]);
  for (let i = 0; i < merges.length; i++) {
    const merge = merges[i];
    if (!pairs && (typeof merge !== "string" || !merge.includes(" "))) {
      throw wrong(`model.merges[${i}]`, "two tokens with a blank between them", merge);
    }
    if (
      pairs &&
      (!Array.isArray(merge) || merge.length !== 2 || typeof merge[0] !== "string" ||
        typeof merge[1] !== "string")
    ) throw wrong(`model.merges[${i}]`, "two tokens, as the first is", merge);
  }
}
