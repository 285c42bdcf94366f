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
import { baseDigest, checkSameBase, keptOf, type KeptSettings, sizesOf } from "./base_model.ts";
import {
  experiments,
  ofThePaper,
  onlyStart,
  partName,
  performExperiment,
  type Performing,
} from "./experiments.ts";
import { broughtGroups } from "./folds.ts";
import { jobCount } from "./job_count.ts";
import { piecesOf, startJobs } from "./jobs.ts";
import type { StudySettings } from "./settings.ts";
import { resolveStudy, type StudyOptions, type StudyRun } from "./study_options.ts";
import { settle } from "./verdicts.ts";

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
  readonly experiments: Record<string, KeptSettings>;
}

/** What a run goes on with. */
interface Opened {
  readonly state: StudyState;
  /** Of the base model. */
  readonly digest: string;
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
 * @throws {UsageError} for an option that has no meaning, and for an `out` that holds something else, or a study of another
 * model
 * @throws {InputError} when the model or `groups` cannot be read, before there is a folder
 */
export async function study(options: StudyOptions = {}, listener: Listener = {}): Promise<Outcome[]> {
  const run = resolveStudy(options, { all: Object.keys(experiments), usual: ofThePaper });
  const count = await jobCount(run, piecesOf(askedFor(run)).length, listener);
  let lock: AsyncDisposable | undefined;
  try {
    const opened = await byFirst(run.world, async () => {
      lock = await takeOut(run, listener);
      return await openState(run, listener);
    });
    return await performAll(run, { ...opened, count }, run.world.rank === 0 ? listener : {});
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
async function openState(run: StudyRun, listener: Listener): Promise<Opened> {
  const { out, backend, signal, settings: [sizes] } = run, path = join(out, "study.json");
  const state = await exists(path) ? await readJson(path) as StudyState : { backend, experiments: {} };
  const digest = await baseDigest(sizes!.model, { listener, signal });
  await checkSameBase(state.experiments, { run, digest, listener });
  await makeDirectory(join(out, "tables"));
  await removeTemporaries(out);
  await writeJson(path, state);
  return { state, digest };
}

/** An experiment that is asked for. */
interface Asked {
  readonly name: string;
  readonly sizes: StudySettings;
  /** What study.json calls it. */
  readonly part: string;
}

/** All that are asked for, in the order in which they run. */
function askedFor({ only, settings }: StudyRun): Asked[] {
  return Object.keys(experiments).filter((name) => only.includes(name)).flatMap((name) => {
    const start = onlyStart[name], sizes = start === undefined ? settings : [{ ...settings[0]!, start }];
    return sizes.map((sizes) => ({ name, sizes, part: partName(name, sizes) }));
  });
}

/** All experiments that are asked for, by so many jobs, and those of earlier runs. */
async function performAll(
  run: StudyRun,
  { state, digest, count }: Opened & { readonly count: number },
  listener: Listener,
): Promise<Outcome[]> {
  const { out, settings, dataDirectory, backend, microBatch, signal, world } = run;
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
  const perform = async (name: string, sizes: StudySettings, take?: Performing["take"]) => {
    const { outcome, backend: served } = await performExperiment(name, sizes, {
      ...{ out, dataDirectory, backend, microBatch, signal, world, take },
      listener: stageListener,
    });
    outcomes.set(partName(name, sizes), outcome);
    if (served !== undefined) state.backend = served;
  };
  const parts = Object.keys(experiments).flatMap((name) =>
    (["base", "vft"] as const).map((start) => partName(name, { start }))
  );
  const inOrder = () => settle(parts.flatMap((part) => outcomes.get(part) ?? []));
  const asked = askedFor(run);
  for (const [part, kept] of Object.entries(known)) {
    if (asked.some((one) => one.part === part)) continue;
    await perform(part.replace(/ from the base$/, ""), sizesOf(kept, run));
  }
  signal?.throwIfAborted();
  const pieces = piecesOf(asked);
  await using jobs = count > 1 ? startJobs(pieces, { count, run, listener: stageListener }) : undefined;
  if (jobs) listener.note?.(`${count} jobs`);
  for (const { name, sizes, part } of asked) {
    signal?.throwIfAborted();
    listener.note?.(`Experiment ${part}`);
    const started = performance.now();
    state.backend = await jobs?.made(part) ?? state.backend;
    await perform(name, sizes, jobs?.take);
    listener.note?.(`Experiment ${part}: done in ${Math.round((performance.now() - started) / 1000)} s`);
    known[part] = keptOf(sizes, run, digest);
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
