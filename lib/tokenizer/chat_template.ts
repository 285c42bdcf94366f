/**
 * Chats written out as text, by the template that comes with a tokenizer.
 */

import type { Template } from "@huggingface/jinja";
import { InputError } from "../runtime/errors.ts";
import { parseTemplate, renderBounded } from "./_bounded_template.ts";

/** One turn of a chat. */
export interface ChatMessage {
  /** `system`, `user`, `assistant` or `tool`. */
  readonly role: string;
  /** What was said. */
  readonly content: string;
  /** What else the template may read: `tool_calls`, `tool_call_id`, `name`. */
  readonly [field: string]: unknown;
}

/** How to render a chat. */
export interface RenderChatOptions {
  /** Whether the text ends where the assistant's answer begins (default false). */
  readonly addGenerationPrompt?: boolean;
  /** The functions that the assistant may call (default none). */
  readonly tools?: readonly object[] | undefined;
  /** Text of special tokens by role, such as `bos_token`: the tokenizer's `specials`. */
  readonly specials?: Readonly<Record<string, string>>;
  /** Further variables of the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** The day on which the template finds itself, `YYYY-MM-DD` (default {@linkcode templateDate}). */
  readonly date?: string | undefined;
}

/**
 * The day that templates get when they ask for today's and none is given: that of Llama 3's own template. A clock would
 * make other prompts tomorrow.
 */
export const templateDate = "2024-07-26";

/**
 * The chat template of a tokenizer, from chat_template.jinja, chat_template.json or tokenizer_config.json, in this
 * order; of several named ones, `default`. Undefined when there is none.
 *
 * @param files the tokenizer's files by name
 */
export function chatTemplate(files: ReadonlyMap<string, string>): string | undefined {
  const own = files.get("chat_template.jinja");
  if (own !== undefined) return own;
  for (const name of ["chat_template.json", "tokenizer_config.json"]) {
    const text = files.get(name);
    const template: unknown = text === undefined ? undefined : JSON.parse(text).chat_template;
    if (typeof template === "string") return template;
    if (Array.isArray(template)) {
      const found = template.find((entry) => entry?.name === "default")?.template;
      if (typeof found === "string") return found;
    }
  }
  return undefined;
}

// Parsing takes longer than rendering, and a run has one template.
let parsed: { readonly source: string; readonly template: Template } | undefined;

/**
 * A chat as text, special tokens spelled out: encode it with the tokenizer's `encodePrompt`, which does not put a
 * second begin token before it. Throws InputError when the template is wrong, refuses the chat, or does not end: half a million
 * steps are the most that it may take.
 */
export function renderChat(
  template: string,
  messages: readonly ChatMessage[],
  options: RenderChatOptions = {},
): string {
  const { addGenerationPrompt = false, specials = {}, variables = {}, tools, date = templateDate } = options;
  try {
    if (parsed?.source !== template) parsed = { source: template, template: parseTemplate(template) };
    return renderBounded(parsed.template, {
      ...specials,
      documents: null,
      ...variables,
      tools: tools ?? null, // defined and none, as transformers has them
      messages: messages.map((message) => ({ ...message })),
      add_generation_prompt: addGenerationPrompt,
    }, new Date(date));
  } catch (error) {
    const reason = (error as Error).message.replace(/\s+/g, " ");
    throw new InputError(`Cannot render the chat template: ${reason}`, { cause: error });
  }
}
