/** The experiments by name, and how one is performed: by the process that was asked for the study, or for it by a job. */

import { Stages, type StagesOptions } from "../pipeline/stages.ts";
import type { Outcome } from "../report/study.ts";
import { budget } from "./budget.ts";
import { StudyCells } from "./cells.ts";
import { consistency } from "./consistency.ts";
import { constraintCurves } from "./constraints.ts";
import { folds } from "./folds.ts";
import { main } from "./main_experiment.ts";
import { noise } from "./noise.ts";
import { origins } from "./origins.ts";
import { pilot } from "./pilot.ts";
import { ranked } from "./ranked.ts";
import type { Start, StudySettings } from "./settings.ts";
import { steps } from "./steps.ts";
import { sweeps } from "./sweeps.ts";
import { multitask, transfer } from "./transfer.ts";
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
export const ofThePaper = Object.keys(experiments).filter((name) => !beyond.includes(name));

/** Those that have one start, whatever is asked for. */
export const onlyStart: Readonly<Record<string, Start>> = {
  pilot: "vft",
  zoo: "vft",
  folds: "base",
  budget: "base",
};

/** What study.json calls an experiment. */
export function partName(name: string, { start = "vft" }: Partial<StudySettings>): string {
  return start === "base" ? `${name} from the base` : name;
}

/** Where and how an experiment is performed. */
export interface Performing
  extends Pick<StagesOptions, "backend" | "microBatch" | "listener" | "signal" | "world" | "take"> {
  readonly out: string;
  readonly dataDirectory: string | undefined;
  /** What each model's run.json keeps (default: the sizes). */
  readonly kept?: StudySettings;
}

/** What came of it. */
export interface Performed {
  readonly outcome: Outcome;
  /** Which backend served and why; undefined where no model was opened, since all cells were there. */
  readonly backend: string | undefined;
}

/** Makes the cells of an experiment that are not there, and says what they show. */
export async function performExperiment(
  name: string,
  sizes: StudySettings,
  { out, dataDirectory, kept = sizes, ...how }: Performing,
): Promise<Performed> {
  const stages = new Stages({
    ...how,
    maxTokens: sizes.maxTokens,
    prompt: {},
    calculator: "keep",
    configuration: { study: kept },
  });
  const outcome = await experiments[name]!(new StudyCells(sizes, stages, { out, dataDirectory }));
  return { outcome: sizes.start === "base" ? fromBase(outcome) : outcome, backend: stages.backend };
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
