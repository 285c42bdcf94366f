import { fileURLToPath } from "node:url";
import { checkLora, type Lora, parseLora } from "../checkpoint/lora.ts";
import type { BaseDtype } from "../checkpoint/stored_bytes.ts";
import type { PromptOptions } from "../data/prompts.ts";
import { checkPrompt } from "../data/template_options.ts";
import type { ReadOptions } from "../data/normalize_record.ts";
import type { Problem } from "../data/records.ts";
import type { TrainTurns } from "../data/train_turns.ts";
import { checkKinds } from "../runtime/check_kinds.ts";
import { checkStop } from "../model/stop_texts.ts";
import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { checkNumbers } from "../runtime/check_numbers.ts";
import { UsageError } from "../runtime/errors.ts";
import { type AlignEvaluation, checkAlignEvaluation } from "./align_evaluation.ts";
import type { Listener } from "../runtime/listener.ts";
import { alone, type World } from "../runtime/world.ts";
import { type AlignMethod, alignMethods } from "./align_methods.ts";
import { problemsFrom, type ProblemSource } from "./problem_source.ts";
import { testSpecOf } from "./held_out.ts";
import type { Objective } from "../objectives/objective.ts";

/** What `align` is asked to do. Everything has a default: the embedded model on the embedded arithmetic problems. */
export interface AlignOptions {
  /** Model directory, or ORG/NAME on the hub (default: the embedded base). */
  readonly model?: string | undefined;
  /** Directory for everything the run writes (default "runs/align"). */
  readonly out?: string | undefined;
  /** Training problems (default "arithmetic"). */
  readonly data?: ProblemSource | undefined;
  /** Test problems (default: the test split of `data`; to be given where that has none). */
  readonly testData?: ProblemSource | undefined;
  /** Where named data sets lie (default: the hub). */
  readonly dataDirectory?: string | undefined;
  /** Training problems (default 640). */
  readonly limit?: number | undefined;
  /** Test problems (default 200). */
  readonly testLimit?: number | undefined;
  /** Candidates a question (default 6). */
  readonly samples?: number | undefined;
  /** Of sampling (default 1). */
  readonly temperature?: number | undefined;
  /** Of sampling (default 0: no limit). */
  readonly topK?: number | undefined;
  /** Of sampling (default 1: no limit). */
  readonly topP?: number | undefined;
  /** Longest response, in tokens (default 96). */
  readonly maxTokens?: number | undefined;
  /** Texts that end a response, as `generate` has them (default: the next question of a plain template). */
  readonly stop?: readonly string[] | undefined;
  /** Samples for the majority vote of maj@k (default 8; 0 for none). */
  readonly votes?: number | undefined;
  /** Width of the boundary constraint, in nats per token (default 0.2). */
  readonly beta?: number | undefined;
  /** Source of every random choice (default 0). */
  readonly seed?: number | undefined;
  /** Default `auto`: WebGPU on a real adapter, WASM otherwise. */
  readonly backend?: "auto" | "webgpu" | "wasm" | undefined;
  /** The adapter to train in place of the whole model: its fields, or "r=16,alpha=32". */
  readonly lora?: Lora | string | undefined;
  /** How frozen matrices are kept (default f32). */
  readonly baseDtype?: BaseDtype | undefined;
  /** What to do with tensors that the model's family has no use for (default refuse). */
  readonly unknownTensors?: "refuse" | "keep" | undefined;
  /** Whether layers are computed again in the backward pass (default false). */
  readonly recompute?: boolean | undefined;
  /** Passes of VFT over the training problems (default 4). */
  readonly epochs?: number | undefined;
  /**
   * What alignment starts from: `base`, the model that VFT starts from, with references and candidates together
   * (L_VFT + L_A), as long and as fast as VFT; `vft`, the VFT model, which it goes on training at a lower rate. Candidates
   * are the VFT model's in both; later rounds sample from the newest models, and start from the base again (as STaR does,
   * arXiv 2203.14465) or go on from the newest. Default: `base` for AFT with answers as labels, otherwise `vft`: other
   * objectives, and votes, go on from a model that writes.
   */
  readonly start?: "vft" | "base" | undefined;
  /** Passes of alignment, and of the control (default: from the base those of VFT, otherwise 3). */
  readonly alignEpochs?: number | undefined;
  /** Peak learning rate of VFT (default 1e-3). */
  readonly learningRate?: number | undefined;
  /** Peak learning rate of alignment (default: from the base VFT's, otherwise a tenth of it). */
  readonly alignLearningRate?: number | undefined;
  /** Questions per optimizer step (default 16). */
  readonly batchSize?: number | undefined;
  /** Tokens computed at once (default 4,096). */
  readonly microBatch?: number | undefined;
  /** What to align with, by name or as a sum (default "aft"). */
  readonly objective?: string | undefined;
  /** Options of the objective by the names that it declares: `{ gamma: 0.5 }`. */
  readonly options?: Readonly<Record<string, number>> | undefined;
  /** Which alignment runs to make (default: all for AFT, the objective's own constraint for any other). */
  readonly constraints?: "all" | "none" | "dc" | "bc" | undefined;
  /**
   * What marks the candidates that are learned from: the problems' answers (default), or the majority of a question's
   * candidates, which then neither see answers nor references. Test problems always have answers.
   */
  readonly label?: "answer" | "majority" | undefined;
  /** How often to sample and align; from the second round on with the newest model of each kind (default 1). */
  readonly rounds?: number | undefined;
  /** GSM8K's calculator marks in chains (default keep). */
  readonly calculator?: "keep" | "drop" | undefined;
  /** Own names of the fields of `data`, `testData` and `evaluation.data`, by ours: `{ question: "problem_text" }`. */
  readonly fields?: ReadOptions["fields"] | undefined;
  /** What the answers to questions with choices are (default: a letter or a choice's text; an index is refused). */
  readonly answerIndex?: ReadOptions["answerIndex"] | undefined;
  /** What is measured while models train (default: nothing). */
  readonly evaluation?: AlignEvaluation | undefined;
  /** Steps between two lines of metrics (default: so many that a training has about 60). */
  readonly logEvery?: number | undefined;
  /** Whether TensorBoard's events are written beside each model's metrics (default false). */
  readonly tensorboard?: boolean | undefined;
  /** How prompts are made. */
  readonly prompt?: PromptOptions | undefined;
  /** Which answers of a conversation VFT and the control train on (default all of the assistant's). */
  readonly trainTurns?: TrainTurns | undefined;
  /** Go on with what is in `out` (default false). */
  readonly resume?: boolean | undefined;
  /** Replace what is in `out` (default false). */
  readonly overwrite?: boolean | undefined;
  /** What align.json keeps and a resumed run is compared with (default: these options). */
  readonly configuration?: { readonly options: Readonly<Record<string, unknown>> } | undefined;
  /** Ends the run within a moment; what is there can be resumed. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The processes that make the run together (default: this one alone), each with the same options: they train and sample
   * as one. `openWorld` gives it. Rank 0 writes, and its listener alone is told.
   */
  readonly world?: World | undefined;
}

/** The options of `align` with their defaults filled in. */
export interface AlignSettings extends Filled {
  readonly beta: number | undefined;
  /** The kinds of model that are trained on candidates. */
  readonly methods: readonly AlignMethod[];
  readonly lora: Lora | undefined;
  readonly trainTurns: TrainTurns | undefined;
  readonly stop: readonly string[] | undefined;
  readonly signal: AbortSignal | undefined;
  readonly world: World;
  /** The problems, to be read as often as needed. */
  readonly train: () => AsyncIterable<Problem>;
  readonly test: () => AsyncIterable<Problem>;
  /** What is measured while models train; `problems` where they are not the training's own. */
  readonly evaluation: Omit<AlignEvaluation, "data"> | undefined;
  readonly evaluationProblems: (() => AsyncIterable<Problem>) | undefined;
  /** Steps between two lines of metrics, in a training of so many passes. */
  readonly logEvery: (epochs: number) => number;
  /** Files and folders that the run reads: they must not be written over. */
  readonly sources: readonly string[];
  /** What the report calls the training problems. */
  readonly dataName: string;
}

type Filled = {
  readonly [K in Exclude<keyof AlignOptions, Absent>]-?: Exclude<AlignOptions[K], undefined>;
};

type Absent =
  | "beta"
  | "constraints"
  | "options"
  | "lora"
  | "stop"
  | "signal"
  | "world"
  | "data"
  | "testData"
  | "dataDirectory"
  | "fields"
  | "answerIndex"
  | "evaluation"
  | "logEvery"
  | "trainTurns";

/** The model that comes with the project. Throws UsageError where the project is not on this machine's disk. */
export function embeddedBase(): string {
  const url = new URL("../../fixtures/base", import.meta.url);
  if (url.protocol === "file:") return fileURLToPath(url);
  throw new UsageError(
    "Missing option `model`: the embedded base is not at hand here; name a model directory",
  );
}

/** Lines of metrics that a training has by default: enough for a curve. */
const LINES = 60;

const defaults = {
  out: "runs/align",
  data: "arithmetic",
  limit: 640,
  testLimit: 200,
  samples: 6,
  temperature: 1,
  topK: 0,
  topP: 1,
  maxTokens: 96,
  votes: 8,
  seed: 0,
  backend: "auto",
  baseDtype: "f32",
  unknownTensors: "refuse",
  recompute: false,
  epochs: 4,
  learningRate: 1e-3,
  batchSize: 16,
  microBatch: 4096,
  objective: "aft",
  label: "answer",
  rounds: 1,
  tensorboard: false,
  calculator: "keep",
  resume: false,
  overwrite: false,
} as const;

/** Defaults by the options' names, for what tells of a run. */
export const alignDefaults: Readonly<Record<string, unknown>> = defaults;

const namesIn = <T extends object>(options: T) =>
  Object.fromEntries(Object.keys(options).map((name) => [name, true])) as Record<keyof T, true>;

const names: NamesOf<AlignOptions> = {
  ...namesIn(defaults),
  start: true,
  alignEpochs: true,
  model: true,
  testData: true,
  dataDirectory: true,
  beta: true,
  constraints: true,
  options: true,
  lora: true,
  stop: true,
  alignLearningRate: true,
  fields: true,
  answerIndex: true,
  trainTurns: true,
  evaluation: true,
  logEvery: true,
  prompt: true,
  configuration: true,
  signal: true,
  world: true,
};

const numbers = {
  limit: "count",
  testLimit: "count",
  samples: "count",
  temperature: "positive or 0",
  topK: "count or 0",
  topP: "share",
  maxTokens: "count",
  votes: "count or 0",
  beta: "positive or 0",
  seed: "number",
  epochs: "count",
  alignEpochs: "count",
  learningRate: "positive",
  alignLearningRate: "positive",
  batchSize: "count",
  microBatch: "count",
  rounds: "count",
  logEvery: "count",
} as const;

const kinds = {
  model: "text",
  out: "text",
  objective: "text",
  options: "object",
  data: "source",
  testData: "source",
  dataDirectory: "text",
  fields: "object",
  recompute: "switch",
  tensorboard: "switch",
  resume: "switch",
  overwrite: "switch",
  prompt: "object",
  evaluation: "object",
  configuration: "object",
  signal: "signal",
  world: "world",
} as const;

const words = {
  backend: ["auto", "webgpu", "wasm"],
  baseDtype: ["f32", "f16", "int8", "int4"],
  unknownTensors: ["refuse", "keep"],
  constraints: ["all", "none", "dc", "bc"],
  label: ["answer", "majority"],
  start: ["vft", "base"],
  calculator: ["keep", "drop"],
  answerIndex: ["0", "1", "letter", "text"],
  trainTurns: ["all", "last"],
} as const;

/** A gradient at the model that sampled is none at the base, and what compares alone teaches nobody to write. */
function checkFromBase(objective: Objective): void {
  const { name, trainsOn, needsReferenceLogprobs } = objective;
  if (trainsOn === "samples" && !needsReferenceLogprobs) {
    throw new UsageError(
      `Cannot start from the base with objective ${name}: it is a gradient at the model that sampled, the VFT model`,
    );
  }
}

/** Fills in defaults. Throws UsageError for a name that is none (with a suggestion) or a value that has no meaning. */
export function resolveAlign(options: AlignOptions, listener?: Listener): AlignSettings {
  checkNames(options, names, { of: "align" });
  checkNumbers(options, numbers, "Option");
  checkKinds(options, kinds, "Option");
  checkPrompt(options.prompt, "align");
  checkStop(options.stop);
  for (const [name, expected] of Object.entries(words)) {
    const value = options[name as keyof typeof words];
    if (value === undefined || (expected as readonly string[]).includes(value)) continue;
    throw new UsageError(
      `Option ${name} must be one of ${expected.join(", ")}: got ${JSON.stringify(value)}`,
    );
  }
  const { evaluation } = options;
  if (evaluation) {
    const { out = defaults.out, label = defaults.label } = options;
    checkAlignEvaluation(evaluation, { out, label });
  }
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const filled = { ...defaults, ...given } as typeof defaults & AlignOptions;
  const { data, dataDirectory: directory, seed, limit, testLimit, lora, fields, answerIndex, ...rest } =
    filled;
  const testData = filled.testData ?? (typeof data === "string" ? testSpecOf(data) : undefined);
  if (testData === undefined) {
    throw new UsageError("Missing option `testData`: problems that a function reads have no test split");
  }
  const model = filled.model ?? embeddedBase();
  const sourceOf = (source: ProblemSource, split: string, count: number) =>
    problemsFrom(source, {
      ...{ split, limit: count, seed, directory, fields, answerIndex },
      listener,
      signal: filled.signal,
    });
  const { objective, label, constraints, beta } = filled;
  const methods = alignMethods({ objective, constraints, beta, options: filled.options, labels: label });
  const joint = objective === "aft" && label === "answer";
  const start = filled.start ?? (joint ? "base" : "vft"), fromBase = start === "base";
  if (fromBase) { for (const { objective } of methods) checkFromBase(objective); }
  const { signal: _, configuration: __, world = alone, ...plain } = filled;
  return {
    ...rest,
    limit,
    testLimit,
    seed,
    model,
    start,
    beta,
    methods,
    trainTurns: filled.trainTurns,
    stop: filled.stop,
    signal: filled.signal,
    world,
    lora: lora === undefined ? undefined : typeof lora === "string" ? parseLora(lora) : checkLora(lora),
    alignEpochs: filled.alignEpochs ?? (fromBase ? filled.epochs : 3),
    alignLearningRate: filled.alignLearningRate ?? filled.learningRate / (fromBase ? 1 : 10),
    prompt: filled.prompt ?? {},
    configuration: filled.configuration ??
      { options: JSON.parse(JSON.stringify({ ...plain, model })) },
    train: sourceOf(data, "train", limit),
    test: sourceOf(testData, "test", testLimit),
    sources: [model, data, testData, evaluation?.data].filter((source) => typeof source === "string"),
    evaluation,
    evaluationProblems: evaluation?.data === undefined
      ? undefined
      : sourceOf(evaluation.data, "test", evaluation.limit ?? Infinity),
    logEvery: (epochs) =>
      filled.logEvery ?? Math.max(1, Math.round(Math.ceil(limit / filled.batchSize) * epochs / LINES)),
    dataName: typeof data === "string" ? data : "problems of a function",
  };
}
