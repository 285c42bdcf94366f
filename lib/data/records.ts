/**
 * The one record that flows between the steps, as JSONL: a problem, and a group that adds candidates to it.
 *
 * Only the fields below mean something here. Every other field, and the order of all, is kept as it came.
 */

import * as z from "zod/mini";
import { InputError } from "../runtime/errors.ts";
import type { AnswerKind } from "./answers.ts";
import { normalizeRecord, type ReadOptions } from "./normalize_record.ts";
import type { ToolCall, Turn } from "./turn.ts";
import { describeValue, describeWhere, type Where } from "./where.ts";

/** One response to a problem. `generate` fills `text`, `finish` and `tokens`, `score` the rest. */
export interface Candidate {
  /** The response, without the end token. */
  readonly text: string;
  /** Whether the model ended it (`stop`) or ran out of tokens (`length`). */
  readonly finish?: "stop" | "length" | undefined;
  /** Number of response tokens, the end token included. */
  readonly tokens?: number | undefined;
  /** Its tokens as they were drawn, the end token included; used in place of the text's while they spell it. */
  readonly token_ids?: readonly number[] | undefined;
  /** Final answer found in the text; null when there is none. */
  readonly answer?: string | null | undefined;
  /** Whether the answer is the problem's. */
  readonly correct?: boolean | undefined;
  /** Place in a ranking: 1 is best, equal places are ties. */
  readonly rank?: number | undefined;
  /** Feedback as a number, higher is better. */
  readonly reward?: number | undefined;
  /** Sum of the response tokens' log-probs in nats, under the model that scored it. */
  readonly logprob?: number | undefined;
  /** Mean of the response tokens' log-probs, in nats per token. */
  readonly score?: number | undefined;
  /** Who wrote it, where that is known. */
  readonly source?: string | undefined;
  /** Functions that it calls, where it is an assistant's turn that does. */
  readonly tool_calls?: readonly ToolCall[] | undefined;
  /** Unknown fields, kept. */
  readonly [field: string]: unknown;
}

/** One question with what is known of its answer. */
export interface Problem {
  /** Unique within its file. */
  readonly id: string;
  /** The question, without options or instructions. */
  readonly question: string;
  /** The exact prompt, where the record brings its own: used in place of a template. */
  readonly prompt?: string | undefined;
  /** Instructions that precede the prompt. */
  readonly system?: string | undefined;
  /** What was said before the question: a user's and the assistant's turns, and what tools answered. */
  readonly earlier?: readonly Turn[] | undefined;
  /** What happened since the question: the assistant's tool calls, and the tools' answers. */
  readonly between?: readonly Turn[] | undefined;
  /** A chain of thought that ends in the answer. */
  readonly reference?: string | undefined;
  /** Functions that the reference calls. */
  readonly reference_tool_calls?: readonly ToolCall[] | undefined;
  /** The final answer: a number, an option's letter, or a text. */
  readonly answer?: string | undefined;
  /** The options' texts, without letters. */
  readonly choices?: readonly string[] | undefined;
  /** What the answer is, where its data set says another thing than it looks like. */
  readonly answer_kind?: AnswerKind | undefined;
  /** The prompt that its log-probs stand behind, as `score` had it: a digest of its token ids. */
  readonly prompt_digest?: string | undefined;
  /** The model that made them: a digest of its weights. */
  readonly model_digest?: string | undefined;
  /** Name of the data set it comes from. */
  readonly dataset?: string | undefined;
  /** The prompt template of its data set, where that is none of the project's own. */
  readonly prompt_template?: string | undefined;
  /** Candidates, where the record is a group. */
  readonly candidates?: readonly Candidate[] | undefined;
  /** Unknown fields, kept. */
  readonly [field: string]: unknown;
}

/** A problem with its candidates. */
export interface Group extends Problem {
  /** Responses to the question; may be empty. */
  readonly candidates: readonly Candidate[];
}

const optional = {
  string: z.optional(z.string()),
  number: z.optional(z.number()),
  integer: z.optional(z.int()),
};

const callSchema = z.looseObject({
  type: z.enum(["function"]),
  function: z.looseObject({ name: z.string(), arguments: z.record(z.string(), z.unknown()) }),
});

// Unknown fields pass all three schemas.
const candidateSchema: z.ZodMiniType<Candidate> = z.looseObject({
  text: z.string(),
  finish: z.optional(z.enum(["stop", "length"])),
  tokens: optional.integer,
  token_ids: z.optional(z.array(z.int())),
  answer: z.optional(z.nullable(z.string())),
  correct: z.optional(z.boolean()),
  rank: optional.number,
  reward: optional.number,
  logprob: optional.number,
  score: optional.number,
  source: optional.string,
  tool_calls: z.optional(z.array(callSchema)),
});

const turnSchema = z.looseObject({
  role: z.enum(["user", "assistant", "tool"]),
  content: z.string(),
  trained: z.optional(z.boolean()),
  tool_calls: z.optional(z.array(callSchema)),
});

const problemShape = {
  id: z.string(),
  question: z.string(),
  prompt: optional.string,
  system: optional.string,
  earlier: z.optional(z.array(turnSchema)),
  between: z.optional(z.array(turnSchema)),
  reference: optional.string,
  reference_tool_calls: z.optional(z.array(callSchema)),
  answer: optional.string,
  choices: z.optional(z.array(z.string())),
  answer_kind: z.optional(z.enum(["number", "option", "text"])),
  prompt_digest: optional.string,
  model_digest: optional.string,
  dataset: optional.string,
  prompt_template: optional.string,
};

const problemSchema: z.ZodMiniType<Problem> = z.looseObject({
  ...problemShape,
  candidates: z.optional(z.array(candidateSchema)),
});

const groupSchema: z.ZodMiniType<Group> = z.looseObject({
  ...problemShape,
  candidates: z.array(candidateSchema),
});

/**
 * The problem in one record, in our own form or in another's (`normalizeRecord` says which).
 *
 * Throws InputError: `Cannot read record 17 of problems.jsonl: field "answer" must be a string: got a list`.
 */
export function parseProblem(value: unknown, where: Where, options: ReadOptions = {}): Problem {
  return check(problemSchema, normalizeRecord(value, where, options), where);
}

/** As `parseProblem`, for a record that must have candidates. */
export function parseGroup(value: unknown, where: Where, options: ReadOptions = {}): Group {
  return check(groupSchema, normalizeRecord(value, where, options), where);
}

function check<T>(schema: z.ZodMiniType<T>, value: unknown, where: Where): T {
  const result = schema.safeParse(value);
  // The value itself, not zod's copy: the copy puts known fields first, and order is to be kept.
  if (result.success) return value as T;
  const issue = result.error.issues[0];
  const found = describeValue(issue.path.reduce<unknown>((at, key) => at?.[key as keyof typeof at], value));
  const field = issue.path.reduce<string>(
    (name, key) =>
      typeof key === "number" ? `${name}[${key}]` : name === "" ? String(key) : `${name}.${String(key)}`,
    "",
  );
  const subject = field === "" ? "it" : `field "${field}"`;
  throw new InputError(
    `Cannot read ${describeWhere(where)}: ${subject} must be ${expected(issue)}: got ${found}`,
  );
}

const NAMES: Record<string, string> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
};

function expected(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type") return NAMES[issue.expected] ?? issue.expected;
  if (issue.code === "invalid_value") return issue.values.map((value) => JSON.stringify(value)).join(" or ");
  return "valid";
}
