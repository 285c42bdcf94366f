import { resolve } from "node:path";
import { findDataset } from "../data/datasets.ts";
import { checkAlignEvaluation } from "../pipeline/align_evaluation.ts";
import { embeddedBase } from "../pipeline/align_options.ts";
import { checkKinds } from "../runtime/check_kinds.ts";
import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { checkNumbers } from "../runtime/check_numbers.ts";
import { UsageError } from "../runtime/errors.ts";
import { suggestion } from "../runtime/suggestion.ts";
import { alone, type World } from "../runtime/world.ts";
import {
  comparedMethods,
  fullShape,
  quickShape,
  type Start,
  type StudyEvaluation,
  type StudySettings,
} from "./settings.ts";

/** What `study` is asked to do. Everything has a default. */
export interface StudyOptions {
  /** Model directory to start from (default: the embedded base). */
  readonly model?: string | undefined;
  /** Directory of the study; one that is there is gone on with (default "runs/study"). */
  readonly out?: string | undefined;
  /** Experiments to run (default: the paper's, all but the zoo). */
  readonly only?: readonly string[] | undefined;
  /** Data sets, by name; the first serves where one is enough (default arithmetic and arithmetic-long). */
  readonly data?: readonly string[] | undefined;
  /** Data set with ranks (default "ranked"). */
  readonly rankedData?: string | undefined;
  /** A file of questions with labelled candidates, which the experiment `folds` learns from. */
  readonly groups?: string | undefined;
  /** Where named data sets lie (default: the hub). */
  readonly dataDirectory?: string | undefined;
  /** The smallest sizes, to see that it runs (default false). */
  readonly quick?: boolean | undefined;
  /** Seeds of every cell, this many from `firstSeed` on (default 3, quick 1). */
  readonly seeds?: number | undefined;
  /**
   * The first of them (default 0): several processes or machines make a few seeds each, and where their folders `cells`,
   * `candidates` and `probes` are put together, one call for all seeds finds everything made.
   */
  readonly firstSeed?: number | undefined;
  /** Training problems of a data set (default 640, quick 6). */
  readonly limit?: number | undefined;
  /** Test problems of a data set (default 200, quick 4). */
  readonly testLimit?: number | undefined;
  /** Samples of every test problem at temperature 0.7, for pass@1 (default 0: greedy answers alone). */
  readonly testSamples?: number | undefined;
  /** What methods start from, one or both, each a study of its own with the same VFT models (default both). */
  readonly start?: readonly Start[] | undefined;
  /** Objectives to compare: VFT, RFT, RRHF, PRO, DPO, AFT; claims of others are left out (default all). */
  readonly methods?: readonly string[] | undefined;
  /** Candidates a question (default 6, quick 2). */
  readonly samples?: number | undefined;
  /** Of sampling (default 1). */
  readonly temperature?: number | undefined;
  /** Longest response, in tokens (default 96, quick 24). */
  readonly maxTokens?: number | undefined;
  /** Passes of VFT (default 4, quick 1). */
  readonly epochs?: number | undefined;
  /** Passes of every method (default 1). */
  readonly alignEpochs?: number | undefined;
  /** Peak learning rate of VFT (default 1e-3). */
  readonly learningRate?: number | undefined;
  /** Peak learning rate of every method (default: a third of VFT's). */
  readonly alignLearningRate?: number | undefined;
  /** Questions per optimizer step (default 16, quick 2). */
  readonly batchSize?: number | undefined;
  /** What is measured of every model while it trains, on a share of its questions (default: nothing). */
  readonly evaluation?: StudyEvaluation | undefined;
  /** Width of AFT-BC's boundary, in nats per token (default 0.2). */
  readonly beta?: number | undefined;
  /** Default `auto`: WebGPU on a real adapter, WASM otherwise. */
  readonly backend?: "auto" | "webgpu" | "wasm" | undefined;
  /** Tokens computed at once (default 4,096). */
  readonly microBatch?: number | undefined;
  /**
   * Threads of this process that share the cells out, each with its part of the CPU's threads and memory of its own
   * (default: as many as the CPU has threads where a small model is computed on it, otherwise 1). What is written is the same.
   */
  readonly jobs?: number | undefined;
  /** Replace a study that is in `out` (default false). */
  readonly overwrite?: boolean | undefined;
  /** Ends the study within a moment; the same call goes on with it. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The processes that make the study together (default: this one alone), each with the same options. `openWorld` gives it.
   * Rank 0 writes, and its listener alone is told.
   */
  readonly world?: World | undefined;
}

/** What stands in study.json, and on the page, for the model that comes with the project, wherever that lies. */
export const embeddedName = "the embedded base";

/** A study's options with their defaults filled in. */
export interface StudyRun {
  readonly out: string;
  /** What the page calls the base model. */
  readonly modelName: string;
  /** Of every start. */
  readonly settings: readonly StudySettings[];
  readonly only: readonly string[];
  readonly dataDirectory: string | undefined;
  readonly backend: "auto" | "webgpu" | "wasm";
  readonly microBatch: number;
  readonly jobs: number | undefined;
  readonly overwrite: boolean;
  readonly signal: AbortSignal | undefined;
  readonly world: World;
}

const numbers = {
  seeds: "count",
  firstSeed: "count or 0",
  limit: "count",
  testLimit: "count",
  testSamples: "count or 0",
  samples: "count",
  temperature: "positive or 0",
  maxTokens: "count",
  epochs: "count",
  alignEpochs: "count",
  learningRate: "positive",
  alignLearningRate: "positive",
  batchSize: "count",
  beta: "positive or 0",
  microBatch: "count",
  jobs: "count",
} as const;

const kinds = {
  evaluation: "object",
  model: "text",
  out: "text",
  only: "texts",
  methods: "texts",
  start: "texts",
  data: "texts",
  rankedData: "text",
  groups: "text",
  dataDirectory: "text",
  quick: "switch",
  overwrite: "switch",
  signal: "signal",
  world: "world",
} as const;

const names: NamesOf<StudyOptions> = {
  seeds: true,
  limit: true,
  testLimit: true,
  firstSeed: true,
  methods: true,
  testSamples: true,
  start: true,
  samples: true,
  temperature: true,
  maxTokens: true,
  epochs: true,
  alignEpochs: true,
  learningRate: true,
  alignLearningRate: true,
  batchSize: true,
  evaluation: true,
  beta: true,
  microBatch: true,
  model: true,
  out: true,
  only: true,
  data: true,
  rankedData: true,
  groups: true,
  dataDirectory: true,
  quick: true,
  backend: true,
  jobs: true,
  overwrite: true,
  signal: true,
  world: true,
};

const evaluationNames: NamesOf<Omit<StudyEvaluation, "share">> = {
  every: true,
  generate: true,
  keepBest: true,
  patience: true,
};

/**
 * Fills in defaults.
 *
 * @param experiments names of those that there are, and of those that run unless some are named
 * @throws {UsageError} for a name that is none (with a suggestion) or a value that has no meaning
 */
export function resolveStudy(
  options: StudyOptions,
  { all: experiments, usual }: { readonly all: readonly string[]; readonly usual: readonly string[] },
): StudyRun {
  checkNames(options, names, { of: "study" });
  checkNumbers(options, numbers, "Option");
  checkKinds(options, kinds, "Option");
  const { quick = false, only = usual, data = ["arithmetic", "arithmetic-long"] } = options;
  const { rankedData = "ranked", learningRate = 1e-3, backend = "auto" } = options;
  if (!["auto", "webgpu", "wasm"].includes(backend)) {
    throw new UsageError(
      `Option backend must be one of auto, webgpu, wasm: got ${JSON.stringify(backend)}`,
    );
  }
  for (const name of only) {
    if (experiments.includes(name)) continue;
    throw new UsageError(
      `Experiment must be one of ${experiments.join(", ")}: got ${JSON.stringify(name)}${
        suggestion(name, experiments)
      }`,
    );
  }
  const { start: starts = ["base", "vft"] } = options;
  for (const start of starts) {
    if (start === "base" || start === "vft") continue;
    throw new UsageError(
      `Option \`start\` must be of base, vft: got ${JSON.stringify(start)}${
        suggestion(start, ["base", "vft"])
      }`,
    );
  }
  if (starts.length === 0) throw new UsageError("Option `start` must be of base, vft: got none");
  const { methods = comparedMethods } = options;
  for (const name of methods) {
    if (comparedMethods.includes(name)) continue;
    throw new UsageError(
      `Option \`methods\` must be of ${comparedMethods.join(", ")}: got ${JSON.stringify(name)}${
        suggestion(name, comparedMethods)
      }`,
    );
  }
  for (const name of [...data, rankedData]) findDataset(name);
  if (only.includes("folds") && options.groups === undefined) {
    throw new UsageError(
      "Experiment folds needs option `groups`: a file of questions with labelled candidates",
    );
  }
  const { evaluation, world = alone, jobs } = options;
  if (world.size > 1 && jobs !== undefined && jobs > 1) {
    throw new UsageError(
      `Option \`jobs\` must be 1 where ${world.size} processes make every cell together: got ${jobs}`,
    );
  }
  if (evaluation) {
    const { share, ...rest } = evaluation;
    if (share === undefined) {
      throw new UsageError(
        "Option `evaluation.share` of a study must be given: the part of the training questions to hold out",
      );
    }
    checkNames(rest, evaluationNames, { of: "evaluation of a study" });
    checkAlignEvaluation(evaluation, { out: options.out ?? "runs/study", label: "answer" });
  }
  const size = <T>(given: T | undefined, full: T, small: T) => given ?? (quick ? small : full);
  const model = options.model ?? embeddedBase();
  const settings: Omit<StudySettings, "start"> = {
    model,
    data,
    rankedData,
    ...(options.groups !== undefined && { groups: options.groups }),
    methods,
    seeds: Array.from({ length: size(options.seeds, 3, 1) }, (_, i) => (options.firstSeed ?? 0) + i),
    limit: size(options.limit, 640, 6),
    testLimit: size(options.testLimit, 200, 4),
    testSamples: options.testSamples ?? 0,
    samples: size(options.samples, 6, 2),
    temperature: options.temperature ?? 1,
    maxTokens: size(options.maxTokens, 96, 24),
    epochs: size(options.epochs, 4, 1),
    alignEpochs: options.alignEpochs ?? 1,
    learningRate,
    alignLearningRate: options.alignLearningRate ?? learningRate / 3,
    batchSize: size(options.batchSize, 16, 2),
    ...(evaluation && { evaluation }),
    beta: options.beta ?? 0.2,
    ...quick ? quickShape : fullShape,
  };
  return {
    out: options.out ?? "runs/study",
    modelName: options.model === undefined || resolve(options.model) === embeddedBase()
      ? embeddedName
      : model,
    settings: [...new Set(starts)].map((start) => ({ ...settings, start })),
    only,
    dataDirectory: options.dataDirectory,
    backend,
    microBatch: options.microBatch ?? 4096,
    jobs,
    overwrite: options.overwrite ?? false,
    signal: options.signal,
    world,
  };
}
