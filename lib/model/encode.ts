import { type PromptOptions, renderPrompt, renderResponse, responseText } from "../data/prompts.ts";
import { templateOf } from "../data/datasets.ts";
import type { Candidate, Problem } from "../data/records.ts";
import { InputError } from "../runtime/errors.ts";
import { chatTurn, renderChatCalls, renderChatPrompt, turnOf } from "../tokenizer/chat_turn.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Model } from "./model.ts";

/** What a response follows: the problem, and how its prompt is made. */
export interface ResponseContext {
  /** Matters where it brings its exact prompt. */
  readonly problem?: Problem;
  /** As {@linkcode encodePrompt} has it. */
  readonly prompt?: PromptOptions | undefined;
}

/** What turns prompts into ids: a tokenizer, and where it lies, for errors. A model is one. */
export type Tokenizing = Pick<Model, "tokenizer" | "directory">;

/**
 * The ids of a problem's prompt, with the tokenizer's own begin token once, whether or not a chat template spells it.
 * Control tokens come from templates alone; what the records say is text, also where it spells one.
 */
export function encodePrompt(model: Tokenizing, problem: Problem, options: PromptOptions = {}): number[] {
  const { tokenizer } = model, turn = turnOf(tokenizer, problem, options);
  const data = guardProblem(tokenizer, problem), safe = guardOptions(tokenizer, options);
  if (turn) {
    return tokenizer.encodePrompt(
      renderChatPrompt(tokenizer, data, { ...safe, turn, source: model.directory }),
    );
  }
  const template = options.template ?? templateOf(problem);
  return tokenizer.encodePrompt(renderPrompt(data, { ...safe, template }));
}

function guardOptions(tokenizer: Tokenizer, options: PromptOptions): PromptOptions {
  return {
    ...options,
    ...(options.system !== undefined && { system: tokenizer.guard(options.system) }),
    ...(options.fewShot && { fewShot: options.fewShot.map((example) => guardProblem(tokenizer, example)) }),
  };
}

/** The ids of an assistant's turn that calls tools: as the template writes it, up to the turn's end. */
function encodeCalls(
  model: Model,
  { text, tool_calls: calls = [] }: Pick<Candidate, "text" | "tool_calls">,
  { problem, prompt = {} }: ResponseContext,
): number[] {
  const { tokenizer } = model, turn = turnOf(tokenizer, problem, prompt);
  if (!turn || !problem) {
    throw new InputError(
      `Cannot use the tool calls of "${problem?.id}": a chat template alone can write them: the model has none, or ` +
        "options make prompts plain text",
    );
  }
  const content = tokenizer.guard(text), safe = guardValue(tokenizer, calls) as typeof calls;
  const written = renderChatCalls(tokenizer, guardProblem(tokenizer, problem), {
    ...guardOptions(tokenizer, prompt),
    turn,
    source: model.directory,
    content,
    calls: safe,
  });
  const ids = tokenizer.encode(written, { special: false });
  const end = turn.end === undefined ? -1 : ids.lastIndexOf(turn.end);
  return end < 0 ? ids : ids.slice(0, end + 1);
}

/** A problem whose texts remain texts inside a template. */
function guardProblem(tokenizer: Tokenizer, { candidates: _, ...problem }: Problem): Problem {
  const { id } = problem;
  return { ...guardValue(tokenizer, problem) as Problem, id };
}

/** A value with every text in it guarded. */
function guardValue(tokenizer: Tokenizer, value: unknown): unknown {
  if (typeof value === "string") return tokenizer.guard(value);
  if (Array.isArray(value)) return value.map((one) => guardValue(tokenizer, one));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, guardValue(tokenizer, inner)]),
  );
}

/**
 * The ids of a response, the same behind any prompt, ended by the model's end token (in a chat: the template's end of
 * turn) unless the response broke off (`finish: "length"`), since the model did not end it there.
 *
 * A candidate's `token_ids` are taken as they are while they still spell its text: then those that were sampled are
 * scored, also where the tokenizer would have cut the text in another way.
 */
export function encodeResponse(
  model: Model,
  candidate: Pick<Candidate, "text" | "finish" | "token_ids" | "tool_calls">,
  context: ResponseContext = {},
): number[] {
  const { text, finish, token_ids: sampled } = candidate, { tokenizer } = model;
  if (candidate.tool_calls) return encodeCalls(model, candidate, context);
  if (sampled && spells(model, sampled, { text, finish, context })) return [...sampled];
  const turn = turnOf(tokenizer, context.problem, context.prompt);
  // A model that ends at once has said nothing, not a blank.
  const follows = turn ? turn.lead + text : isJoined(context.problem) ? text : renderResponse(text);
  const rendered = text === "" ? "" : follows;
  const ids = rendered === "" ? [] : tokenizer.encodeResponse(rendered);
  const end = turn?.end ?? model.endTokens[0];
  return finish === "length" || end === undefined ? ids : [...ids, end];
}

/**
 * Whether a response follows the prompt with nothing between: of a record that is no question but a text in two parts
 * (`{prompt, completion}`, `{prompt, chosen, rejected}`), whose question is its prompt. Elsewhere a blank is between.
 */
function isJoined(problem: Problem | undefined): boolean {
  return problem?.prompt !== undefined && problem.prompt === problem.question;
}

/** The text of sampled ids, end token left out: the inverse of {@linkcode encodeResponse}. */
export function decodeResponse(model: Model, ids: readonly number[], context: ResponseContext = {}): string {
  return responseIn(ids.length === 0 ? "" : model.tokenizer.decodeResponse(ids), model.tokenizer, context);
}

/** The response, as records hold it, in the text that a model says behind the prompt that {@linkcode encodePrompt} makes. */
export function responseIn(text: string, tokenizer: Tokenizer, context: ResponseContext = {}): string {
  const turn = turnOf(tokenizer, context.problem, context.prompt);
  if (!turn) return plainResponse(text, context.problem);
  return turn.lead !== "" && text.startsWith(turn.lead) ? text.slice(turn.lead.length) : text;
}

/** What a model says behind a plain prompt, as records hold it. */
export function plainResponse(generated: string, problem: Problem | undefined): string {
  return isJoined(problem) ? generated : responseText(generated);
}

/** The tokens that end a response: the model's and, where prompts may be chats, the template's end of turn, first. */
export function endTokensOf(model: Model, options: PromptOptions = {}): readonly number[] {
  const plain = options.chat === "never" || options.chat !== "always" && options.template !== undefined;
  const end = plain ? undefined : chatTurn(model.tokenizer, options)?.end;
  return end === undefined ? model.endTokens : [end, ...model.endTokens.filter((id) => id !== end)];
}

/** What is said before training and sampling where {@linkcode endTokensOf} finds none. */
export const nothingEnds: string =
  "Nothing ends a response: neither the model's configuration nor its tokenizer names an end token (eos_token), so " +
  "responses are trained without an end and sampled up to the most tokens allowed";

/** Whether ids are the response's: of this vocabulary, ended as it was, and with its text. */
function spells(
  model: Model,
  ids: readonly number[],
  { text, finish, context }: {
    readonly text: string;
    readonly finish?: string | undefined;
    readonly context: ResponseContext;
  },
): boolean {
  const { vocabularySize } = model.config;
  if (ids.length === 0 || !ids.every((id) => Number.isInteger(id) && id >= 0 && id < vocabularySize)) {
    return false;
  }
  const ends = new Set(endTokensOf(model, context.prompt)), ended = ends.has(ids.at(-1)!);
  // Where nothing ends a response, a stop text may still have ended this one.
  if (ended === (finish === "length") && (ended || ends.size > 0)) return false;
  const body = ended ? ids.slice(0, -1) : ids;
  return !body.some((id) => ends.has(id)) && decodeResponse(model, body, context) === text;
}
