/** Conversations as others write them, lists of messages, brought into a problem's fields. */

import { InputError } from "../runtime/errors.ts";
import { parseToolCalls, readToolCalls } from "./_tool_calls.ts";
import type { ToolCall, Turn } from "./turn.ts";
import { describeValue, describeWhere, type Where } from "./where.ts";

/** Where a list of messages stands. */
export interface ListPlace {
  readonly where: Where;
  /** The record's field that holds it. */
  readonly field: string;
}

/** One message; `trained: false` is an answer that the record excludes from training (`weight: 0`). */
export interface Message extends Omit<Turn, "role"> {
  readonly role: "system" | Turn["role"];
}

/** A conversation as a problem's fields. */
export interface Conversation {
  readonly system?: string;
  /** What was said before the question; absent where nothing was. */
  readonly earlier?: readonly Turn[];
  readonly question: string;
  /** The assistant's tool calls, and the tools' answers, between the question and the last answer; absent where none are. */
  readonly between?: readonly Turn[];
  /** The last answer; absent where the list ends in a question or a tool's answer. */
  readonly reference?: string;
  /** What the last answer calls. */
  readonly reference_tool_calls?: readonly ToolCall[];
}

const ROLES: Readonly<Record<string, Message["role"]>> = {
  system: "system",
  developer: "system",
  user: "user",
  human: "user",
  prompter: "user",
  assistant: "assistant",
  gpt: "assistant",
  model: "assistant",
  chatgpt: "assistant",
  bot: "assistant",
  function_call: "assistant",
  tool: "tool",
  function: "tool",
  ipython: "tool",
  observation: "tool",
};

/** Fields of a message that would change what is trained on, and that are not read. */
const NOT_READ = ["audio", "images"];

/** Whether a value is a list of messages, in either way of writing them. */
export function isMessageList(value: unknown): value is readonly object[] {
  return Array.isArray(value) && value.length > 0 &&
    value.every((one) =>
      typeof one === "object" && one !== null &&
      ("content" in one || "value" in one || "tool_calls" in one || "function_call" in one)
    );
}

/**
 * The messages of a list: `{role, content}`, or ShareGPT's `{from, value}`; a content may be a list of text parts.
 *
 * @throws {InputError} for a role, a kind of content or a tool call that is not read, named with its place
 */
export function readMessages(list: readonly object[], place: ListPlace): Message[] {
  return list.map((value, i) => {
    const message = value as Record<string, unknown>;
    const [roleName, textName] = "role" in message || "content" in message
      ? ["role", "content"]
      : ["from", "value"];
    const fail = (field: string, problem: string) =>
      refuse({ ...place, field: `${place.field}[${i}].${field}` }, problem);
    for (const field of NOT_READ) {
      const found = message[field];
      if (found === undefined || found === null || Array.isArray(found) && found.length === 0) continue;
      throw fail(field, "is not read: only what is said in text can be trained on");
    }
    const spoken = message[roleName];
    const role = typeof spoken === "string" ? ROLES[spoken.toLowerCase()] : undefined;
    if (role === undefined) {
      throw fail(roleName, `must be system, user, assistant or tool: got ${describeValue(spoken)}`);
    }
    let content = textOf(message[textName]), calls = readToolCalls(message, fail);
    if (typeof spoken === "string" && spoken.toLowerCase() === "function_call" && content !== undefined) {
      calls = parseToolCalls(content, textName, fail);
      content = "";
    }
    if (calls && role !== "assistant") throw fail("tool_calls", "must be in a message of the assistant");
    if (calls && (message[textName] ?? undefined) === undefined) content = "";
    if (content === undefined) {
      throw fail(textName, `must be a text: got ${describeContent(message[textName])}`);
    }
    const { weight, name, tool_call_id: answers } = message;
    if (weight !== undefined && weight !== null && weight !== 0 && weight !== 1) {
      throw fail("weight", `must be 0 or 1: got ${describeValue(weight)}`);
    }
    return {
      role,
      content,
      ...((weight === 0 || message.train === false || message.training === false) && { trained: false }),
      ...(calls && { tool_calls: calls }),
      ...(role === "tool" && typeof answers === "string" && { tool_call_id: answers }),
      ...(role === "tool" && typeof name === "string" && { name }),
    };
  });
}

/**
 * Messages as a problem: instructions, what was said before, the question, and the answer that ends them.
 *
 * @throws {InputError} for messages that do not take turns, user first: a user, the assistant, and after its calls tools
 */
export function readConversation(messages: readonly Message[], place: ListPlace): Conversation {
  let turns = messages.slice(messages.findIndex(({ role }) => role !== "system"));
  if (messages.every(({ role }) => role === "system")) turns = [];
  const lead = messages.length - turns.length;
  turns.forEach(({ role }, i) => {
    const expected = nextOf(turns[i - 1]);
    if (expected.includes(role)) return;
    throw refuse(
      { ...place, field: `${place.field}[${lead + i}]` },
      `must be from ${
        expected.map((one) => one === "assistant" ? "the assistant" : `a ${one}`).join(" or ")
      }, since they take turns: got one from ${role}`,
    );
  });
  // An answer at the end that is excluded from training is no reference: the record ends in an earlier one, if any.
  const end = turns.findLastIndex(({ role, trained }) => role === "assistant" && trained !== false);
  const open = turns.length > 0 && turns.at(-1)!.role !== "assistant";
  const answered = open ? turns.length : end;
  if (turns.length === 0) throw refuse(place, "must have a message of a user");
  if (answered < 0) throw refuse(place, "must have an answer of the assistant whose weight is not 0");
  const asked = turns.findLastIndex(({ role }, i) => i < answered && role === "user");
  const system = messages.slice(0, lead).map(({ content }) => content).join("\n\n");
  const answer = turns[answered], between = turns.slice(asked + 1, answered) as Turn[];
  return {
    ...(system !== "" && { system }),
    ...(asked > 0 && { earlier: turns.slice(0, asked) as Turn[] }),
    question: turns[asked]!.content,
    ...(between.length > 0 && { between }),
    ...(answer && { reference: answer.content }),
    ...(answer?.tool_calls && { reference_tool_calls: answer.tool_calls }),
  };
}

/** Who may speak next. */
function nextOf(last: Message | undefined): readonly Message["role"][] {
  if (last === undefined) return ["user"];
  if (last.role === "user") return ["assistant"];
  if (last.role === "tool") return ["assistant", "tool"];
  // A call may stand in the text itself (<tool_call>…): then a tool answers what has no calls of its own.
  return last.tool_calls ? ["tool"] : ["user", "tool"];
}

/** The one answer that a list of messages is, as the completion of a prompt. */
export function readAnswer(value: unknown, place: ListPlace): unknown {
  if (!isMessageList(value)) return value;
  const messages = readMessages(value, place);
  const [message] = messages;
  if (message?.tool_calls) throw refuse(place, "must be a text: tool calls are read in messages");
  if (messages.length === 1 && message?.role === "assistant") return message.content;
  throw refuse(
    place,
    `must be one message of the assistant: got ${messages.map(({ role }) => role).join(", ")}`,
  );
}

function textOf(content: unknown): string | undefined {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return undefined;
  const texts = content.map((part) =>
    typeof part === "string"
      ? part
      : part?.type === "text" && typeof part.text === "string"
      ? part.text
      : undefined
  );
  return texts.every((text) => text !== undefined) ? texts.join("") : undefined;
}

function describeContent(content: unknown): string {
  const other = Array.isArray(content) ? content.find((part) => textOf([part]) === undefined) : undefined;
  return other === undefined ? describeValue(content) : `a part of type ${describeValue(other?.type)}`;
}

function refuse({ where, field }: ListPlace, problem: string): InputError {
  return new InputError(`Cannot read ${describeWhere(where)}: field "${field}" ${problem}`);
}
