import type { Tensor } from "../backend/device.ts";
import { join } from "node:path";
import { assign, read, upload } from "../backend/tensors.ts";
import { isAdapterDirectory, readAdapter, readAdapterConfig } from "../checkpoint/adapter_files.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { type Decoder, parameter } from "../model/state.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../checkpoint/safetensors.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import {
  type AppendFile,
  exists,
  listDirectory,
  makeDirectory,
  openAppend,
  readJson,
  readText,
  remove,
  writeJson,
  writeText,
} from "../runtime/files.ts";
import { writeDirectoryAtomic } from "../runtime/write_directory.ts";
import type { EvaluationLine } from "./evaluation_figures.ts";
import type { Metrics } from "./metrics.ts";
import { EventFile } from "./tensorboard.ts";
import type { Optimizer } from "./optimizer.ts";
import { readState, type RunState } from "./run_state.ts";

export type { RunState };

/** How to open a run directory. */
export interface RunDirectoryOptions {
  /** Resolved configuration and versions, kept in run.json. */
  readonly configuration: unknown;
  readonly resume?: boolean;
  readonly overwrite?: boolean;
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
 * A run's folder: run.json (what was asked for), metrics.jsonl, TensorBoard's events where they are asked for, checkpoints/step-N, and at the end the model's own
 * files. A checkpoint is a model directory with state.safetensors (parameters in F32, moments) and state.json beside the
 * model's files; checkpoints/best-N is one without state. Each is written under a temporary name and renamed, so a killed
 * run leaves a whole one.
 */
export class RunDirectory implements AsyncDisposable {
  #metrics?: AppendFile;
  readonly #events: EventFile;

  private constructor(readonly path: string, readonly options: RunDirectoryOptions) {
    this.#events = new EventFile(path);
  }

  /** Makes the folder, or opens it again to resume. Throws UsageError when it exists and neither option was given. */
  static async open(path: string, options: RunDirectoryOptions): Promise<RunDirectory> {
    const run = new RunDirectory(path, options), there = await exists(path);
    if (options.resume) {
      if (!there) throw new UsageError(`Cannot resume ${path}: no such run directory`);
      if (!await exists(join(path, "run.json"))) {
        throw new UsageError(`Cannot resume ${path}: it has no run.json, so it is no run directory`);
      }
      return run;
    }
    if (there && (await listDirectory(path)).length > 0) {
      if (!options.overwrite) {
        throw new UsageError(
          `Cannot write ${path}: it already exists; use option \`overwrite\`, option \`resume\` or another option \`out\``,
        );
      }
      await remove(path);
    }
    await makeDirectory(path);
    await writeJson(join(path, "run.json"), options.configuration);
    return run;
  }

  /** Adds a line to metrics.jsonl. */
  async log(metrics: Metrics | EvaluationLine): Promise<void> {
    this.#metrics ??= await openAppend(join(this.path, "metrics.jsonl"));
    await this.#metrics.write(`${JSON.stringify(metrics)}\n`);
    if (this.options.tensorboard) await this.#events.add(metrics);
  }

  /** Steps of the checkpoints that are there, ascending. */
  async #steps(kind: "step" | "best" = "step"): Promise<number[]> {
    const folder = join(this.path, "checkpoints");
    if (!await exists(folder)) return [];
    const own = new RegExp(`^${kind}-(\\d+)$`);
    return (await listDirectory(folder)).map((n) => n.match(own)?.[1]).filter((n) => n !== undefined)
      .map(Number).sort((a, b) => a - b);
  }

  /** Writes a checkpoint and removes all but the newest. */
  async save(optimizer: Optimizer, state: RunState, writeModel: WriteModel): Promise<void> {
    await makeDirectory(join(this.path, "checkpoints"));
    await writeDirectoryAtomic(
      this.#checkpoint(state.step),
      async (temporary) => {
        await writeModel(temporary);
        await writeSafetensors(join(temporary, "state.safetensors"), tensorsOf(optimizer));
        await writeJson(join(temporary, "state.json"), { ...state, updates: optimizer.updates });
      },
      { overwrite: true },
    );
    const kept = this.options.keepLast ?? KEPT;
    for (const step of (await this.#steps()).slice(0, -kept)) await remove(this.#checkpoint(step));
  }

  /**
   * Writes the best model so far. The one before goes, unless a checkpoint counts on it: a run that is resumed from there
   * may find another one the best.
   */
  async saveBest(step: number, writeModel: WriteModel): Promise<void> {
    await makeDirectory(join(this.path, "checkpoints"));
    await writeDirectoryAtomic(this.#checkpoint(step, "best"), writeModel, { overwrite: true });
    const counted = new Set<number | undefined>([step]);
    for (const saved of await this.#steps()) {
      const folder = this.#checkpoint(saved);
      const state = await readJson(join(folder, "state.json")) as Partial<RunState> | null;
      counted.add(state?.best?.step);
    }
    for (const other of await this.#steps("best")) {
      if (!counted.has(other)) await remove(this.#checkpoint(other, "best"));
    }
  }

  /** Puts the parameters of the best model, that of a step, in place. */
  async restoreBest(decoder: Decoder, step: number): Promise<void> {
    await this.#restoreModel(decoder, this.#checkpoint(step, "best"));
  }

  /** Whether the run came to its end: its model is written. */
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
   * Puts the newest checkpoint's tensors in place, and cuts metrics.jsonl and the events back to it. Undefined when there is none.
   *
   * @param check throws when the state is of another run, before anything is changed
   */
  async restore(optimizer: Optimizer, check: (state: RunState) => void): Promise<RunState | undefined> {
    const newest = (await this.#steps()).at(-1);
    if (newest === undefined) {
      await this.#cutMetrics(-1);
      return undefined;
    }
    const folder = this.#checkpoint(newest);
    const state = readState(await readJson(join(folder, "state.json")), { folder, step: newest });
    check(state);
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
    await this.#cutMetrics(state.step);
    return state;
  }

  async #cutMetrics(step: number): Promise<void> {
    await this.#events.cut(step);
    const path = join(this.path, "metrics.jsonl");
    if (!await exists(path)) return;
    const kept = (await readText(path)).split("\n").filter((line) => {
      try {
        return JSON.parse(line).step <= step;
      } catch {
        return false; // the line that a kill cut short
      }
    });
    await writeText(path, kept.map((line) => `${line}\n`).join(""));
  }

  #checkpoint(step: number, kind: "step" | "best" = "step"): string {
    return join(this.path, "checkpoints", `${kind}-${String(step).padStart(8, "0")}`);
  }

  /** Removes the checkpoints but those to be kept: the run is done and its model written. */
  async removeCheckpoints(): Promise<void> {
    if (this.options.keepLast === undefined) return await remove(join(this.path, "checkpoints"));
    for (const step of await this.#steps("best")) await remove(this.#checkpoint(step, "best"));
  }

  /** Closes metrics.jsonl and the events. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#events.close();
    await this.#metrics?.close();
  }
}

function* statefulTensors(optimizer: Optimizer): Generator<{ name: string; tensor: Tensor }> {
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
