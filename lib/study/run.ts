/** Runs experiments one after the other and writes what is known after each. */

import { join } from "node:path";
import { oneLineHeads } from "../report/html_table.ts";
import { type Outcome, renderStudy, studyMarkdown, type StudyPage } from "../report/study.ts";
import { csvTable, markdownTable } from "../report/table.ts";
import { machine } from "../runtime/environment.ts";
import { exists, makeDirectory, readJson, writeJson, writeText } from "../runtime/files.ts";
import { Stages, type StagesOptions } from "../pipeline/stages.ts";
import { StudyCells } from "./cells.ts";
import { consistency } from "./consistency.ts";
import { constraintCurves } from "./constraints.ts";
import { main } from "./main_experiment.ts";
import { pilot } from "./pilot.ts";
import { ranked } from "./ranked.ts";
import type { StudySettings } from "./settings.ts";
import { sweeps } from "./sweeps.ts";
import { multitask, transfer } from "./transfer.ts";

/** Every experiment by the word that `--only` takes, in the order in which they run. */
export const experiments: Readonly<Record<string, (cells: StudyCells) => Promise<Outcome>>> = {
  pilot,
  main,
  ranked,
  multitask,
  ood: transfer,
  consistency,
  sweeps,
  constraints: constraintCurves,
};

/** What to run. */
export interface StudyRun {
  readonly out: string;
  /** What the page calls the base model. */
  readonly modelName: string;
  readonly settings: StudySettings;
  readonly only: readonly string[];
  readonly dataDirectory?: string;
  readonly stages: Omit<StagesOptions, "maxTokens">;
}

/** What study.json keeps: the sizes of every finished experiment, and what computed. */
interface StudyState {
  backend: string;
  readonly experiments: Record<string, StudySettings>;
}

/**
 * Runs the experiments and writes study.json, results.json, study.md, study.html and tables/ after each. Experiments of
 * earlier runs in the same folder stay, with the sizes that they had: their cells are there, so they cost nothing.
 */
export async function runStudy(options: StudyRun): Promise<Outcome[]> {
  const { out, settings, only, dataDirectory, stages } = options;
  await makeDirectory(join(out, "tables"));
  const path = join(out, "study.json");
  const state: StudyState = await exists(path)
    ? await readJson(path) as StudyState
    : { backend: stages.backend, experiments: {} };
  const known = state.experiments;
  const outcomes = new Map<string, Outcome>();
  const said = new Set<string>();
  const log = (line: string) => {
    if (!line.startsWith("Backend: ") || !said.has(line)) stages.io.log(line);
    said.add(line);
  };
  const run = async (name: string, sizes: StudySettings) => {
    const own = new Stages({ ...stages, io: { ...stages.io, log }, maxTokens: sizes.maxTokens });
    const cells = new StudyCells(sizes, own, { out, dataDirectory });
    outcomes.set(name, await experiments[name](cells));
    if (own.backend !== stages.backend) state.backend = own.backend; // it was opened
  };
  const inOrder = () => Object.keys(experiments).flatMap((name) => outcomes.get(name) ?? []);
  for (const [name, sizes] of Object.entries(known)) if (!only.includes(name)) await run(name, sizes);
  for (const name of Object.keys(experiments).filter((name) => only.includes(name))) {
    stages.io.log(`Experiment ${name}`);
    const started = performance.now();
    await run(name, settings);
    stages.io.log(`Experiment ${name}: done in ${Math.round((performance.now() - started) / 1000)} s`);
    known[name] = settings;
    await writeJson(path, state);
    await writeOutcomes(inOrder(), { out, model: options.modelName, backend: state.backend });
  }
  return inOrder();
}

async function writeOutcomes(
  outcomes: readonly Outcome[],
  { out, model, backend }: { readonly out: string; readonly model: string; readonly backend: string },
): Promise<void> {
  const { processor, system, cores } = machine();
  const about: StudyPage = {
    title: "Alignment Fine-Tuning: the study",
    about: [
      ["Model", model],
      ["Backend", backend],
      ["Machine", `${processor}, ${system}, ${cores} cores`],
    ],
  };
  for (const { name, columns, rows } of outcomes.flatMap(({ tables }) => tables)) {
    await writeText(join(out, "tables", `${name}.md`), markdownTable(oneLineHeads(columns), rows));
    await writeText(join(out, "tables", `${name}.csv`), csvTable(columns, rows));
  }
  await writeJson(join(out, "results.json"), { machine: machine(), backend, experiments: outcomes });
  await writeText(join(out, "study.md"), studyMarkdown(outcomes, about));
  await writeText(join(out, "study.html"), renderStudy(outcomes, about));
}
