/**
 * Control tokens apart from text that spells them.
 *
 * A tokenizer cuts `</s>` out of any text, whoever wrote it. Here control tokens have other spellings inside the
 * tokenizer, which no text can have (lone surrogates do not survive UTF-8), so what data says stays text:
 * only {@linkcode ControlTokens.recognize} turns spellings into control tokens, and not those that
 * {@linkcode ControlTokens.guard} has marked before a template was filled in.
 */

import type { TokenizerJson } from "./_continuing_text.ts";

/** An entry of `added_tokens`. */
export interface AddedToken {
  /** Its id. */
  readonly id: number;
  /** Its spelling. */
  readonly content: string;
  /** Whether it is left out of decoded text. */
  readonly special?: boolean;
  /** The rest. */
  readonly [field: string]: unknown;
}

/** What separates control tokens from text. */
export interface ControlTokens {
  /** The tokenizer.json with their inner spellings. */
  readonly json: TokenizerJson;
  /** Their ids. */
  readonly ids: ReadonlySet<number>;
  /** The inner spelling of a control token; any other text as it is. */
  inner(token: string): string;
  /** A text that a template writes: every spelling is the control token, but for marked ones, which become plain text. */
  recognize(text: string): string;
  /** Data for a template: text that spells a control token gets a mark inside, so that it remains text. */
  guard(text: string): string;
  /** Decoded text, with the tokens' own spellings. */
  reveal(text: string): string;
}

// A noncharacter: Unicode keeps it for such uses, and trimming, upper case or JSON leave it alone.
const MARK = "\uFDD0", LITERAL = "\uFDD1";
const OPEN = "\uDC00", CLOSE = "\uDC01";

/**
 * Gives control tokens their inner spellings. One character or white space alone is no control token: text has it too.
 *
 * @param json a tokenizer.json just parsed; changed
 * @param contents spellings of the added tokens that are control tokens
 */
export function separateControls(json: TokenizerJson, contents: ReadonlySet<string>): ControlTokens {
  const added = addedTokens(json).filter(({ content }) =>
    contents.has(content) && [...content].length > 1 && content.trim() !== ""
  );
  const inner = new Map(added.map(({ id, content }) => [content, `${OPEN}${id}${CLOSE}`]));
  const outer = new Map([...inner].map(([content, name]) => [name, content]));
  const nameOf = (token: string) => inner.get(token) ?? token;
  if (inner.size === 0) {
    const same = (text: string) => text;
    return { json, ids: new Set(), inner: same, recognize: same, guard: same, reveal: same };
  }
  // Longest first, as tokenizers match.
  const spelled = [...inner.keys()].sort((a, b) => b.length - a.length)
    .map((content) => content.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|");
  const spelling = new RegExp(spelled, "g"), starts = new RegExp(`(?=(?:${spelled}))`, "g");
  const innerName = new RegExp(`${OPEN}\\d+${CLOSE}`, "g");
  return {
    json: {
      ...json,
      added_tokens: addedTokens(json).map((token) =>
        inner.has(token.content) ? { ...token, content: nameOf(token.content), special: true } : token
      ),
      model: renameModel(json.model as Record<string, unknown>, inner),
      post_processor: renameStrings(json.post_processor, nameOf),
    },
    ids: new Set(added.map(({ id }) => id)),
    inner: nameOf,
    recognize: (text) =>
      text.toWellFormed().replace(spelling, nameOf).replace(
        /\uFDD0(\uFDD1?)/g,
        (_, literal) => literal && MARK,
      ),
    guard(text) {
      // Where one spelling lies inside another, both are broken.
      const places = [...text.matchAll(starts)].map(({ index }) => index);
      if (places.length === 0 && !text.includes(MARK)) return text;
      let marked = "", from = 0;
      for (const place of places) {
        const next = place + String.fromCodePoint(text.codePointAt(place)!).length;
        marked += text.slice(from, next).replaceAll(MARK, MARK + LITERAL) + MARK;
        from = next;
      }
      return marked + text.slice(from).replaceAll(MARK, MARK + LITERAL);
    },
    reveal: (text) => text.includes(OPEN) ? text.replace(innerName, (name) => outer.get(name) ?? name) : text,
  };
}

/** The added tokens of a tokenizer.json; of entries that are none, nothing. */
export function addedTokens(json: TokenizerJson): AddedToken[] {
  return Array.isArray(json.added_tokens)
    ? json.added_tokens.filter((token) => typeof token?.content === "string")
    : [];
}

function renameModel(model: Record<string, unknown>, inner: ReadonlyMap<string, string>): unknown {
  if (typeof model !== "object" || model === null) return model;
  const { vocab, merges, unk_token: unknown } = model;
  const renamed: Record<string, unknown> = { ...model };
  if (typeof unknown === "string") renamed.unk_token = inner.get(unknown) ?? unknown;
  if (Array.isArray(vocab)) {
    renamed.vocab = vocab.map((entry) =>
      Array.isArray(entry) && inner.has(entry[0]) ? [inner.get(entry[0]), ...entry.slice(1)] : entry
    );
  } else if (typeof vocab === "object" && vocab !== null) {
    const own = vocab as Record<string, unknown>;
    for (const [content, name] of inner) {
      if (!Object.hasOwn(own, content)) continue;
      own[name] = own[content];
      delete own[content];
    }
  }
  if (Array.isArray(merges)) {
    // A merge would spell the token out of text again.
    renamed.merges = merges.filter((merge) =>
      !inner.has(Array.isArray(merge) ? merge.join("") : String(merge).replace(" ", ""))
    );
  }
  return renamed;
}

/** A value with every text in it, keys too, renamed. */
function renameStrings(value: unknown, name: (text: string) => string): TokenizerJson["pre_tokenizer"] {
  const change = (one: unknown): unknown => {
    if (typeof one === "string") return name(one);
    if (Array.isArray(one)) return one.map(change);
    if (typeof one !== "object" || one === null) return one;
    return Object.fromEntries(Object.entries(one).map(([key, inner]) => [name(key), change(inner)]));
  };
  return change(value) as TokenizerJson["pre_tokenizer"];
}
