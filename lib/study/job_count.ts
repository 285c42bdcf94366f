/** How many jobs make a study. */

import { threadsToUse } from "../backend/threads.ts";
import { findAdapter } from "../backend/webgpu.ts";
import { isAdapterDirectory } from "../checkpoint/adapter_config.ts";
import { readConfig } from "../checkpoint/checkpoint.ts";
import { parameterPlan } from "../checkpoint/parameter_plan.ts";
import { resolveModel } from "../checkpoint/resolve_model.ts";
import { UsageError } from "../runtime/errors.ts";
import type { Listener } from "../runtime/listener.ts";
import type { StudyRun } from "./study_options.ts";

/** Parameters of a model up to which whole cells are shared out: its products are too small for threads, and it can be had several times over. */
const SMALL = 10_000_000;

/**
 * How many jobs: as many as were asked for; otherwise as many as the CPU has threads where the model is small, and one
 * elsewhere. Never more than there are pieces of work.
 *
 * @throws {UsageError} when several are asked for and a GPU computes
 */
export async function jobCount(run: StudyRun, pieces: number, listener: Listener): Promise<number> {
  const { jobs, world, backend, signal, settings: [sizes] } = run;
  const most = Math.min(jobs ?? (world.size === 1 ? threadsToUse() : 1), pieces);
  if (most === 1) return 1;
  if (backend === "webgpu" || backend === "auto" && await isThereGpu()) {
    if (jobs === undefined) return 1;
    throw new UsageError(
      `Option \`jobs\` must be 1 where a GPU computes: got ${jobs}; option \`backend: wasm\` takes the CPU`,
    );
  }
  if (jobs === undefined && !await isSmall(await resolveModel(sizes!.model, { listener, signal }))) return 1;
  return most;
}

async function isThereGpu(): Promise<boolean> {
  const { adapter, isCpu } = await findAdapter();
  return adapter !== undefined && !isCpu;
}

async function isSmall(directory: string): Promise<boolean> {
  if (await isAdapterDirectory(directory)) return false;
  let parameters = 0;
  for (const { shape } of parameterPlan(await readConfig(directory))) {
    parameters += shape.reduce((a, b) => a * b, 1);
  }
  return parameters <= SMALL;
}
