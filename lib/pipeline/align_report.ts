/** The page of an `align` run. */

import { join } from "node:path";
import { formatLora } from "../checkpoint/lora.ts";
import type { Group } from "../data/records.ts";
import type { Report } from "../report/contents.ts";
import type { RoundModel } from "../report/rounds_table.ts";
import { machine, runtime } from "../runtime/environment.ts";
import type { AlignSettings } from "./align_options.ts";
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
    metrics: await readMetrics(join(out, fileName(name))),
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
      ["Backend", stages.backend ?? options.backend],
      ["Machine", `${processor}, ${system}, ${cores} cores; ${host} ${version}`],
      ["Time", `${seconds} s`],
    ],
    models,
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
