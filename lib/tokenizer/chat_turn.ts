/**
 * A problem as a turn of a chat: the prompt is what the tokenizer's template makes of it, the response the turn that
 * the assistant takes.
 */

import { asked, isToolList, type PromptOptions, renderQuestion, toolFieldOf } from "../data/prompts.ts";
import type { Problem } from "../data/records.ts";
import type { ToolCall, Turn } from "../data/turn.ts";
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
  readonly end?: number | undefined;
}

/** A user's message where no template of ours was asked for: the question as it is. */
const userMessage = "{question}", userOptions = "{question}\nOptions:\n{choices}";

// A template is parsed and probed once for each set of its variables, not for every candidate.
const turns = new WeakMap<Tokenizer, Map<string, ChatTurn | null>>();

/** What of a prompt's options a template reads. */
type TemplateOptions = Pick<PromptOptions, "templateVariables" | "templateDate">;

/** The turn of a tokenizer's chat template; undefined when it has none. Throws InputError for a template that is wrong. */
export function chatTurn(tokenizer: Tokenizer, options: TemplateOptions = {}): ChatTurn | undefined {
  const key = JSON.stringify([options.templateVariables, options.templateDate]);
  const known = turns.get(tokenizer) ?? new Map<string, ChatTurn | null>();
  turns.set(tokenizer, known);
  let turn = known.get(key);
  if (turn === undefined) known.set(key, turn = probe(tokenizer, options) ?? null);
  return turn ?? undefined;
}

/** What {@linkcode renderChat} needs of a tokenizer and options. */
function settingsOf(tokenizer: Tokenizer, { templateVariables, templateDate }: TemplateOptions) {
  return { specials: tokenizer.specials, variables: templateVariables, date: templateDate };
}

// Digits, which no template puts into another case.
const ASKED = "4815162341", SAID = "4815162342";

function probe(tokenizer: Tokenizer, options: TemplateOptions): ChatTurn | undefined {
  const template = chatTemplate(tokenizer.files);
  if (template === undefined) return undefined;
  const user = { role: "user", content: ASKED }, settings = settingsOf(tokenizer, options);
  const before = renderChat(template, [user], { ...settings, addGenerationPrompt: true });
  const whole = renderChat(template, [user, { role: "assistant", content: SAID }], settings);
  const at = whole.lastIndexOf(SAID);
  if (at < 0) throw new InputError("Cannot use the chat template: it leaves out what the assistant says");
  const between = whole.startsWith(before) ? whole.slice(before.length, at) : "";
  const behind = tokenizer.encode(whole.slice(at + SAID.length), { special: false });
  // Other text in between (Qwen3's empty <think>) is a choice of the template's for old turns: the model is asked
  // without it, so it answers without it.
  return {
    template,
    lead: between.trim() === "" ? between : "",
    end: behind.find((id) => tokenizer.isControl(id)),
  };
}

/** What a template writes around a user's message, for those who look for it in texts. */
export interface ChatMarks {
  /** Control tokens, as they are spelled, such as `<|im_start|>`. */
  readonly controls: readonly string[];
  /** Plain words right before and behind the message, such as `[INST]`. */
  readonly words: readonly string[];
}

/** The marks of a tokenizer's chat template; none when it has no template. */
export function chatMarks(tokenizer: Tokenizer, options: TemplateOptions = {}): ChatMarks {
  const turn = chatTurn(tokenizer, options);
  if (!turn) return { controls: [], words: [] };
  const user = { role: "user", content: ASKED };
  const text = renderChat(turn.template, [user], {
    ...settingsOf(tokenizer, options),
    addGenerationPrompt: true,
  });
  const ids = [...tokenizer.encode(text, { special: false }), ...(turn.end === undefined ? [] : [turn.end])];
  const spelled = new Set(
    ids.filter((id) => tokenizer.isControl(id)).flatMap((id) => tokenizer.idToToken(id) ?? []),
  );
  const controls = [...spelled].filter((mark) => mark !== tokenizer.specials.bos_token);
  const at = text.indexOf(ASKED);
  const words = [
    text.slice(0, Math.max(0, at)).split(/[\s>]/).filter(Boolean).at(-1),
    text.slice(at + ASKED.length).split(/[\s<]/).filter(Boolean)[0],
  ].filter((word) => word !== undefined && word.length >= 4 && /[^\w]/.test(word)) as string[];
  return { controls, words: words.filter((word) => !controls.includes(word)) };
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
  const turn = chatTurn(tokenizer, options);
  if (!turn && chat === "always") {
    throw new UsageError("Cannot use option `chat: always`: the model's tokenizer has no chat template");
  }
  return turn;
}

/**
 * The prompt as the template writes it, up to where the assistant's answer begins; few-shot examples are earlier turns,
 * tools and what they answered stand where the template puts them.
 *
 * @param options `source` is where the template comes from, for messages
 * @throws {InputError} where the template leaves out tools, calls or answers that the problem has
 */
export function renderChatPrompt(
  tokenizer: Tokenizer,
  problem: Problem,
  options: PromptOptions & { readonly turn: ChatTurn; readonly source: string },
): string {
  const messages = messagesOf(problem, options), { source } = options;
  const settings = { ...settingsOf(tokenizer, options), tools: toolsOf(problem), addGenerationPrompt: true };
  const text = named(problem, () => renderChat(options.turn.template, messages, settings));
  refuseIgnored(problem, {
    messages,
    text,
    source,
    render: (other, tools) => renderChat(options.turn.template, other, { ...settings, tools }),
  });
  return text;
}

/**
 * The assistant's turn that calls tools, as the template writes it behind its prompt, up to the end of the whole.
 *
 * @throws {InputError} where the template writes the prompt another way then, or leaves the calls out
 */
export function renderChatCalls(
  tokenizer: Tokenizer,
  problem: Problem,
  options: PromptOptions & {
    readonly turn: ChatTurn;
    readonly source: string;
    readonly content: string;
    readonly calls: readonly ToolCall[];
  },
): string {
  const { turn, content, calls, source } = options;
  const settings = { ...settingsOf(tokenizer, options), tools: toolsOf(problem) };
  const messages = messagesOf(problem, options);
  const before = renderChat(turn.template, messages, { ...settings, addGenerationPrompt: true });
  const render = (called: readonly ToolCall[] | undefined) =>
    renderChat(
      turn.template,
      [...messages, { role: "assistant", content, ...(called && { tool_calls: called }) }],
      settings,
    );
  const whole = named(problem, () => render(calls));
  if (whole === tried(() => render(undefined))) throw ignored(problem, "tool_calls", source);
  if (whole.startsWith(before)) return whole.slice(before.length);
  throw new InputError(
    `Cannot render the tool calls of "${problem.id}": the chat template writes what is before them in another way`,
  );
}

/**
 * A problem as the messages of a chat: instructions, examples, what was said before, the question.
 *
 * @throws {InputError} for an example without reference
 */
export function messagesOf(problem: Problem, options: PromptOptions): ChatMessage[] {
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
  const said = ({ trained: _, ...turn }: Turn): ChatMessage =>
    turn.role === "user" ? user(asked(problem, turn.content)) : turn;
  const { earlier = [], between = [] } = problem;
  return [
    ...(system ? [{ role: "system", content: system }] : []),
    ...examples,
    ...earlier.map(said),
    user(problem),
    ...between.map(said),
  ];
}

function toolsOf({ tools }: Problem): readonly object[] | undefined {
  return isToolList(tools) ? tools : undefined;
}

/** Refuses a template whose text is the same without the tools, without the calls, or without what tools answered. */
function refuseIgnored(problem: Problem, { messages, text, source, render }: {
  readonly source: string;
  readonly messages: readonly ChatMessage[];
  readonly text: string;
  readonly render: (messages: readonly ChatMessage[], tools: readonly object[] | undefined) => string;
}): void {
  if (toolFieldOf(problem) === undefined) return;
  const tools = toolsOf(problem), same = (other: () => string) => tried(other) === text;
  if (tools && same(() => render(messages, undefined))) throw ignored(problem, "tools", source);
  const uncalled = messages.map(({ tool_calls: _, ...message }) => message as ChatMessage);
  if (messages.some((one) => one.tool_calls) && same(() => render(uncalled, tools))) {
    throw ignored(problem, "tool_calls", source);
  }
  const changed = messages.map((one) =>
    one.role === "tool" ? { ...one, content: `${one.content}${SAID}` } : one
  );
  if (messages.some(({ role }) => role === "tool") && same(() => render(changed, tools))) {
    throw ignored(problem, "tool", source);
  }
}

function ignored({ id }: Problem, field: string, source: string): InputError {
  const what = field === "tool" ? "messages of role tool" : `field "${field}"`;
  return new InputError(
    `Cannot render the prompt of "${id}": the chat template of ${source} leaves out ${what}: take a model whose template ` +
      "writes tools, or records without them",
  );
}

/** What a template refuses (roles, a call's id) is said of a record. */
function named(problem: Problem, render: () => string): string {
  try {
    return render();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(`${error.message} (prompt of "${problem.id}")`, { cause: error });
  }
}

/** A text, or undefined where the template refuses to write it. */
function tried(render: () => string): string | undefined {
  try {
    return render();
  } catch {
    return undefined;
  }
}
