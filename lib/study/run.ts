/** Runs experiments one after the other and writes what is known after each. */

import { join } from "node:path";
import { oneLineHeads } from "../report/html_table.ts";
import { type Outcome, renderStudy, studyMarkdown, type StudyPage } from "../report/study.ts";
import { csvTable, markdownTable } from "../report/table.ts";
import { byFirst } from "../runtime/agreed.ts";
import { machine } from "../runtime/environment.ts";
import {
  exists,
  makeDirectory,
  readJson,
  removeTemporaries,
  writeJson,
  writeText,
} from "../runtime/files.ts";
import type { Listener } from "../runtime/listener.ts";
import { modelFileNames } from "../checkpoint/model_file_names.ts";
import { type Owned, takeFolder } from "../runtime/owned_files.ts";
import { isAdapterDirectory } from "../checkpoint/adapter_config.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { resolveModel } from "../checkpoint/resolve_model.ts";
import { checkOut } from "../pipeline/out_directory.ts";
import { Stages } from "../pipeline/stages.ts";
import { budget } from "./budget.ts";
import { StudyCells } from "./cells.ts";
import { consistency } from "./consistency.ts";
import { constraintCurves } from "./constraints.ts";
import { main } from "./main_experiment.ts";
import { broughtGroups, folds } from "./folds.ts";
import { noise } from "./noise.ts";
import { origins } from "./origins.ts";
import { pilot } from "./pilot.ts";
import { ranked } from "./ranked.ts";
import type { Start, StudySettings } from "./settings.ts";
import { resolveStudy, type StudyOptions, type StudyRun } from "./study_options.ts";
import { steps } from "./steps.ts";
import { sweeps } from "./sweeps.ts";
import { multitask, transfer } from "./transfer.ts";
import { settle } from "./verdicts.ts";
import { zoo } from "./zoo.ts";

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
  budget,
  noise,
  origins,
  steps,
  folds,
  zoo,
};

/** Those that go beyond the paper: they run where they are named. */
const beyond: readonly string[] = ["budget", "noise", "origins", "steps", "folds", "zoo"];

/** Those that run unless some are named. */
const ofThePaper = Object.keys(experiments).filter((name) => !beyond.includes(name));

/** Those that have one start, whatever is asked for. */
const onlyStart: Readonly<Record<string, Start>> = {
  pilot: "vft",
  zoo: "vft",
  folds: "base",
  budget: "base",
};

/** What study.json calls an experiment. */
function partName(name: string, { start = "vft" }: Partial<StudySettings>): string {
  return start === "base" ? `${name} from the base` : name;
}

/** What a study writes into its folder. */
const studyFileNames: Owned = {
  files: /^(?:study\.(?:json|md|html)|results\.json|run\.lock)$/,
  folders: [
    [/^tables$/, { files: /\.(?:md|csv)$/ }],
    [/^candidates$/, { files: /\.jsonl$/ }],
    [/^probes$/, { files: /\.json$/ }],
    [/^cells$/, { files: /^$/, folders: [[/-[0-9a-f]+$/, modelFileNames]] }],
  ],
};

/** Answers below which a share says nothing: 100 of them leave 10 points either way to chance. */
const FEWEST_ANSWERS = 100;

/** What a study of these sizes cannot show; undefined where it can. */
export function tooSmall(
  { testLimit, seeds }: Pick<StudySettings, "testLimit" | "seeds">,
): string | undefined {
  if (testLimit * seeds.length >= FEWEST_ANSWERS) return undefined;
  const runs = seeds.length === 1 ? "one seed" : `${seeds.length} seeds`;
  return `Nothing can be read from these numbers but that everything runs: they are of ${testLimit} test problems and ` +
    `${runs}; option \`testLimit\` and option \`seeds\` give more`;
}

/** What study.json keeps: the sizes of every finished experiment, and what computed. */
interface StudyState {
  backend: string;
  readonly experiments: Record<string, StudySettings>;
}

/**
 * The paper's experiments side by side: writes study.json, results.json, study.md, study.html and tables/ after each.
 * Experiments of earlier runs in the same folder stay, with the sizes that they had: their cells are there, so they cost
 * nothing.
 *
 * ```ts
 * import { study } from "./mod.ts";
 *
 * const [main] = await study({ quick: true, only: ["main"], out: "runs/example-study", overwrite: true });
 * console.log(main.title, main.tables[0].rows);
 * ```
 *
 * @param listener told of progress, warnings, notes and every line of metrics
 * @returns what came out of each experiment, in the order in which they run
 * @throws {UsageError} for an option that has no meaning, and for an `out` that holds something else
 * @throws {InputError} when the model or `groups` cannot be read, before there is a folder
 */
export async function study(options: StudyOptions = {}, listener: Listener = {}): Promise<Outcome[]> {
  const run = resolveStudy(options, { all: Object.keys(experiments), usual: ofThePaper });
  let lock: AsyncDisposable | undefined;
  try {
    const state = await byFirst(run.world, async () => {
      lock = await takeOut(run, listener);
      return await openState(run);
    });
    return await performAll(run, state, run.world.rank === 0 ? listener : {});
  } finally {
    await lock?.[Symbol.asyncDispose]();
  }
}

/** Checks all that can be wrong, and takes the study's folder. */
async function takeOut(
  { out, settings: [sizes], only, dataDirectory, overwrite, signal }: StudyRun,
  listener: Listener,
): Promise<AsyncDisposable> {
  const { model, groups } = sizes!, sources = [model, dataDirectory, groups];
  const taken = await checkOut({ out, resume: !overwrite, overwrite, mark: "study.json", sources });
  // A model or a file that cannot be read is found before there is a folder, and before one that is there goes.
  const directory = await resolveModel(model, { listener, signal });
  if (!await isAdapterDirectory(directory)) await (await openCheckpoint(directory)).close();
  if (only.includes("folds")) await broughtGroups(groups!, { listener, signal });
  signal?.throwIfAborted();
  return await takeFolder(out, { owned: studyFileNames, overwrite: taken && overwrite });
}

/** What the folder's study.json keeps, which is there from now on: a study that is stopped in its first experiment can be gone on with. */
async function openState({ out, backend }: StudyRun): Promise<StudyState> {
  await makeDirectory(join(out, "tables"));
  await removeTemporaries(out);
  const path = join(out, "study.json");
  const state = await exists(path) ? await readJson(path) as StudyState : { backend, experiments: {} };
  await writeJson(path, state);
  return state;
}

/** All experiments that are asked for, and those of earlier runs. */
async function performAll(run: StudyRun, state: StudyState, listener: Listener): Promise<Outcome[]> {
  const { out, settings, only, dataDirectory, backend, microBatch, signal, world } = run;
  const known = state.experiments;
  const outcomes = new Map<string, Outcome>();
  let said: string | undefined;
  const stageListener: Listener = {
    ...listener,
    note: (line) => {
      // Each experiment has stages of its own, which say it again.
      if (line.startsWith("Backend: ") && line === said) return;
      if (line.startsWith("Backend: ")) said = line;
      listener.note?.(line);
    },
  };
  const perform = async (name: string, sizes: StudySettings) => {
    const part = partName(name, sizes);
    const own = new Stages({
      backend,
      microBatch,
      maxTokens: sizes.maxTokens,
      prompt: {},
      calculator: "keep",
      listener: stageListener,
      signal,
      world,
      configuration: { study: sizes },
    });
    const cells = new StudyCells(sizes, own, { out, dataDirectory });
    const outcome = await experiments[name]!(cells);
    outcomes.set(part, sizes.start === "base" ? fromBase(outcome) : outcome);
    if (own.backend !== undefined) state.backend = own.backend;
  };
  const parts = Object.keys(experiments).flatMap((name) =>
    (["base", "vft"] as const).map((start) => partName(name, { start }))
  );
  const inOrder = () => settle(parts.flatMap((part) => outcomes.get(part) ?? []));
  const asked = Object.keys(experiments).filter((name) => only.includes(name)).flatMap((name) => {
    const start = onlyStart[name], sizes = start === undefined ? settings : [{ ...settings[0]!, start }];
    return sizes.map((sizes) => ({ name, sizes, part: partName(name, sizes) }));
  });
  for (const [part, sizes] of Object.entries(known)) {
    if (!asked.some((one) => one.part === part)) await perform(part.replace(/ from the base$/, ""), sizes);
  }
  for (const { name, sizes, part } of asked) {
    signal?.throwIfAborted();
    listener.note?.(`Experiment ${part}`);
    const started = performance.now();
    await perform(name, sizes);
    listener.note?.(`Experiment ${part}: done in ${Math.round((performance.now() - started) / 1000)} s`);
    known[part] = sizes;
    await byFirst(world, async () => {
      await writeJson(join(out, "study.json"), state);
      await writeOutcomes(inOrder(), {
        ...{ out, model: run.modelName, backend: state.backend },
        warnings: [...new Set(Object.values(known).flatMap((sizes) => tooSmall(sizes) ?? []))],
      });
    });
  }
  const small = tooSmall(settings[0]!);
  if (small !== undefined) listener.warn?.(small);
  return inOrder();
}

/** An experiment whose methods started from the base, under names of its own. */
function fromBase(outcome: Outcome): Outcome {
  const { name, title, tables, claims } = outcome;
  return {
    ...outcome,
    name: `${name}-base`,
    title: `${title}, from the base`,
    tables: tables.map((table) => ({ ...table, name: `${table.name}_base` })),
    claims: claims.map((claim) => ({ ...claim, start: "base" })),
  };
}

async function writeOutcomes(
  outcomes: readonly Outcome[],
  { out, model, backend, warnings }: {
    readonly out: string;
    readonly model: string;
    readonly backend: string;
    readonly warnings: readonly string[];
  },
): Promise<void> {
  const { processor, system, cores } = machine();
  const about: StudyPage = {
    title: "Alignment Fine-Tuning: the study",
    warnings: warnings.map((line) => line.replace(/; option .*$/, "")),
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
