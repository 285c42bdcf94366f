/** The page of an `align` run. */

import { join, resolve } from "node:path";
import { formatLora } from "../checkpoint/lora.ts";
import type { Group } from "../data/records.ts";
import type { Report } from "../report/contents.ts";
import type { RoundModel } from "../report/rounds_table.ts";
import { machine, runtime } from "../runtime/environment.ts";
import { commandWords, shellCommand } from "../checkpoint/model_card.ts";
import { templateDate } from "../tokenizer/chat_template.ts";
import { alignDefaults, type AlignSettings, embeddedBase } from "./align_options.ts";
import { explainRows } from "./align_rows.ts";
import { readMetrics, readRecords, type Stages } from "./stages.ts";

/** One line of the table. */
export interface Row extends RoundModel {
  /** Its scores of the example candidates, question by question. */
  readonly examples: readonly (readonly number[])[];
}

/** Everything the page shows: `rows`, and the scores that their models give the examples of the file `judged`. */
export async function alignReport(
  run: { readonly options: AlignSettings; readonly stages: Stages; readonly seconds: number },
  rows: readonly Row[],
  judged: string,
): Promise<Report> {
  const { options, stages, seconds } = run, { out } = options;
  const { processor, system, cores } = machine();
  const models = await Promise.all(rows.map(async ({ name, summary }) => ({
    name,
    summary,
    ...await readMetrics(join(out, fileName(name))),
  })));
  const groups = await exampleGroups(judged);
  const { name: host, version } = runtime();
  return {
    title: "Alignment Fine-Tuning",
    about: [
      ["Model", options.model],
      ["Data", options.dataName],
      ["Problems", `${options.limit} to train, ${rows[0]?.summary.questions ?? 0} to test`],
      ["Candidates", `${options.samples} a question, temperature ${options.temperature}`],
      ...(options.objective === "aft" ? [] : [["Objective", options.objective] as const]),
      ...(options.label === "majority" ? [["Labels", "majority of the candidates"] as const] : []),
      ["Seed", String(options.seed)],
      ...(options.rounds > 1 ? [["Rounds", String(options.rounds)] as const] : []),
      ...(options.lora ? [["Adapter", `LoRA, ${formatLora(options.lora)}`] as const] : []),
      ["Fine-tuning", `${passes(options.epochs)}, learning rate ${options.learningRate}`],
      [
        "Alignment",
        [
          options.start === "base" ? "from the base model" : "from the VFT model",
          passes(options.alignEpochs),
          `learning rate ${options.alignLearningRate}`,
          ...ownOptions(options),
        ].join(", "),
      ],
      ["Batches", `${options.batchSize} questions`],
      [
        "Answers",
        `at most ${options.maxTokens} tokens${options.votes > 0 ? `; maj@k of ${options.votes}` : ""}`,
      ],
      ...(options.evaluation
        ? [
          [
            "While training",
            evaluationText(options.evaluation, options.evaluationProblems !== undefined),
          ] as const,
        ]
        : []),
      ["Backend", stages.backend ?? options.backend],
      ["Machine", `${processor}, ${system}, ${cores} cores; ${host} ${version}`],
      ["Time", `${seconds} s`],
      ["Date", dateText(new Date())],
      ...commandText(options.configuration),
    ],
    models,
    rows: explainRows(rows.map(({ name }) => name), options.start),
    examples: groups.map((group, g) => ({
      question: group.question,
      answer: group.answer,
      reference: group.reference,
      candidates: group.candidates.map((candidate, c) => ({
        text: candidate.text,
        correct: candidate.correct,
        scores: Object.fromEntries(rows.map(({ name, examples }) => [name, examples[g]?.[c] ?? NaN])),
      })),
    })),
    rounds: rows,
    warnings: stages.warnings,
  };
}

/** "β 0.2": the options of the objective that were given, and the width of AFT's boundary. */
function ownOptions({ methods }: AlignSettings): string[] {
  const bounded = methods.some(({ objective: { name }, settings: { constraint } }) =>
    name === "aft" && constraint === "bc"
  );
  const all: Record<string, number> = Object.assign(
    { ...(bounded && { beta: 0.2 }) },
    ...methods.map(({ settings }) => settings.options),
  );
  return Object.entries(all).map(([name, value]) => `${name === "beta" ? "β" : name} ${value}`);
}

function passes(count: number): string {
  return count === 1 ? "1 pass" : `${count} passes`;
}

function evaluationText(
  { share, keepBest, patience }: NonNullable<AlignSettings["evaluation"]>,
  own: boolean,
): string {
  return [
    own
      ? "evaluated on problems of their own"
      : `evaluated on a share of ${share} of the questions, held out`,
    keepBest && `the best by ${keepBest} kept`,
    patience !== undefined && `patience ${patience}`,
  ].filter(Boolean).join(", ");
}

/** "2026-11-30 16:05": the machine's own time. */
function dateText(date: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** The command with the options that are not their defaults; a script's run has none. */
function commandText(configuration: AlignSettings["configuration"]): (readonly [string, string])[] {
  const { task, options } = configuration as {
    readonly task?: unknown;
    readonly options: Record<string, unknown>;
  };
  if (task !== "align") return [];
  const camel = (name: string) => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const given = Object.entries(options).filter(([name, value]) =>
    value !== usual[camel(name)] && !quietly.has(name) &&
    !(name === "model" && resolve(String(value)) === resolve(embeddedBase()))
  );
  const words = commandWords(Object.fromEntries(given));
  return [["Command", shellCommand(["deno", "task", "align", ...words])]];
}

/** The values that nobody has to write. */
const usual: Readonly<Record<string, unknown>> = { ...alignDefaults, chat: "auto", templateDate };

/** Options that change nothing of what comes out. */
const quietly = new Set(["tensorboard", "threads", "quiet", "debug", "profile", "resume", "overwrite"]);

/** `aft-dc-round-2` of `aft-dc round 2`, and `simpo-1-aft-0.5` of `simpo:1,aft:0.5`. */
export function fileName(name: string): string {
  return name.replace(/[^\w.-]+/g, "-");
}

/** The first questions with right and wrong candidates: what the report shows one by one. */
export async function exampleGroups(judged: string): Promise<Group[]> {
  const found: Group[] = [];
  for await (const group of readRecords(judged)) {
    if (new Set(group.candidates.map((c) => c.correct)).size === 2) found.push(group);
    if (found.length === 6) break;
  }
  return found;
}
