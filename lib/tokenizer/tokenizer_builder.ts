/**
 * Makes a small tokenizer from a text corpus, in Hugging Face's format, so that a model trained from nothing has one.
 *
 * Byte-level, so any text round-trips: text → words (letters, single digits, signs and white space, each with the
 * blank before it, as GPT-2 cuts them) → bytes written as 256 printable characters → BPE.
 *
 * A vocabulary of 512 leaves some 250 tokens beside the bytes. Plain BPE spends most of them on the steps to a word
 * (" ap", " app", …). With `ignore_merges`, as Llama 3 uses it, a word that is in the vocabulary is one token without
 * any merge, so each slot goes to what shortens the corpus most: a whole word or a merge.
 */

import { UsageError } from "../runtime/errors.ts";

/** What a tokenizer is built with. */
export interface TokenizerBuilderOptions {
  /** Number of tokens, the 4 special ones and the 256 bytes included; fewer come out of a corpus that needs fewer. */
  readonly vocabularySize: number;
}

/** A tokenizer as the two objects that a model directory stores. */
export interface BuiltTokenizer {
  /** Content of tokenizer.json. */
  readonly tokenizer: Record<string, unknown>;
  /** Content of tokenizer_config.json. */
  readonly config: Record<string, unknown>;
}

/** Special tokens; a token's id is its place. */
const specialTokens = ["<unk>", "<s>", "</s>", "<pad>"] as const;

/** GPT-2's pattern with digits cut one by one, as a JavaScript and an Oniguruma expression alike. */
const wordPattern = String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/**
 * Builds a tokenizer from texts; the same texts give the same bytes.
 *
 * `<s>` comes first where special tokens are asked for (a template of the LLaMA kind); `</s>` ends a response and is
 * never added by itself. Throws UsageError for a vocabulary without room for the special tokens and the bytes.
 */
export function buildTokenizer(
  texts: Iterable<string>,
  { vocabularySize }: TokenizerBuilderOptions,
): BuiltTokenizer {
  const bytes = byteCharacters();
  const smallest = specialTokens.length + bytes.length;
  if (!Number.isInteger(vocabularySize) || vocabularySize < smallest) {
    throw new UsageError(
      `Vocabulary size must be an integer of at least ${smallest} ` +
        `(${specialTokens.length} special tokens and ${bytes.length} bytes): got ${vocabularySize}`,
    );
  }
  const { tokens, merges } = learn(countWords(texts, bytes), vocabularySize - smallest);
  const vocabulary = Object.fromEntries(
    [...specialTokens, ...bytes, ...tokens].map((token, id) => [token, id]),
  );
  return { tokenizer: tokenizerObject(vocabulary, merges), config: configObject() };
}

/** A word of the corpus: how often it occurs, and the tokens that spell it so far. */
interface Word {
  readonly text: string;
  readonly count: number;
  pieces: string[];
}

/** Words of the corpus in byte characters, most frequent first, then alphabetically. */
function countWords(texts: Iterable<string>, bytes: readonly string[]): Word[] {
  const pattern = new RegExp(wordPattern, "gu");
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(pattern)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const encoder = new TextEncoder();
  const words = [...counts].map(([word, count]): Word => {
    const pieces = Array.from(encoder.encode(word), (byte) => bytes[byte]);
    return { text: pieces.join(""), count, pieces };
  });
  return words.sort((a, b) => b.count - a.count || compare(a.text, b.text));
}

/**
 * Gives each of `slots` to the word or the merge that saves the most tokens over the corpus.
 *
 * Counts all pairs anew for every slot: a second for some hundred slots and thousands of distinct words.
 */
function learn(words: readonly Word[], slots: number): { tokens: Set<string>; merges: [string, string][] } {
  const tokens = new Set<string>();
  const merges: [string, string][] = [];
  const saved = (word: Word) => word.count * (word.pieces.length - 1);
  while (tokens.size < slots) {
    const word = best(words, saved, (word) => word.text);
    const pair = best(pairCounts(words).values(), (pair) => pair.count, (pair) => pair.key);
    if (!word || !pair) break; // every word is one token
    let token = word.text;
    // A tie goes to the merge: it also serves words that the corpus does not have.
    if (pair.count >= saved(word)) {
      const [left, right] = pair.parts;
      token = left + right; // may be a token already, as a word: then the merge takes no slot
      merges.push([left, right]);
      for (const word of words) word.pieces = merge(word.pieces, left, right);
    }
    tokens.add(token);
    for (const word of words) if (word.text === token) word.pieces = [token];
  }
  return { tokens, merges };
}

interface Pair {
  readonly key: string;
  readonly parts: readonly [string, string];
  count: number;
}

/** Neighbouring tokens over the corpus, with how many tokens their merge would save. */
function pairCounts(words: readonly Word[]): Map<string, Pair> {
  const pairs = new Map<string, Pair>();
  for (const { pieces, count } of words) {
    let end = -1; // the same pair overlapping itself ("aaa") merges once
    for (let i = 0; i + 1 < pieces.length; i++) {
      const key = `${pieces[i]} ${pieces[i + 1]}`; // no byte character is a blank
      if (i > 0 && i === end && pieces[i - 1] === pieces[i] && pieces[i] === pieces[i + 1]) continue;
      end = i + 1;
      const pair = pairs.get(key);
      if (pair) pair.count += count;
      else pairs.set(key, { key, parts: [pieces[i], pieces[i + 1]], count });
    }
  }
  return pairs;
}

/** The item of greatest positive gain; on a tie the alphabetically first, so that no map order matters. */
function best<T>(items: Iterable<T>, gain: (item: T) => number, name: (item: T) => string): T | undefined {
  let winner: T | undefined;
  let most = 0;
  for (const item of items) {
    const g = gain(item);
    if (g > most || (winner !== undefined && g === most && compare(name(item), name(winner)) < 0)) {
      winner = item;
      most = g;
    }
  }
  return winner;
}

function merge(pieces: string[], left: string, right: string): string[] {
  const merged: string[] = [];
  for (let i = 0; i < pieces.length; i++) {
    if (pieces[i] === left && pieces[i + 1] === right) {
      merged.push(left + right);
      i++;
    } else {
      merged.push(pieces[i]);
    }
  }
  return merged;
}

/** By code unit: no locale, so the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** GPT-2's printable character of each byte: itself where it prints in Latin-1, else 256 + its place among the rest. */
function byteCharacters(): string[] {
  let rest = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(prints ? byte : rest++);
  });
}

function tokenizerObject(
  vocabulary: Record<string, number>,
  merges: [string, string][],
): Record<string, unknown> {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: wordPattern }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [
        { SpecialToken: { id: "<s>", type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
        { Sequence: { id: "B", type_id: 1 } },
      ],
      special_tokens: { "<s>": { id: "<s>", ids: [vocabulary["<s>"]], tokens: ["<s>"] } },
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null, // every byte has a token
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: true,
      vocab: vocabulary,
      merges,
    },
  };
}

function configObject(): Record<string, unknown> {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    unk_token: "<unk>",
    bos_token: "<s>",
    eos_token: "</s>",
    pad_token: "<pad>",
    add_bos_token: true,
    add_eos_token: false,
    clean_up_tokenization_spaces: false, // true eats the blank before "." and does not round-trip
  };
}
