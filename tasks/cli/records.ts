/** Where a task's records come from: `--data`, or standard input and `--input`. */

import { readProblem } from "../../lib/data/datasets.ts";
import { BrokenOffError, readJsonl } from "../../lib/data/jsonl.ts";
import { loadDataset } from "../../lib/data/load_dataset.ts";
import { type AnswerIndex, parseFields, type ReadOptions } from "../../lib/data/normalize_record.ts";
import { normalizeResponses, type PromptOptions } from "../../lib/data/prompts.ts";
import { type Group, parseGroup, type Problem } from "../../lib/data/records.ts";
import { isDay, parseTemplateVariables } from "../../lib/data/template_options.ts";
import type { ShardMark } from "../../lib/data/shards.ts";
import { describeWhere, type Where } from "../../lib/data/where.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { templateDate } from "../../lib/tokenizer/chat_template.ts";
import { choice, preset, text, toggle } from "./option.ts";
import type { TaskIo } from "./run_task.ts";

/** Options of every task that reads problems. */
export const dataOptions = {
  dataDirectory: text("--data-directory", {
    metavar: "DIR",
    help: "Where named data sets lie; otherwise the hub",
  }),
  calculator: preset(
    choice("--calculator", { choices: ["keep", "drop"], help: "GSM8K's <<2*3=6>> marks in chains" }),
    "keep",
  ),
} as const;

/** Options of every task that reads records as others write them. */
export const recordOptions = {
  fields: text("--fields", {
    metavar: "OURS=YOURS,…",
    help: "Names of your own fields: question=problem, and more with commas",
  }),
  answerIndex: choice("--answer-index", {
    choices: ["0", "1", "letter", "text"],
    help: "What answers to choices are: an index from 0 or from 1, a letter, or a choice's text",
  }),
} as const;

/** Options of every task that reads a stream of records. */
export const inputOptions = {
  ...recordOptions,
  allowPartial: toggle("--allow-partial", {
    help: "Take what came before the input broke off: its writer failed, or its last line has no end",
  }),
} as const;

/** Options of every task that makes prompts. */
export const promptOptions = {
  template: text("--template", { help: "Prompt, with {question} and other fields in braces" }),
  chat: preset(
    choice("--chat", {
      choices: ["auto", "always", "never"],
      help: "Prompts by the tokenizer's chat template: auto is when it has one and no --template is given",
    }),
    "auto",
  ),
  system: text("--system", { help: "Instructions before every prompt" }),
  fewShot: text("--few-shot", {
    metavar: "FILE",
    help: "JSONL of solved problems to show before the question",
  }),
  templateVariables: {
    ...text("--template-variables", {
      metavar: "JSON",
      help: 'Further variables of the chat template: {"enable_thinking": false}',
    }),
    read: (value: string) => isObject(value) ? value : undefined,
    expected: 'an object in JSON, such as {"enable_thinking": false}',
  },
  templateDate: preset({
    ...text("--template-date", {
      metavar: "YYYY-MM-DD",
      help: "The day on which the chat template finds itself; never the clock's",
    }),
    read: (value: string) => isDay(value) ? value : undefined,
    expected: "a day, such as 2024-07-26",
  }, templateDate),
} as const;

/** The option of tasks that train on references. */
export const turnOptions = {
  trainTurns: choice("--train-turns", {
    choices: ["all", "last"],
    help: "Which answers of a conversation are trained on; default: all of the assistant's",
  }),
} as const;

function isObject(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** What {@linkcode problemsOf} looks at. */
export interface ProblemSource {
  readonly data?: string | undefined;
  readonly input: string;
  readonly dataDirectory?: string | undefined;
  readonly fields?: string | undefined;
  readonly answerIndex?: AnswerIndex | undefined;
  readonly allowPartial?: boolean | undefined;
  readonly calculator: "keep" | "drop";
  readonly limit?: number | undefined;
  readonly seed?: number | undefined;
}

/** Finds what is wrong with `--data` before a model is loaded: both sources given, an unknown name, a missing file. */
export async function checkData(
  options: ProblemSource,
  { signal }: Pick<TaskIo, "signal">,
  split = "train",
): Promise<void> {
  const { data, dataDirectory: directory, seed } = options, reading = readingOf(options);
  if (data === undefined) return;
  if (options.input !== "-") throw new UsageError("Only one of --data and --input can be given");
  for await (const _ of loadDataset(data, { split, directory, limit: 1, seed, signal, ...reading }));
}

/** The problems of `--data`, or the records of the input, whichever way they are written; at most `--limit`. */
export async function* problemsOf(
  options: ProblemSource,
  io: Pick<TaskIo, "input" | "listener" | "signal">,
  split = "train",
): AsyncGenerator<Problem> {
  for await (const { problem } of placedProblems(options, io, split)) yield problem;
}

/** As {@linkcode problemsOf}, of records that must have candidates. */
export async function* groupsOf(
  options: ProblemSource,
  io: Pick<TaskIo, "input" | "listener" | "signal">,
): AsyncGenerator<Group> {
  for await (const { problem, where } of placedProblems(options, io)) {
    if (problem.candidates === undefined) {
      throw new InputError(
        `Cannot read ${describeWhere(where)}: it must have candidates; \`deno task generate\` samples some`,
      );
    }
    yield parseGroup(problem, where);
  }
}

/** How records are read, from the options that say so. */
export function readingOf(
  { fields, answerIndex }: Pick<ProblemSource, "fields" | "answerIndex">,
): ReadOptions {
  return {
    ...(fields !== undefined && { fields: parseFields(fields) }),
    ...(answerIndex && { answerIndex }),
  };
}

async function* placedProblems(
  { data, dataDirectory: directory, calculator, limit, seed, ...options }: ProblemSource,
  io: Pick<TaskIo, "input" | "listener" | "signal">,
  split = "train",
): AsyncGenerator<{ readonly problem: Problem; readonly where: Where }> {
  const reading = readingOf(options);
  const placed = async function* () {
    let record = 0;
    if (data !== undefined) {
      for await (
        const problem of loadDataset(data, { split, directory, limit, seed, signal: io.signal, ...reading })
      ) {
        yield { problem, where: { source: data, record: ++record } };
      }
    } else {
      const shard = (mark: ShardMark) => {
        io.input.shard = mark;
        const { part, of, records, total } = mark;
        io.listener.note(`${io.input.name} is shard ${part}/${of}: ${records} of ${total} records`);
      };
      const rows = readJsonl(io.input.bytes, { source: io.input.name, shard });
      for await (const { value, where } of take(untilBroken(rows, options.allowPartial, io), limit)) {
        yield { problem: readProblem(value, where, reading), where };
      }
    }
  };
  for await (const { problem, where } of placed()) {
    const drop = calculator === "drop";
    yield { problem: drop ? normalizeResponses(problem, { calculator, endings: "keep" }) : problem, where };
  }
}

/** The rows before the input broke off, which is told; an error unless that is allowed. */
async function* untilBroken<T>(
  rows: AsyncIterable<T>,
  allowed: boolean | undefined,
  io: Pick<TaskIo, "listener">,
): AsyncGenerator<T> {
  let count = 0;
  try {
    for await (const row of rows) {
      yield row;
      count++;
    }
  } catch (error) {
    if (!(error instanceof BrokenOffError)) throw error;
    if (count === 0) throw error;
    const before = count === 1 ? "the record before it" : `the ${count} records before it`;
    if (!allowed) throw new InputError(`${error.message}; --allow-partial takes ${before}`);
    io.listener.warn(`${error.message}; --allow-partial: ${before} ${count === 1 ? "is" : "are"} taken`);
  }
}

async function* take<T>(items: AsyncIterable<T>, limit = Infinity): AsyncGenerator<T> {
  let count = 0;
  if (limit <= 0) return;
  for await (const item of items) {
    yield item;
    if (++count >= limit) return;
  }
}

/** What prompts are made with. */
export async function promptsOf(
  options: {
    readonly template?: string | undefined;
    readonly system?: string | undefined;
    readonly fewShot?: string | undefined;
    readonly chat?: PromptOptions["chat"] | undefined;
    readonly templateVariables?: string | undefined;
    readonly templateDate?: string | undefined;
  },
): Promise<PromptOptions> {
  const { templateVariables: variables, templateDate: date = templateDate } = options;
  const parsed = variables === undefined ? undefined : parseTemplateVariables(variables);
  const fewShot: Problem[] = [];
  if (options.fewShot !== undefined) {
    for await (const problem of loadDataset(options.fewShot)) fewShot.push(problem);
  }
  const { template, system, chat } = options;
  return {
    template,
    system,
    chat,
    ...(fewShot.length > 0 && { fewShot }),
    ...(parsed && { templateVariables: parsed }),
    // What a template gets anyway is nothing that it could fail to read.
    ...(date !== templateDate && { templateDate: date }),
  };
}
