/** Texts that end a response: found in what the drawn tokens spell, wherever they begin, and cut off. */

import { templateOf } from "../data/datasets.ts";
import { optionsTemplate, type PromptOptions, questionTemplate } from "../data/prompts.ts";
import type { Problem } from "../data/records.ts";
import { nextQuestionMarks } from "../data/stop_marks.ts";
import { UsageError } from "../runtime/errors.ts";
import { turnOf } from "../tokenizer/chat_turn.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Model } from "./model.ts";

/** Finds stop texts in drawn tokens. */
export interface StopWatch {
  /** Whether the ids spell a stop text, when without the last of them they did not. */
  stopped(ids: readonly number[]): boolean;
  /**
   * The ids of what stands before the first stop text; undefined where there is none.
   *
   * They are the drawn ones up to the last token that lies wholly before it; where it begins inside a token, the
   * tokenizer's own ids for the rest of the text follow. Their text is the text before the stop text, to the character.
   */
  cut(ids: readonly number[]): number[] | undefined;
}

/** Throws UsageError for a list with a text that is empty. */
export function checkStop(stop: readonly string[] | undefined): void {
  if (stop === undefined) return;
  if (Array.isArray(stop) && stop.every((text) => typeof text === "string" && text !== "")) return;
  throw new UsageError(
    `Option stop must be a list of texts that are not empty: got ${JSON.stringify(stop)}`,
  );
}

/**
 * The stop texts of a problem: those asked for, or else the marks of the next question of its plain template
 * (`nextQuestionMarks`). None in a chat, which the end of turn ends, and for a record that brings its exact prompt.
 */
export function stopTextsOf(
  model: Pick<Model, "tokenizer">,
  problem: Problem,
  { stop, prompt = {} }: {
    readonly stop?: readonly string[] | undefined;
    readonly prompt?: PromptOptions | undefined;
  },
): readonly string[] {
  if (stop !== undefined) return stop;
  if (problem.prompt !== undefined || turnOf(model.tokenizer, problem, prompt)) return [];
  return plainStopTexts(problem, prompt);
}

/** The marks of the next question of a problem's plain template; none where it brings its exact prompt. */
export function plainStopTexts(problem: Problem, prompt: PromptOptions = {}): readonly string[] {
  if (problem.prompt !== undefined) return [];
  const plain = problem.choices ? optionsTemplate : questionTemplate;
  return nextQuestionMarks(prompt.template ?? templateOf(problem) ?? plain);
}

/** A watch for some stop texts; a text that is one control token's spelling (`<|im_end|>`) stops at that token too. */
export function watchStops(tokenizer: Tokenizer, texts: readonly string[]): StopWatch {
  const controls = new Set(
    texts.map((text) => tokenizer.tokenToId(text)).filter((id) =>
      id !== undefined && tokenizer.isControl(id)
    ),
  );
  const longest = Math.max(...texts.map((text) => text.length));
  const bytes = Math.max(...texts.map((text) => new TextEncoder().encode(text).length));
  const lasts = texts.map((text) => [...text].at(-1)!);
  // A tokenizer may write a blank that ends a text only when more comes behind it.
  const blank = lasts.some((last) => /\s/.test(last));
  const completing = new Map<number, boolean>();
  /** Whether a token can be the one that completes a stop text: it holds its last character, or a part of one. */
  const completes = (id: number): boolean => {
    if (blank) return true;
    let known = completing.get(id);
    if (known === undefined) {
      const piece = tokenizer.decodeResponse([id]);
      completing.set(id, known = piece.includes("\ufffd") || lasts.some((last) => piece.includes(last)));
    }
    return known;
  };
  const first = (text: string): number => {
    const found = texts.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    return found.length === 0 ? -1 : Math.min(...found);
  };
  /** Whether the end of the ids spells one: a text's bytes lie in as many tokens at most, but for tokens without text. */
  const near = (ids: readonly number[]): boolean => {
    for (let window = bytes + 4;; window *= 2) {
      const text = tokenizer.decodeResponse(ids.slice(-window));
      if (first(text) >= 0) return true;
      if (window >= ids.length || text.length >= longest + 4) return false;
    }
  };
  /** The ids before a control token that stops, and where the text before the first stop text ends in theirs. */
  const find = (
    ids: readonly number[],
  ): { readonly drawn: readonly number[]; readonly end: number } | undefined => {
    const control = ids.findIndex((id) => controls.has(id));
    const drawn = control < 0 ? ids : ids.slice(0, control);
    const text = tokenizer.decodeResponse(drawn), at = first(text);
    if (at < 0 && control < 0) return undefined;
    return { drawn, end: at < 0 ? text.length : at };
  };
  return {
    stopped(ids) {
      const last = ids.at(-1)!;
      return controls.has(last) || completes(last) && near(ids) && find(ids) !== undefined;
    },
    cut(ids) {
      const found = find(ids);
      if (!found) return undefined;
      const text = tokenizer.decodeResponse(found.drawn).slice(0, found.end);
      for (let count = found.drawn.length; count >= 0; count--) {
        const kept = found.drawn.slice(0, count), spelled = tokenizer.decodeResponse(kept);
        if (!text.startsWith(spelled)) continue;
        const rest = text.slice(spelled.length);
        if (rest === "") return kept;
        const ids = [...kept, ...tokenizer.encodeResponse(rest)];
        if (tokenizer.decodeResponse(ids) === text) return ids;
      }
      return tokenizer.encodeResponse(text);
    },
  };
}
