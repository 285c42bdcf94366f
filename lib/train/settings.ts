import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import type { PromptOptions } from "../data/prompts.ts";
import { checkPrompt } from "../data/template_options.ts";
import type { FloatDtype } from "../checkpoint/safetensors.ts";
import type { ResolvedOptions } from "../objectives/_options.ts";
import type { Constraint, Objective } from "../objectives/objective.ts";
import { findObjective, resolveObjective } from "../objectives/objectives.ts";
import type { TrainTurns } from "../data/train_turns.ts";
import { checkNumbers, type NumberLimits } from "../runtime/check_numbers.ts";
import { UsageError } from "../runtime/errors.ts";
import type { Watched } from "../runtime/listener.ts";
import { alone, type World } from "../runtime/world.ts";
import { checkEvaluation, type EvaluationOptions, metricOf } from "./evaluation_options.ts";
import type { OptimizerOptions } from "./optimizer.ts";
import type { Decay, Schedule } from "./schedule.ts";
import type { LossOptions, StepOptions } from "./step.ts";

/** Settings of a training run. */
export interface TrainOptions extends Watched {
  /** Name of the objective, a sum ("dpo-norm:1,aft:0.5", or of `combine`), or one of the caller's own (default "aft"). */
  readonly objective?: string | Objective;
  /** What keeps worse candidates from falling without end (default: the objective's own). */
  readonly constraint?: Constraint | undefined;
  /** Options of the objective by the names that it declares: `{ beta: 0.2 }`. */
  readonly options?: Readonly<Record<string, number>> | undefined;
  /** Passes over the data (default 3). */
  readonly epochs?: number;
  /** Optimizer steps, in place of `epochs`. */
  readonly steps?: number | undefined;
  /** Highest learning rate (default 2e-5, for a model of billions of parameters; small ones take 1e-4 to 1e-3). */
  readonly learningRate?: number;
  /** Share of the steps that the learning rate rises in (default 0.05). */
  readonly warmup?: number;
  /** Default cosine. */
  readonly decay?: Decay;
  /** Questions an optimizer step (default 8). */
  readonly batchSize?: number;
  /** Default 0. */
  readonly weightDecay?: number;
  /** Largest gradient norm (default 1). */
  readonly clip?: number;
  /** Decay of AdamW's first moment (default 0.9). */
  readonly beta1?: number;
  /** Decay of AdamW's second moment (default 0.999). */
  readonly beta2?: number;
  /** Source of every random choice (default 0). */
  readonly seed?: number;
  /** Rows computed at once (default 4,096): memory against launches, not the result. */
  readonly microBatchTokens?: number;
  /**
   * Keep only each layer's input and compute the rest again: a third more work, a fraction of the memory (default: on the
   * CPU as many layers as do not fit the memory that is left, on a GPU none). Results are the same.
   */
  readonly recompute?: boolean | undefined;
  /** Steps between metrics (default 10). */
  readonly logEvery?: number;
  /** Steps between checkpoints (default 100; 0 for none). Only with `out`. */
  readonly saveEvery?: number;
  /** Checkpoints that are kept, also when the run is done (default: two while it runs, none of them afterwards). */
  readonly keepLast?: number | undefined;
  /** What is measured on the side, and what is done with it. */
  readonly evaluation?: EvaluationOptions | undefined;
  /** Whether TensorBoard's events are written beside the metrics: events.out.tfevents.aft (default false). */
  readonly tensorboard?: boolean | undefined;
  /** Run directory: metrics, checkpoints and, at the end, the model. Without it nothing is written. */
  readonly out?: string;
  /** Kind of the weights in `out` (default: each as it was read). An adapter's are F32. */
  readonly dtype?: FloatDtype | undefined;
  /** Go on from the newest checkpoint in `out`. */
  readonly resume?: boolean | undefined;
  /** Replace what is in `out`. */
  readonly overwrite?: boolean;
  /** What run.json keeps (default: these options). */
  readonly configuration?: unknown;
  /** What to do with a question that exceeds the model's context (default "skip": counted and reported). */
  readonly tooLong?: "skip" | "refuse";
  /** How prompts are made. */
  readonly prompt?: PromptOptions;
  /**
   * Which answers of a conversation are trained on, by the objective that trains on references (vft): all of the
   * assistant's (default), or the last. Others compare candidates, which answer the last question.
   */
  readonly trainTurns?: TrainTurns | undefined;
  /**
   * The processes that train together (default: this one alone), each with the same model, records and options: a batch
   * is shared out over them, and its result is that of one process. `openWorld` gives it; rank 0 writes.
   */
  readonly world?: World | undefined;
}

const names: NamesOf<TrainOptions> = {
  objective: true,
  constraint: true,
  options: true,
  epochs: true,
  steps: true,
  learningRate: true,
  warmup: true,
  decay: true,
  batchSize: true,
  weightDecay: true,
  clip: true,
  beta1: true,
  beta2: true,
  seed: true,
  microBatchTokens: true,
  recompute: true,
  logEvery: true,
  saveEvery: true,
  keepLast: true,
  tensorboard: true,
  evaluation: true,
  out: true,
  dtype: true,
  resume: true,
  overwrite: true,
  configuration: true,
  tooLong: true,
  prompt: true,
  trainTurns: true,
  world: true,
  listener: true,
  signal: true,
};

/** Options with their defaults filled in, in the shape in which the trainer uses them. */
export interface TrainSettings extends Omit<TrainOptions, "objective"> {
  readonly objective: Objective;
  readonly epochs: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly logEvery: number;
  readonly saveEvery: number;
  readonly tooLong: "skip" | "refuse";
  readonly world: World;
  readonly optimizer: OptimizerOptions;
  readonly loss: LossOptions;
  readonly compute: Pick<StepOptions, "microBatchTokens" | "keep">;
  readonly schedule: Pick<Schedule, "learningRate" | "decay"> & { readonly warmup: number };
}

/** Fills in defaults; throws UsageError for an unknown name or a number that has no meaning. */
export function resolveSettings(options: TrainOptions): TrainSettings {
  checkNumbers(options, limits, "Training option");
  const objective = findObjective(options.objective ?? "aft");
  for (const name of Object.keys(objective.options)) {
    // What a training has too (`clip`) is meant for the training where it stands beside its options.
    if (name in limits || (options as Readonly<Record<string, unknown>>)[name] === undefined) continue;
    throw new UsageError(
      `Cannot use ${name} beside the options of a training: it is one of ${objective.name}'s and goes into its options, { ${name}: … }`,
    );
  }
  checkNames(options, names, { of: "train" });
  checkPrompt(options.prompt, "train");
  checkTurns(options.trainTurns, objective);
  if ("constraint" in (options.options ?? {})) {
    throw new UsageError("Cannot use constraint in the options of an objective: it stands beside them");
  }
  if (options.evaluation) checkEvaluation(options.evaluation, options.out);
  if (options.keepLast !== undefined && options.saveEvery === 0) {
    throw new UsageError("Cannot use option `keepLast` with option `saveEvery: 0`: there are no checkpoints");
  }
  const objectiveOptions = resolveObjective(objective, {
    ...options.options,
    constraint: options.constraint ?? objective.trainingConstraint,
  });
  const optimizer: OptimizerOptions = {
    beta1: options.beta1 ?? 0.9,
    beta2: options.beta2 ?? 0.999,
    epsilon: 1e-8,
    weightDecay: options.weightDecay ?? 0,
    clip: options.clip ?? 1,
  };
  return {
    ...options,
    objective,
    epochs: options.epochs ?? 3,
    batchSize: options.batchSize ?? 8,
    seed: options.seed ?? 0,
    logEvery: options.logEvery ?? 10,
    saveEvery: options.saveEvery ?? 100,
    tooLong: options.tooLong ?? "skip" as const,
    world: options.world ?? alone,
    optimizer,
    loss: {
      objective,
      objectiveOptions,
    },
    compute: {
      microBatchTokens: options.microBatchTokens ?? 4096,
      keep: options.recompute ? "inputs" as const : "what fits" as const,
    },
    schedule: {
      learningRate: options.learningRate ?? 2e-5,
      decay: options.decay ?? "cosine" as const,
      warmup: options.warmup ?? 0.05,
    },
  };
}

/** Which turns is a question only where references alone are trained on. */
function checkTurns(turns: unknown, { name, trainsOn }: Objective): void {
  if (turns === undefined) return;
  if (turns !== "all" && turns !== "last") {
    throw new UsageError(
      `Cannot use option \`trainTurns\`: it must be all or last: got ${
        JSON.stringify(turns) ?? typeof turns
      }`,
    );
  }
  if (turns === "all" && trainsOn !== "reference") {
    throw new UsageError(
      `Cannot use option \`trainTurns: all\` with ${name}: its candidates answer the last question of a conversation`,
    );
  }
}

/** What each number must be. A batch of 0 questions, for instance, would never come to an end. */
const limits = {
  epochs: "count",
  steps: "count",
  batchSize: "count",
  microBatchTokens: "count",
  logEvery: "count",
  saveEvery: "count or 0",
  keepLast: "count",
  learningRate: "positive",
  clip: "positive",
  warmup: "share",
  beta1: "share",
  beta2: "share",
  weightDecay: "positive or 0",
  seed: "number",
} as const satisfies NumberLimits;

/**
 * What decides the path of a training besides its records: a run can only be resumed with the same. How it is computed
 * (micro-batches, what is kept) and what is written may change.
 */
export function pathOf(settings: TrainSettings, steps: number): Record<string, unknown> {
  const { objective, batchSize, seed, optimizer, schedule, evaluation, loss: { objectiveOptions } } =
    settings;
  const { epsilon: _, ...adamw } = optimizer;
  return {
    objective: objective.name,
    steps,
    batchSize,
    seed,
    ...schedule,
    ...adamw,
    ...prefixed("objective", objectiveOptions),
    ...(evaluation && prefixed("evaluation", evaluated(evaluation))),
  };
}

/** DPO's beta is not AdamW's. */
function prefixed(of: string, options: ResolvedOptions | Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [`${of}.${name}`, value]));
}

/** What of an evaluation decides which records are trained on, when a training ends and which model it gives. */
function evaluated(options: EvaluationOptions): Record<string, unknown> {
  const { share, seed, every, keepBest, patience, answers } = options;
  const metric = patience === undefined ? undefined : metricOf(options);
  const decisive = { share, seed, every, keepBest, patience, metric, questions: answers?.questions };
  return Object.fromEntries(Object.entries(decisive).filter(([, value]) => value !== undefined));
}

/** Options as JSON keeps them: an evaluation set is only mentioned, questions by their number. */
export function plainSettings(options: TrainOptions): unknown {
  const { listener: _, signal: __, world: ____, evaluation, ...kept } = options;
  if (!evaluation) return JSON.parse(JSON.stringify(kept));
  const { data, answers, heard: ___, ...plainly } = evaluation;
  const shown = {
    ...plainly,
    ...(data !== undefined && { data: "records" }),
    ...(answers && { answers: answers.questions }),
  };
  return JSON.parse(JSON.stringify({ ...kept, evaluation: shown }));
}
