/** Where a task's records come from: `--data`, or standard input and `--input`. */

import { readProblem } from "../lib/data/datasets.ts";
import { readGroups, readJsonl } from "../lib/data/jsonl.ts";
import { loadDataset } from "../lib/data/load_dataset.ts";
import { normalizeResponses, type PromptOptions } from "../lib/data/prompts.ts";
import type { Group, Problem } from "../lib/data/records.ts";
import { UsageError } from "../lib/runtime/errors.ts";
import { choice, preset, text } from "./_option.ts";
import type { TaskIo } from "./_cli.ts";

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
} as const;

/** What {@linkcode problemsOf} looks at. */
export interface ProblemSource {
  readonly data?: string;
  readonly input: string;
  readonly dataDirectory?: string;
  readonly calculator: "keep" | "drop";
  readonly limit?: number;
  readonly seed?: number;
}

/** Finds what is wrong with `--data` before a model is loaded: both sources given, an unknown name, a missing file. */
export async function checkData(options: ProblemSource, split = "train"): Promise<void> {
  const { data, dataDirectory: directory, seed } = options;
  if (data === undefined) return;
  if (options.input !== "-") throw new UsageError("Only one of --data and --input can be given");
  for await (const _ of loadDataset(data, { split, directory, limit: 1, seed }));
}

/** The problems of `--data`, or the records of the input, whichever way they are written; at most `--limit`. */
export async function* problemsOf(
  options: ProblemSource,
  io: Pick<TaskIo, "input">,
  split = "train",
): AsyncGenerator<Problem> {
  const { data, dataDirectory: directory, calculator, limit } = options;
  const problems = data !== undefined
    ? loadDataset(data, { split, directory, limit, seed: options.seed })
    : take(inputProblems(io), limit);
  for await (const problem of problems) {
    yield calculator === "drop" ? normalizeResponses(problem, { calculator, ending: undefined }) : problem;
  }
}

async function* inputProblems(io: Pick<TaskIo, "input">): AsyncGenerator<Problem> {
  const source = io.input.name;
  for await (const { value, where } of readJsonl(io.input.bytes, { source })) yield readProblem(value, where);
}

/** The groups of the input; at most `limit`. */
export async function* groupsOf(io: Pick<TaskIo, "input">, limit?: number): AsyncGenerator<Group> {
  yield* take(readGroups(io.input.bytes, { source: io.input.name }), limit);
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
    readonly template?: string;
    readonly system?: string;
    readonly fewShot?: string;
    readonly chat?: PromptOptions["chat"];
  },
): Promise<PromptOptions> {
  const fewShot: Problem[] = [];
  if (options.fewShot !== undefined) {
    for await (const problem of loadDataset(options.fewShot)) fewShot.push(problem);
  }
  const { template, system, chat } = options;
  return { template, system, chat, ...(fewShot.length > 0 && { fewShot }) };
}
