/** What `vft` and `ca-align` share: their options and the loop that shows progress. */

import type { Group, Problem } from "../../lib/data/records.ts";
import type { BackendChoice } from "../../lib/backend/backend.ts";
import { isAdapterDirectory } from "../../lib/checkpoint/adapter_config.ts";
import { parseLora } from "../../lib/checkpoint/lora.ts";
import type { BaseDtype } from "../../lib/checkpoint/stored_bytes.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import { refuseFrozen } from "../../lib/model/refuse_frozen.ts";
import type { Model } from "../../lib/model/model.ts";
import type { FloatDtype } from "../../lib/checkpoint/safetensors.ts";
import type { EvaluationLine } from "../../lib/train/evaluation_figures.ts";
import type { Metrics } from "../../lib/train/metrics.ts";
import { train, type TrainOptions } from "../../lib/train/trainer.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import { isDirectory } from "../../lib/runtime/files.ts";
import { resolve } from "node:path";
import { ClosedOutputError } from "../../lib/runtime/stdio.ts";
import type { TaskIo } from "./run_task.ts";
import { evaluationOptions } from "./evaluating.ts";
import { memoryCheck } from "../../lib/model/needs.ts";
import { choice, integer, number, preset, required } from "./option.ts";
import { pick, shared } from "./shared_options.ts";

/** Options of a task that trains. */
export const trainingOptions = {
  ...pick("epochs", "steps", "learningRate", "batchSize", "seed", "backend", "limit", "resume", "overwrite"),
  model: required(shared.model),
  ...pick("adapter", "baseDtype", "unknownTensors", "lora"),
  out: required(shared.out),
  dtype: choice("--dtype", {
    choices: ["F32", "F16", "BF16"],
    help: "Kind of the weights that are written; default: each as it was read",
  }),
  warmup: preset(
    number("--warmup", { min: 0, max: 1, help: "Share of the steps that the learning rate rises in" }),
    0.05,
  ),
  decay: preset(
    choice("--decay", { choices: ["cosine", "linear", "constant"], help: "How the learning rate falls" }),
    "cosine",
  ),
  weightDecay: preset(number("--weight-decay", { min: 0, help: "Decoupled weight decay of matrices" }), 0),
  clip: preset(number("--clip", { above: 0, help: "Largest global gradient norm" }), 1),
  ...pick("microBatch", "recompute"),
  logEvery: preset(integer("--log-every", { help: "Steps between two lines of metrics" }), 10),
  saveEvery: preset(
    integer("--save-every", { min: 0, help: "Steps between two checkpoints; 0 for none" }),
    100,
  ),
  keepLast: integer("--keep-last", {
    help: "Checkpoints to keep, also when the run is done; default: two, and none when it is",
  }),
  ...pick("tensorboard"),
  ...evaluationOptions,
  tooLong: preset(
    choice("--too-long", {
      choices: ["skip", "refuse"],
      help: "What to do with texts longer than the context",
    }),
    "skip",
  ),
} as const;

/** The values of {@linkcode trainingOptions} that the trainer takes. */
export function trainerOptions(
  options: {
    readonly epochs: number;
    readonly steps?: number | undefined;
    readonly learningRate: number;
    readonly batchSize: number;
    readonly seed: number;
    readonly warmup: number;
    readonly decay: "cosine" | "linear" | "constant";
    readonly weightDecay: number;
    readonly clip: number;
    readonly microBatch: number;
    readonly recompute: boolean;
    readonly logEvery: number;
    readonly saveEvery: number;
    readonly keepLast?: number | undefined;
    readonly tensorboard: boolean;
    readonly tooLong: "skip" | "refuse";
    readonly out: string;
    readonly dtype?: FloatDtype | undefined;
    readonly resume: boolean;
    readonly overwrite: boolean;
  },
): TrainOptions {
  const { epochs, steps, learningRate, batchSize, seed, warmup, decay, weightDecay, clip } = options;
  const { recompute, logEvery, saveEvery, keepLast, tensorboard, tooLong, out, dtype, resume, overwrite } =
    options;
  return {
    ...{ epochs, steps, learningRate, batchSize, seed, warmup, decay, weightDecay, clip },
    ...{ recompute, logEvery, saveEvery, keepLast, tensorboard, tooLong, out, dtype, resume, overwrite },
    microBatchTokens: options.microBatch,
  };
}

/** Loads the model to train, with the adapter that the options ask for. */
export async function openTrainee(
  options: {
    readonly model: string;
    readonly adapter?: string | undefined;
    readonly lora?: string | undefined;
    readonly backend: BackendChoice;
    readonly seed: number;
    readonly baseDtype: BaseDtype;
    readonly microBatch: number;
    readonly recompute: boolean;
    readonly unknownTensors: "refuse" | "keep";
  },
  io: Pick<TaskIo, "listener" | "signal">,
): Promise<Model> {
  const { model, adapter, backend, seed, baseDtype } = options;
  const lora = options.lora === undefined ? undefined : parseLora(options.lora);
  const frozen = (carriesAdapter: boolean) => refuseFrozen(baseDtype, carriesAdapter);
  // Of a name on the hub only the download tells whether it is an adapter.
  if (await isDirectory(model)) frozen(!!lora || adapter !== undefined || await isAdapterDirectory(model));
  const fits = memoryCheck("train", options);
  return await loadModel(model, {
    backend,
    adapter,
    lora,
    seed,
    baseDtype,
    check(config, found, device) {
      frozen(found !== undefined);
      fits(config, found, device);
    },
    unknown: options.unknownTensors,
    listener: io.listener,
    signal: io.signal,
  });
}

/** Trains, with a bar on standard error and metrics on standard output. */
export async function runTraining(
  model: Model,
  records: AsyncIterable<Group | Problem>,
  options: TrainOptions & { readonly io: TaskIo },
): Promise<void> {
  const { io, evaluation, ...settings } = options;
  const { out } = settings;
  if (out !== undefined && model.sources.some((source) => resolve(out) === resolve(source))) {
    throw new UsageError(
      `Cannot write ${settings.out}: it is the model that is being trained; choose another --out`,
    );
  }
  let begun = false, isRead = true;
  const write = async (line: Metrics | EvaluationLine) => {
    if (!isRead) return;
    try {
      // What came behind the checkpoint that is taken up is computed again.
      if (!begun) await io.output.keepWhile(({ step }) => Number(step) < line.step);
      begun = true;
      await io.output.writeRecord(line);
    } catch (error) {
      if (!(error instanceof ClosedOutputError)) throw error;
      isRead = false;
      io.listener.note(
        `Nobody reads the metrics any more: the training goes on, and they are in ${out}/metrics.jsonl`,
      );
    }
  };
  const metrics = train(model, records, {
    ...settings,
    ...(evaluation && { evaluation: { ...evaluation, heard: write } }),
    configuration: io.configuration,
    listener: io.listener,
    signal: io.signal,
    world: io.world,
  });
  for await (const line of metrics) await write(line);
  io.listener.note(`Wrote ${settings.out}`);
}
