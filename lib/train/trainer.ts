import type * as tf from "@tensorflow/tfjs";
import { allocatedBytes, read, trimPool } from "../backend/tensors.ts";
import type { PromptOptions } from "../data/prompts.ts";
import { Random } from "../data/random.ts";
import type { Group, Problem } from "../data/records.ts";
import type { Model } from "../model/model.ts";
import type { ObjectiveOptions } from "../objectives/objective.ts";
import { objectives, objectiveTraits } from "../objectives/objectives.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import { watchHealth } from "./health.ts";
import { batchStatistics, type Metrics } from "./metrics.ts";
import { Optimizer, type OptimizerOptions } from "./optimizer.ts";
import { RecordStore } from "./record_store.ts";
import { RunDirectory } from "./run_directory.ts";
import { type Decay, learningRateAt } from "./schedule.ts";
import { accumulateGradients, type StepReport, type TrainingGroup } from "./step.ts";
import { encodeGroup } from "./training_group.ts";

/** Settings of a training run. */
export interface TrainOptions extends ObjectiveOptions {
  /** Name of the objective (default "aft"). */
  readonly objective?: string;
  /** Passes over the data (default 3). */
  readonly epochs?: number;
  /** Optimizer steps, in place of `epochs`. */
  readonly steps?: number;
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
  readonly beta1?: number;
  readonly beta2?: number;
  /** Source of every random choice (default 0). */
  readonly seed?: number;
  /** Rows computed at once (default 4,096): memory against launches, not the result. */
  readonly microBatchTokens?: number;
  /** Keep only each layer's input and compute the rest again: a third more work, a fraction of the memory. */
  readonly recompute?: boolean;
  /** Steps between metrics (default 10). */
  readonly logEvery?: number;
  /** Steps between checkpoints (default 100; 0 for none). Only with `out`. */
  readonly saveEvery?: number;
  /** Run directory: metrics, checkpoints and, at the end, the model. Without it nothing is written. */
  readonly out?: string;
  /** Go on from the newest checkpoint in `out`. */
  readonly resume?: boolean;
  /** Replace what is in `out`. */
  readonly overwrite?: boolean;
  /** What run.json keeps (default: these options). */
  readonly configuration?: unknown;
  /** What to do with a question that exceeds the model's context (default "skip": counted and reported). */
  readonly tooLong?: "skip" | "refuse";
  readonly prompt?: PromptOptions;
  /** Told of anything a person should know. */
  readonly warn?: (line: string) => void;
  /** Told of every step, for a progress bar. */
  readonly onStep?: (done: number, total: number, tokens: number, loss?: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Trains a model in place, and yields a line of metrics every `logEvery` steps.
 *
 * All records are read before the first step (they are kept in a temporary file), so that a malformed one is found
 * before any work, the number of steps is known and each epoch has an order of its own.
 *
 * @param records problems with references (vft), or groups with what the objective needs
 */
export async function* train(
  model: Model,
  records: AsyncIterable<Group | Problem> | Iterable<Group | Problem>,
  options: TrainOptions = {},
): AsyncGenerator<Metrics> {
  const settings = resolve(options);
  const { warn = () => {}, signal, batchSize, saveEvery, out } = settings;
  await using store = await RecordStore.from(records);
  if (store.size === 0) throw new InputError("Cannot train: the input has no records");
  const batches = Math.ceil(store.size / batchSize);
  const steps = settings.steps ?? batches * settings.epochs;
  await using directory = out === undefined ? undefined : await RunDirectory.open(out, {
    configuration: settings.configuration ?? plain(options),
    resume: settings.resume,
    overwrite: settings.overwrite,
  });
  const optimizer = new Optimizer(model.decoder, settings.optimizer);
  try {
    const identity = { count: store.size, digest: store.digest };
    let step = 0;
    if (settings.resume && directory) {
      const state = await directory.restore(optimizer);
      if (state && (state.records.count !== identity.count || state.records.digest !== identity.digest)) {
        throw new UsageError(
          `Cannot resume ${out}: it was trained on ${state.records.count} other records; the input has ${identity.count}`,
        );
      }
      step = state?.step ?? 0;
    }
    const log = new Log(settings, steps, batches), signsOfTrouble = watchHealth();
    let skipped = 0, order: number[] = [], orderOf = -1;
    while (step < steps) {
      signal?.throwIfAborted();
      const epoch = Math.floor(step / batches), at = step % batches;
      if (epoch !== orderOf) {
        order = new Random(settings.seed, { stream: `epoch-${epoch}` }).shuffle(
          Array.from({ length: store.size }, (_, i) => i),
        );
        orderOf = epoch;
      }
      const groups: TrainingGroup[] = [];
      for (const index of order.slice(at * batchSize, (at + 1) * batchSize)) {
        const record = await store.get(index);
        const { group, tooLong } = encodeGroup(model, record, settings);
        if (tooLong > 0 && settings.tooLong === "refuse") {
          throw new InputError(
            `Cannot train on "${record.id}": prompt and response exceed the context of ${model.config.maxPositions} tokens`,
          );
        }
        if (epoch === 0) skipped += tooLong;
        if (group) groups.push(group);
      }
      step++;
      const report = groups.length > 0
        ? await accumulateGradients(model.decoder, groups, {
          ...settings.loss,
          ...settings.compute,
          report: log.due(step),
          gradients: optimizer.gradients,
        })
        : undefined;
      if (report) {
        const { warmup, ...schedule } = settings.schedule;
        const rate = learningRateAt(step - 1, {
          ...schedule,
          totalSteps: steps,
          warmupSteps: Math.ceil(warmup * steps),
        });
        const squares = optimizer.update(rate);
        const metrics = await log.step(step, report, squares, rate);
        squares.dispose();
        if (metrics) {
          await directory?.log(metrics);
          signsOfTrouble(metrics).forEach(warn);
          yield metrics;
        }
      }
      settings.onStep?.(step, steps, report?.responseTokens ?? 0, report?.loss);
      trimWhenIdle();
      if (directory && saveEvery > 0 && step % saveEvery === 0 && step < steps) {
        await directory.save(optimizer, { step, steps, records: identity });
      }
      if (epoch === 0 && at === batches - 1 && skipped > 0) {
        warn(
          `${skipped} responses were left out: with their prompts they exceed the context of ${model.config.maxPositions} tokens`,
        );
        if (log.trained === 0) throw new InputError("Cannot train: every record exceeds the model's context");
      }
    }
    if (directory && out) {
      await model.saveInto(out);
      await directory.removeCheckpoints();
    }
  } finally {
    optimizer.dispose();
  }
}

/** A pool that holds three times what is in use has buffers of sizes that are gone. */
function trimWhenIdle(): void {
  const { used, held } = allocatedBytes();
  if (held > 256 * 2 ** 20 && held > 3 * used) trimPool();
}

/** Decides which steps are logged and makes their lines. */
class Log {
  trained = 0;
  #tokens = 0;
  #since = performance.now();

  constructor(
    readonly settings: ReturnType<typeof resolve>,
    readonly steps: number,
    readonly batches: number,
  ) {}

  due(step: number): boolean {
    return step === 1 || step % this.settings.logEvery === 0 || step === this.steps;
  }

  async step(
    step: number,
    report: StepReport,
    squares: tf.Tensor,
    rate: number,
  ): Promise<Metrics | undefined> {
    this.trained++;
    this.#tokens += report.responseTokens;
    if (!this.due(step)) return undefined;
    const norm = Math.sqrt((await read(squares))[0]), now = performance.now();
    if (!Number.isFinite(norm)) {
      throw new InputError(
        `Cannot go on: the gradient norm of step ${step} is ${norm}; a lower --learning-rate may help`,
      );
    }
    const speed = this.#tokens / ((now - this.#since) / 1000);
    this.#tokens = 0;
    this.#since = now;
    const { beta, boundary } = this.settings.loss.objectiveOptions;
    return {
      step,
      steps: this.steps,
      epoch: round(step / this.batches),
      loss: report.loss!,
      ...batchStatistics(report, (this.settings.objective.startsWith("aft") ? beta : boundary) ?? 0.2),
      gradient_norm: norm,
      learning_rate: rate,
      tokens_per_second: Math.round(speed),
      allocated_bytes: allocatedBytes().used,
    };
  }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function plain(options: TrainOptions): unknown {
  return JSON.parse(JSON.stringify(options));
}

/** Fills in defaults and checks names. */
function resolve(options: TrainOptions) {
  const { objective = "aft", constraint, beta, boundary, gamma, lambda, weight, sftWeight } = options;
  if (!Object.hasOwn(objectives, objective)) {
    throw new UsageError(
      `Objective must be one of ${Object.keys(objectives).join(", ")}: got "${objective}"`,
    );
  }
  const traits = objectiveTraits[objective];
  const given = { beta, boundary, gamma, lambda, weight, sftWeight };
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const objectiveOptions: ObjectiveOptions = {
    ...traits.defaults,
    ...set,
    constraint: constraint ?? traits.trainingConstraint,
  };
  if (traits.constraints.length > 0 && !traits.constraints.includes(objectiveOptions.constraint!)) {
    throw new UsageError(
      `Constraint of ${objective} must be one of ${
        traits.constraints.join(", ")
      }: got "${objectiveOptions.constraint}"`,
    );
  }
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
    traits,
    epochs: options.epochs ?? 3,
    batchSize: options.batchSize ?? 8,
    seed: options.seed ?? 0,
    logEvery: options.logEvery ?? 10,
    saveEvery: options.saveEvery ?? 100,
    tooLong: options.tooLong ?? "skip" as const,
    optimizer,
    loss: {
      objective: objectives[objective],
      objectiveOptions,
      tokenAveraged: objective === "vft" || objective === "rft",
      vftWeight: traits.addsVft ? 1 : 0,
    },
    compute: {
      microBatchTokens: options.microBatchTokens ?? 4096,
      keep: options.recompute ? "inputs" as const : "products" as const,
    },
    schedule: {
      learningRate: options.learningRate ?? 2e-5,
      decay: options.decay ?? "cosine" as const,
      warmup: options.warmup ?? 0.05,
    },
  };
}
