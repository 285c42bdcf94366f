/**
 * A problem as a turn of a chat: the prompt is what the tokenizer's template makes of it, the response the turn that
 * the assistant takes.
 */

import { asked, type PromptOptions, renderQuestion } from "../data/prompts.ts";
import type { Problem } from "../data/records.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import { type ChatMessage, chatTemplate, renderChat } from "./chat_template.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** What a chat template does with the assistant's turn, seen on one. */
export interface ChatTurn {
  /** The template. */
  readonly template: string;
  /** White space that it puts before what the assistant says (Mistral's: one blank); part of the response. */
  readonly lead: string;
  /** The control token behind what the assistant says, such as `<|im_end|>`; undefined when there is none. */
  readonly end?: number;
}

/** A user's message where no template of ours was asked for: the question as it is. */
const userMessage = "{question}", userOptions = "{question}\nOptions:\n{choices}";

// A template is parsed and probed once, not for every candidate.
const turns = new WeakMap<Tokenizer, ChatTurn | null>();

/** The turn of a tokenizer's chat template; undefined when it has none. Throws InputError for a template that is wrong. */
export function chatTurn(tokenizer: Tokenizer): ChatTurn | undefined {
  let turn = turns.get(tokenizer);
  if (turn === undefined) turns.set(tokenizer, turn = probe(tokenizer) ?? null);
  return turn ?? undefined;
}

function probe(tokenizer: Tokenizer): ChatTurn | undefined {
  const template = chatTemplate(tokenizer.files);
  if (template === undefined) return undefined;
  // Digits, which no template puts into another case.
  const user = { role: "user", content: "Q" }, said = "4815162342";
  const { specials } = tokenizer;
  const before = renderChat(template, [user], { specials, addGenerationPrompt: true });
  const whole = renderChat(template, [user, { role: "assistant", content: said }], { specials });
  const at = whole.lastIndexOf(said);
  if (at < 0) throw new InputError("Cannot use the chat template: it leaves out what the assistant says");
  const between = whole.startsWith(before) ? whole.slice(before.length, at) : "";
  const behind = tokenizer.encode(whole.slice(at + said.length), { special: false });
  // Other text in between (Qwen3's empty <think>) is a choice of the template's for old turns: the model is asked
  // without it, so it answers without it.
  return {
    template,
    lead: between.trim() === "" ? between : "",
    end: behind.find((id) => tokenizer.isControl(id)),
  };
}

/**
 * The chat turn that a problem is, or undefined when its prompt is plain text: by `options.chat`,
 *
 * - `auto` (default): a chat when the tokenizer has a template, unless a template of ours is given or the record
 *   brings its exact `prompt`;
 * - `always`: a chat; the rendered template, or the record's `prompt`, is the user's message;
 * - `never`: plain text.
 *
 * Throws UsageError for `always` with a tokenizer that has no chat template.
 */
export function turnOf(
  tokenizer: Tokenizer,
  problem: Problem | undefined,
  options: PromptOptions = {},
): ChatTurn | undefined {
  const { chat = "auto", template } = options;
  if (chat === "never") return undefined;
  if (chat === "auto" && (template !== undefined || problem?.prompt !== undefined)) return undefined;
  const turn = chatTurn(tokenizer);
  if (!turn && chat === "always") {
    throw new UsageError("Cannot use option `chat: always`: the model's tokenizer has no chat template");
  }
  return turn;
}

/** The prompt as the template writes it, up to where the assistant's answer begins; few-shot examples are earlier turns. */
export function renderChatPrompt(
  tokenizer: Tokenizer,
  problem: Problem,
  { turn, ...options }: PromptOptions & { readonly turn: ChatTurn },
): string {
  const { fewShot = [] } = options, system = problem.system ?? options.system;
  const user = (one: Problem): ChatMessage => ({
    role: "user",
    content: renderQuestion(one, options.template ?? (one.choices ? userOptions : userMessage)),
  });
  const examples = fewShot.flatMap((example) => {
    if (example.reference === undefined) {
      throw new InputError(
        `Cannot use problem "${example.id}" as an example: field "reference" must be a string: got nothing`,
      );
    }
    return [user(example), { role: "assistant", content: example.reference }];
  });
  const earlier = (problem.earlier ?? []).map(({ role, content }): ChatMessage =>
    role === "user" ? user(asked(problem, content)) : { role, content }
  );
  const messages = [
    ...(system ? [{ role: "system", content: system }] : []),
    ...examples,
    ...earlier,
    user(problem),
  ];
  return renderChat(turn.template, messages, { specials: tokenizer.specials, addGenerationPrompt: true });
}
