import type { Tensor } from "../backend/device.ts";
import { join } from "node:path";
import { assign, read, upload } from "../backend/tensors.ts";
import { isAdapterDirectory, readAdapterConfig } from "../checkpoint/adapter_config.ts";
import { readAdapter } from "../checkpoint/read_adapter.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { modelFileNames } from "../checkpoint/model_file_names.ts";
import { type Decoder, parameter } from "../model/state.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../checkpoint/safetensors.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import {
  type AppendFile,
  exists,
  makeDirectory,
  openAppend,
  readJson,
  readText,
  remove,
  removeTemporaries,
  writeJson,
  writeText,
} from "../runtime/files.ts";
import { isFilled, takeFolder } from "../runtime/owned_files.ts";
import { lockFolder } from "../runtime/run_lock.ts";
import { writeDirectoryAtomic } from "../runtime/write_directory.ts";
import { checkpointFolder, checkpointSteps, tidyFinished } from "./checkpoint_folders.ts";
import { type EvaluationLine, isEvaluationLine } from "./evaluation_figures.ts";
import type { Metrics } from "./metrics.ts";
import { type RunRecord, writeRecord } from "./run_record.ts";
import { readState, type RunState } from "./run_state.ts";
import type { Optimizer } from "./optimizer.ts";
import { EventFile } from "./tensorboard.ts";

/** How to open a run directory. */
export interface RunDirectoryOptions {
  /** What run.json keeps. */
  readonly record: RunRecord;
  readonly resume?: boolean | undefined;
  readonly overwrite?: boolean | undefined;
  /** Checkpoints that stay, also at the end (default: two, and none at the end). */
  readonly keepLast?: number | undefined;
  /** Whether TensorBoard's events are written beside metrics.jsonl (default false). */
  readonly tensorboard?: boolean | undefined;
}

/** Writes the files of the model as it is into a folder. */
export type WriteModel = (folder: string) => Promise<void>;

/** Checkpoints that are kept while nothing else is asked for: one may turn out to be damaged. */
const KEPT = 2;

/**
 * A run's folder: run.json (what was asked for), metrics.jsonl, TensorBoard's events where they are asked for,
 * checkpoints/step-N, and at the end the model's own files. A checkpoint is a model directory with state.safetensors
 * (parameters in F32, moments) and state.json beside the model's files; checkpoints/best-N is one without state. Each is
 * written under a temporary name and renamed, so a killed run leaves a whole one.
 */
export class RunDirectory implements AsyncDisposable {
  #metrics?: AppendFile;
  readonly #events: EventFile;
  /** The last step's line of metrics.jsonl, once the run is restored. */
  lastMetrics: Metrics | undefined;

  private constructor(
    readonly path: string,
    readonly lock: AsyncDisposable,
    readonly options: RunDirectoryOptions,
  ) {
    this.#events = new EventFile(path);
  }

  /** Makes the folder, or opens it again to resume. Throws UsageError when it exists and neither option was given. */
  static async open(path: string, options: RunDirectoryOptions): Promise<RunDirectory> {
    const there = await exists(path);
    if (options.resume) {
      if (!there) throw new UsageError(`Cannot resume ${path}: no such run directory`);
      if (!await exists(join(path, "run.json"))) {
        throw new UsageError(`Cannot resume ${path}: it has no run.json, so it is no run directory`);
      }
      const run = new RunDirectory(path, await lockFolder(path), options);
      await removeTemporaries(path);
      return run;
    }
    const overwrite = options.overwrite ?? false;
    const lock = await takeFolder(path, { owned: modelFileNames, overwrite });
    const run = new RunDirectory(path, lock, options);
    try {
      if (!overwrite && await isFilled(path)) {
        throw new UsageError(
          `Cannot write ${path}: it already exists; use option \`overwrite\`, option \`resume\` or another option \`out\``,
        );
      }
      await removeTemporaries(path);
      await writeRecord(path, options.record);
      return run;
    } catch (error) {
      await run[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Adds a line to metrics.jsonl. */
  async log(metrics: Metrics | EvaluationLine): Promise<void> {
    this.#metrics ??= await openAppend(join(this.path, "metrics.jsonl"));
    await this.#metrics.write(`${JSON.stringify(metrics)}\n`);
    if (this.options.tensorboard) await this.#events.add(metrics);
  }

  /** Steps of the checkpoints that are there, ascending. */
  async #steps(kind: "step" | "best" = "step"): Promise<number[]> {
    return await checkpointSteps(this.path, kind);
  }

  /** Writes a checkpoint and removes all but the newest. */
  async save(optimizer: Optimizer, state: RunState, writeModel: WriteModel): Promise<void> {
    await makeDirectory(join(this.path, "checkpoints"));
    await writeDirectoryAtomic(
      checkpointFolder(this.path, state.step),
      async (temporary) => {
        await writeModel(temporary);
        await writeSafetensors(join(temporary, "state.safetensors"), tensorsOf(optimizer));
        await writeJson(join(temporary, "state.json"), { ...state, updates: optimizer.updates });
      },
      { overwrite: true },
    );
    const kept = this.options.keepLast ?? KEPT;
    for (const step of (await this.#steps()).slice(0, -kept)) await remove(checkpointFolder(this.path, step));
  }

  /**
   * Writes the best model so far. The one before goes, unless a checkpoint counts on it: a run that is resumed from there
   * may find another one the best.
   */
  async saveBest(step: number, writeModel: WriteModel): Promise<void> {
    await makeDirectory(join(this.path, "checkpoints"));
    await writeDirectoryAtomic(checkpointFolder(this.path, step, "best"), writeModel, { overwrite: true });
    const counted = new Set<number | undefined>([step]);
    for (const saved of await this.#steps()) {
      const file = join(checkpointFolder(this.path, saved), "state.json");
      const state = await readJson(file) as Partial<RunState> | null;
      counted.add(state?.best?.step);
    }
    for (const other of await this.#steps("best")) {
      if (!counted.has(other)) await remove(checkpointFolder(this.path, other, "best"));
    }
  }

  /** Puts the parameters of the best model, that of a step, in place. */
  async restoreBest(decoder: Decoder, step: number): Promise<void> {
    await this.#restoreModel(decoder, checkpointFolder(this.path, step, "best"));
  }

  /** Whether the run came to its end: its model is written, the file that makes it one last. */
  async isFinished(): Promise<boolean> {
    return await exists(join(this.path, "config.json")) || await isAdapterDirectory(this.path);
  }

  /** Puts the parameters of the finished run's model, or of its adapter, in place. */
  async restoreFinished(decoder: Decoder): Promise<void> {
    await this.#restoreModel(decoder, this.path);
  }

  async #restoreModel(decoder: Decoder, directory: string): Promise<void> {
    if (decoder.adapter) {
      const files = await readAdapterConfig(directory);
      const { values } = await readAdapter(files, { config: decoder.config, directory: files.base });
      for (const [name, numbers] of values) {
        const target = parameter(decoder, name);
        assign(target, upload(target.device, numbers, target.shape));
      }
      return;
    }
    await using checkpoint = await openCheckpoint(directory);
    for (const entry of checkpoint.plan) {
      const target = parameter(decoder, entry.name);
      assign(target, upload(target.device, await checkpoint.readParameter(entry), entry.shape));
    }
  }

  /**
   * Puts the newest checkpoint's tensors in place, and cuts metrics.jsonl and the events back to it. Undefined when there
   * is none.
   *
   * @param keepsBest whether the best model is kept: it must be there too
   * @param check throws when the state is of another run, before anything is changed
   */
  async restore(
    optimizer: Optimizer,
    { keepsBest, check }: { readonly keepsBest: boolean; readonly check: (state: RunState) => void },
  ): Promise<RunState | undefined> {
    const newest = (await this.#steps()).at(-1);
    if (newest === undefined) {
      await this.#cutMetrics(-1);
      return undefined;
    }
    const folder = checkpointFolder(this.path, newest);
    const state = readState(await readJson(join(folder, "state.json")), { folder, step: newest });
    check(state);
    const best = keepsBest && state.best ? checkpointFolder(this.path, state.best.step, "best") : undefined;
    if (best !== undefined && !await exists(best)) {
      throw new InputError(
        `Cannot resume from ${folder}: it counts on ${best}, the best model so far, which is not there`,
      );
    }
    await using source = await openSafetensors(join(folder, "state.safetensors"));
    for (const { name, tensor } of statefulTensors(optimizer)) {
      const shape = source.tensors.get(name)?.shape;
      if (shape?.join() !== tensor.shape.join()) {
        throw new InputError(
          `Cannot resume from ${folder}: tensor "${name}" must have shape ${tensor.shape.join("×")}: ` +
            `found ${shape ? shape.join("×") : "none"}; the run was started with another model`,
        );
      }
      const values = upload(tensor.device, await source.readFloats(name), tensor.shape);
      assign(tensor, values);
    }
    optimizer.updates = state.step;
    await this.#cutMetrics(state.step, { evaluated: !state.unevaluated });
    return state;
  }

  async #cutMetrics(step: number, { evaluated = true } = {}): Promise<void> {
    await this.#events.cut(step);
    const path = join(this.path, "metrics.jsonl");
    if (!await exists(path)) return;
    const kept = (await readText(path)).split("\n").filter((line) => {
      try {
        const value = JSON.parse(line);
        return value.step < step || value.step === step && (evaluated || !isEvaluationLine(value));
      } catch {
        return false; // the line that a kill cut short
      }
    });
    await writeText(path, kept.map((line) => `${line}\n`).join(""));
    const lines = kept.map((line): Metrics | EvaluationLine => JSON.parse(line));
    this.lastMetrics = lines.findLast((line): line is Metrics => !isEvaluationLine(line));
  }

  /** Removes the checkpoints but those to be kept: the run is done and its model written. */
  async removeCheckpoints(): Promise<void> {
    await tidyFinished(this.path, { keepSteps: this.options.keepLast !== undefined });
  }

  /** Closes metrics.jsonl and the events and lets others write. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#events.close();
    await this.#metrics?.close();
    await this.lock[Symbol.asyncDispose]();
  }
}

/** The tensors that a run goes on from: parameters and both moments of each. */
export function* statefulTensors(optimizer: Optimizer): Generator<{ name: string; tensor: Tensor }> {
  for (const [name, { m, v }] of optimizer.moments) {
    yield { name: `parameter.${name}`, tensor: parameter(optimizer.decoder, name) };
    yield { name: `m.${name}`, tensor: m };
    yield { name: `v.${name}`, tensor: v };
  }
}

function tensorsOf(optimizer: Optimizer): TensorToWrite[] {
  return [...statefulTensors(optimizer)].map(({ name, tensor }) => ({
    name,
    dtype: "F32",
    shape: tensor.shape,
    bytes: async () => {
      const values = await read(tensor);
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    },
  }));
}
