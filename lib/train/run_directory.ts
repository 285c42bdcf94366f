import type { Tensor } from "../backend/device.ts";
import { join } from "node:path";
import { assign, read, upload } from "../backend/tensors.ts";
import { isAdapterDirectory, readAdapterConfig } from "../checkpoint/adapter_config.ts";
import { readAdapter } from "../checkpoint/read_adapter.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { checkpointNames, modelFileNames } from "../checkpoint/model_file_names.ts";
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
  removeTemporaries,
  writeJson,
  writeText,
} from "../runtime/files.ts";
import { isFilled, removeOwned, takeFolder } from "../runtime/owned_files.ts";
import { lockFolder } from "../runtime/run_lock.ts";
import { removeScratches } from "../runtime/scratch.ts";
import { writeDirectoryAtomic } from "../runtime/write_directory.ts";
import * as z from "zod/mini";
import type { Metrics } from "./metrics.ts";
import { count, identitySchema, type RunRecord, type RunState, writeRecord } from "./run_record.ts";
import type { Optimizer } from "./optimizer.ts";

/** How to open a run directory. */
export interface RunDirectoryOptions {
  /** What run.json keeps. */
  readonly record: RunRecord;
  readonly resume?: boolean | undefined;
  readonly overwrite?: boolean | undefined;
}

/** Checkpoints that are kept. */
const KEPT = 2;

/**
 * A run's folder: run.json (what was asked for), metrics.jsonl, checkpoints/step-N (parameters, moments, state), and at
 * the end the model's own files. A checkpoint is written under a temporary name and renamed, so a killed run leaves a
 * whole one.
 */
export class RunDirectory implements AsyncDisposable {
  #metrics?: AppendFile;

  private constructor(readonly path: string, readonly lock: AsyncDisposable) {}

  /** Makes the folder, or opens it again to resume. Throws UsageError when it exists and neither option was given. */
  static async open(path: string, options: RunDirectoryOptions): Promise<RunDirectory> {
    const there = await exists(path);
    if (options.resume) {
      if (!there) throw new UsageError(`Cannot resume ${path}: no such run directory`);
      if (!await exists(join(path, "run.json"))) {
        throw new UsageError(`Cannot resume ${path}: it has no run.json, so it is no run directory`);
      }
      const run = new RunDirectory(path, await lockFolder(path));
      await removeTemporaries(path);
      return run;
    }
    const overwrite = options.overwrite ?? false;
    const lock = await takeFolder(path, { owned: modelFileNames, overwrite });
    const run = new RunDirectory(path, lock);
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
  async log(metrics: Metrics | Readonly<Record<string, unknown>>): Promise<void> {
    this.#metrics ??= await openAppend(join(this.path, "metrics.jsonl"));
    await this.#metrics.write(`${JSON.stringify(metrics)}\n`);
  }

  /** Steps of the checkpoints that are there, ascending. */
  async #steps(): Promise<number[]> {
    const folder = join(this.path, "checkpoints");
    if (!await exists(folder)) return [];
    return (await listDirectory(folder)).map((n) => n.match(/^step-(\d+)$/)?.[1]).filter((n) =>
      n !== undefined
    )
      .map(Number).sort((a, b) => a - b);
  }

  /** Writes a checkpoint and removes all but the newest. */
  async save(optimizer: Optimizer, state: RunState): Promise<void> {
    const folder = join(this.path, "checkpoints");
    await makeDirectory(folder);
    await writeDirectoryAtomic(
      join(folder, `step-${String(state.step).padStart(8, "0")}`),
      async (temporary) => {
        await writeSafetensors(join(temporary, "state.safetensors"), tensorsOf(optimizer));
        await writeJson(join(temporary, "state.json"), { ...state, updates: optimizer.updates });
      },
      { overwrite: true },
    );
    for (const step of (await this.#steps()).slice(0, -KEPT)) await remove(this.#checkpoint(step));
  }

  /** Whether the run came to its end: its model is written, the file that makes it one last. */
  async isFinished(): Promise<boolean> {
    return await exists(join(this.path, "config.json")) || await isAdapterDirectory(this.path);
  }

  /** Puts the parameters of the finished run's model, or of its adapter, in place. */
  async restoreFinished(decoder: Decoder): Promise<void> {
    if (decoder.adapter) {
      const files = await readAdapterConfig(this.path);
      const { values } = await readAdapter(files, { config: decoder.config, directory: files.base });
      for (const [name, numbers] of values) {
        const target = parameter(decoder, name);
        assign(target, upload(target.device, numbers, target.shape));
      }
      return;
    }
    await using checkpoint = await openCheckpoint(this.path);
    for (const entry of checkpoint.plan) {
      const target = parameter(decoder, entry.name);
      assign(target, upload(target.device, await checkpoint.readParameter(entry), entry.shape));
    }
  }

  /**
   * Puts the newest checkpoint's tensors in place, and cuts metrics.jsonl back to it. Undefined when there is none.
   *
   * @param check throws when the state is of another run, before anything is changed
   */
  async restore(optimizer: Optimizer, check: (state: RunState) => void): Promise<RunState | undefined> {
    const newest = (await this.#steps()).at(-1);
    if (newest === undefined) {
      await this.#cutMetrics(0);
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

  #checkpoint(step: number): string {
    return join(this.path, "checkpoints", `step-${String(step).padStart(8, "0")}`);
  }

  /** Removes the checkpoints: the run is done and its model written. */
  async removeCheckpoints(): Promise<void> {
    await tidyFinished(this.path);
  }

  /** Closes metrics.jsonl and lets others write. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#metrics?.close();
    await this.lock[Symbol.asyncDispose]();
  }
}

const stateSchema = z.object({
  ...identitySchema.shape,
  step: count,
  /** Updates that the moments have seen: one a step. */
  updates: count,
});

/** Removes what a process that was killed had no time for, from the folder of a run whose model is written. */
export async function tidyFinished(path: string): Promise<void> {
  const folder = join(path, "checkpoints");
  if (await exists(folder)) await removeOwned(folder, checkpointNames);
  await removeScratches(path);
  await removeTemporaries(path);
}

/** A checkpoint's state.json, which must be that of its folder. */
function readState(
  value: unknown,
  { folder, step }: { readonly folder: string; readonly step: number },
): RunState {
  const { data: state, error } = stateSchema.safeParse(value);
  const refuse = (what: string) => {
    throw new InputError(
      `Cannot resume from ${folder}: ${what}; remove the folder to go on from the checkpoint before`,
    );
  };
  if (!state) {
    const [{ path, message }] = error.issues as [z.core.$ZodIssue];
    return refuse(`state.json is damaged at "${path.join(".")}": ${message}`);
  }
  if (state.step !== step || state.updates !== step || state.step > state.steps) {
    return refuse(
      `state.json says step ${state.step} of ${state.steps} and ${state.updates} updates: expected step ${step}`,
    );
  }
  return state;
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
