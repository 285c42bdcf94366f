/** The shapes in which others write their records, brought into our own fields. */

import { InputError } from "../runtime/errors.ts";
import { isMessageList, type Message, readAnswer, readConversation, readMessages } from "./_message_lists.ts";
import { knownFields } from "./_field_names.ts";
import { readForeignFields } from "./_foreign_fields.ts";
import { readTools } from "./_tool_calls.ts";
import { describeValue, describeWhere, type Where } from "./where.ts";

/** A record's fields. */
export type Fields = Readonly<Record<string, unknown>>;

/** Names of the question's field, in order of preference. */
const QUESTIONS = ["question", "query", "problem", "instruction", "input"];
/** Names of the field that holds a solved answer. */
const SOLUTIONS = ["reference", "completion", "solution", "response", "output"];
/** Names of the field that holds a whole conversation. */
const CONVERSATIONS = ["messages", "conversations", "conversation"];

/**
 * A record's fields in our own names; what no shape uses stays as it is.
 *
 * @throws {InputError} for a part of a known shape that cannot be what it is there
 */
export function readShape(record: Fields, where: Where): Fields {
  let fields = withTools(readForeignFields(fromCapitals(record), where), where);
  fields = readPrompt(fields, where);
  if (isMessageList(fields.prompt)) fields = fromPromptList(fields, where);
  if (fields.chosen !== undefined && fields.rejected !== undefined && fields.candidates === undefined) {
    return fromPair(fields, where);
  }
  if (fields.question === undefined) fields = fromConversation(fields, where);
  if (fields.question === undefined) fields = fromText(fields);
  if (fields.responses !== undefined && fields.candidates === undefined) return fromResponses(fields, where);
  if (fields.candidates !== undefined) {
    return "completion" in fields ? renamed(fields, "completion", "reference") : fields;
  }
  return fromLabel(fields, withReference(fields, where), where);
}

function refuse(where: Where, field: string, problem: string): InputError {
  return new InputError(`Cannot read ${describeWhere(where)}: field "${field}" ${problem}`);
}

/** What the assistant may call in a conversation, in one form. */
function withTools(fields: Fields, where: Where): Fields {
  const talks = ["prompt", "chosen", ...CONVERSATIONS].some((name) => isMessageList(fields[name]));
  if (fields.tools === undefined || !talks) return fields;
  const tools = readTools(fields.tools, (field, problem) => refuse(where, field, problem));
  return { ...without(fields, ["tools"]), ...(tools && { tools }) };
}

/** `Question` is `question`, where that is not there. */
function fromCapitals(record: Fields): Fields {
  const own = new Set(Object.keys(record));
  return Object.fromEntries(
    Object.entries(record).map(([name, field]) => {
      const lower = name.toLowerCase();
      return [name !== lower && knownFields.has(lower) && !own.has(lower) ? lower : name, field];
    }),
  );
}

/** The question by any of its names; `prompt` is the question and, verbatim, the prompt. */
function readPrompt(fields: Fields, where: Where): Fields {
  if (fields.question !== undefined) return fields;
  if (typeof fields.prompt === "string" && fields.instruction === undefined) {
    // A whole conversation brings the prompt along.
    const answered = [...SOLUTIONS, "chosen", "responses", "candidates"].some((name) =>
      fields[name] !== undefined
    );
    const listed = isMessageList(fields.chosen) && fields.chosen.length > 1 ||
      !answered && CONVERSATIONS.some((name) => isMessageList(fields[name]));
    return listed ? without(fields, ["prompt"]) : { question: fields.prompt, ...fields };
  }
  const name = QUESTIONS.find((name) => typeof fields[name] === "string");
  if (name === undefined || name === "input" && fields.output === undefined) return fields;
  if (name !== "instruction") return renamed(fields, name, "question");
  const { input, history } = fields;
  if (input !== undefined && typeof input !== "string") {
    throw refuse(where, "input", `must be a string: got ${describeValue(input)}`);
  }
  const question = input ? `${fields.instruction}\n\n${input}` : fields.instruction;
  const earlier = history === undefined ? [] : readHistory(history, where);
  return {
    ...renamed(without(fields, ["input", "history"]), "instruction", "question"),
    question,
    ...(earlier.length > 0 && { earlier }),
  };
}

/** Alpaca's `history`: a list of pairs of what was asked and answered. */
function readHistory(history: unknown, where: Where): Message[] {
  const pairs = Array.isArray(history) ? history : [undefined];
  return pairs.flatMap((pair, i): Message[] => {
    if (Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === "string")) {
      return [{ role: "user", content: pair[0] }, { role: "assistant", content: pair[1] }];
    }
    throw refuse(where, `history[${i}]`, "must be a list of a question and its answer");
  });
}

/** A conversation under any of its names. */
function fromConversation(fields: Fields, where: Where): Fields {
  const name = CONVERSATIONS.find((name) => isMessageList(fields[name]));
  if (name === undefined) return fields;
  const place = { where, field: name };
  const conversation = readConversation(readMessages(fields[name] as readonly object[], place), place);
  return { ...conversation, ...without(fields, [name]) };
}

/** A prompt that is a list of messages. */
function fromPromptList(fields: Fields, where: Where): Fields {
  const place = { where, field: "prompt" };
  const prompt = readMessages(fields.prompt as readonly object[], place), { completion } = fields;
  if (isMessageList(completion) && (completion.length > 1 || "tool_calls" in completion[0]!)) {
    const more = readMessages(completion, { where, field: "completion" });
    const whole = readConversation([...prompt, ...more], { where, field: "prompt+completion" });
    if (!("reference" in whole)) {
      throw refuse(where, "completion", "must end with a message of the assistant");
    }
    return { ...whole, ...without(fields, ["prompt", "completion"]) };
  }
  const conversation = readConversation(prompt, place);
  if ("reference" in conversation) throw refuse(where, "prompt", "must end with a message of a user");
  const answers = ["completion", "response", "chosen", "rejected"].filter((name) =>
    fields[name] !== undefined
  )
    .map((name) => [name, readAnswer(fields[name], { where, field: name })]);
  return { ...conversation, ...without(fields, ["prompt"]), ...Object.fromEntries(answers) };
}

/** Plain text is trained on as a whole, behind an empty prompt. */
function fromText(fields: Fields): Fields {
  if (typeof fields.text !== "string" || fields.candidates !== undefined || fields.label !== undefined) {
    return fields;
  }
  return { question: "", prompt: "", ...renamed(fields, "text", "reference") };
}

function withReference(fields: Fields, where: Where): Fields {
  if (fields.reference !== undefined || fields.question === undefined) return fields;
  // GSM8K's answer is the chain; what else stands there is somebody's response to it.
  if (typeof fields.answer === "string" && fields.answer.includes("####")) return fields;
  const name = SOLUTIONS.find((name) => fields[name] !== undefined);
  if (name === undefined) return fields;
  const answer = readAnswer(fields[name], { where, field: name });
  return { ...renamed(fields, name, "reference"), reference: answer };
}

/** A completion with a label is a candidate; a right one is the reference too. */
function fromLabel(before: Fields, fields: Fields, where: Where): Fields {
  const { label, reference, ...rest } = fields;
  if (label === undefined || reference === undefined || fields.choices !== undefined) return fields;
  // Beside a reference of one's own a label may be anything's name.
  const own = ["reference", "solution"].some((name) => before[name] !== undefined);
  if (own && typeof label !== "boolean") return fields;
  const correct = readLabel(label, where);
  return { ...rest, ...(correct && { reference }), candidates: [{ text: reference, correct }] };
}

function readLabel(label: unknown, where: Where): boolean {
  const word = String(label).trim().toLowerCase();
  if (typeof label !== "object" && ["true", "1", "1.0"].includes(word)) return true;
  if (typeof label !== "object" && ["false", "0", "0.0"].includes(word)) return false;
  throw refuse(where, "label", `must be true or false: got ${describeValue(label)}`);
}

/** RRHF's responses, each with its score where there are scores. */
function fromResponses(fields: Fields, where: Where): Fields {
  const { responses, scores, labels } = fields;
  if (!Array.isArray(responses)) return renamed(fields, "responses", "candidates");
  if (scores !== undefined && (!Array.isArray(scores) || scores.length !== responses.length)) {
    const found = Array.isArray(scores) ? `${scores.length} scores` : "no list";
    throw refuse(
      where,
      "scores",
      `must have one number for each of ${responses.length} responses: got ${found}`,
    );
  }
  const candidates = responses.map((response, i) => {
    const text = readAnswer(response, { where, field: `responses[${i}]` });
    const reward: unknown = Array.isArray(scores) ? scores[i] : undefined;
    if (Array.isArray(labels)) return { text, correct: !!labels[i], ...(reward != null && { reward }) };
    if (reward === undefined || reward === null) return { text };
    if (typeof reward !== "number") {
      throw refuse(where, `scores[${i}]`, `must be a number: got ${describeValue(reward)}`);
    }
    return { text, reward };
  });
  const read = Array.isArray(labels) ? ["scores", "labels"] : ["scores"];
  return { ...renamed(without(fields, read), "responses", "candidates"), candidates };
}

/** Two answers of which one is better; where there is no prompt, it is what both begin with. */
function fromPair(record: Fields, where: Where): Fields {
  const { chosen, rejected, ...rest } = record;
  let fields: Fields = rest, sides: readonly unknown[] = [chosen, rejected];
  if (isMessageList(chosen) && isMessageList(rejected)) {
    const lists = [chosen, rejected].map((list, i) =>
      readMessages(list, { where, field: i === 0 ? "chosen" : "rejected" })
    ) as [Message[], Message[]];
    const shared = lists.map((list) => list.slice(0, -1));
    if (fields.question === undefined || shared[0]!.length > 0) {
      if (JSON.stringify(shared[0]) !== JSON.stringify(shared[1])) {
        throw refuse(where, "rejected", 'must be the same as "chosen" up to its last message');
      }
      const place = { where, field: "chosen" };
      const conversation = readConversation(lists[0], place);
      if (!("reference" in conversation)) {
        throw refuse(where, "chosen", "must end with a message of the assistant");
      }
      fields = { ...conversation, ...without(fields, ["reference"]) };
    }
    sides = lists.map((list, i) => {
      const last = list.at(-1)!;
      if (last.tool_calls) {
        throw refuse(where, i === 0 ? "chosen" : "rejected", "must end with a text, not calls");
      }
      if (last.role === "assistant") return last.content;
      throw refuse(where, i === 0 ? "chosen" : "rejected", "must end with a message of the assistant");
    });
  } else {
    sides = [
      readAnswer(chosen, { where, field: "chosen" }),
      readAnswer(rejected, { where, field: "rejected" }),
    ];
    for (const [i, name] of ["chosen", "rejected"].entries()) {
      if (typeof sides[i] !== "string") {
        throw refuse(where, name, `must be a string: got ${describeValue(sides[i])}`);
      }
    }
    if (fields.question === undefined) {
      const prompt = sharedPrompt(sides[0] as string, sides[1] as string);
      if (prompt === "") {
        throw refuse(where, "prompt", 'is missing, and "chosen" and "rejected" do not begin alike');
      }
      sides = sides.map((side) => (side as string).slice(prompt.length));
      fields = { question: prompt, prompt, ...fields };
    }
  }
  const [right, wrong] = sides;
  return {
    ...fields,
    reference: "reference" in rest && rest.reference !== undefined ? rest.reference : right,
    candidates: [{ text: right, correct: true }, { text: wrong, correct: false }],
  };
}

/**
 * What two texts begin with, up to the last mark of an assistant's turn in it, or else to the end of a word; the blank
 * behind it belongs to the responses.
 */
function sharedPrompt(a: string, b: string): string {
  let end = 0;
  while (end < a.length && a[end] === b[end]) end++;
  const shared = a.slice(0, end);
  const mark = [...shared.matchAll(/(?:^|\s)Assistant:/g)].at(-1);
  if (mark) return shared.slice(0, mark.index + mark[0].length);
  return shared.slice(0, Math.max(0, shared.search(/\s+\S*$/)));
}

function without(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

/** The fields with one's name changed, in the same place. */
export function renamed(fields: Fields, from: string, to: string): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(([name]) => name !== to).map((
      [name, field],
    ) => [name === from ? to : name, field]),
  );
}
