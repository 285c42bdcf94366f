/** The folders in a run's `checkpoints`. */

import { join } from "node:path";
import { checkpointNames } from "../checkpoint/model_file_names.ts";
import { exists, listDirectory, removeTemporaries } from "../runtime/files.ts";
import { removeDeadLock } from "../runtime/run_lock.ts";
import { removeOwned } from "../runtime/owned_files.ts";
import { removeScratches } from "../runtime/scratch.ts";

/** The folder of a run's checkpoint: the state after a step, or the best model so far. */
export function checkpointFolder(path: string, step: number, kind: "step" | "best" = "step"): string {
  return join(path, "checkpoints", `${kind}-${String(step).padStart(8, "0")}`);
}

/** Steps of a run's checkpoints of a kind, ascending. */
export async function checkpointSteps(path: string, kind: "step" | "best"): Promise<number[]> {
  const folder = join(path, "checkpoints");
  if (!await exists(folder)) return [];
  const own = new RegExp(`^${kind}-(\\d+)$`);
  return (await listDirectory(folder)).map((n) => n.match(own)?.[1]).filter((n) => n !== undefined)
    .map(Number).sort((a, b) => a - b);
}

/**
 * Removes what a process that was killed had no time for, from the folder of a run whose model is written; `keepSteps`
 * leaves its checkpoints, but not what was the best.
 */
export async function tidyFinished(path: string, { keepSteps = false } = {}): Promise<void> {
  const folder = join(path, "checkpoints");
  if (await exists(folder)) {
    await removeScratches(folder);
    for (const step of await checkpointSteps(path, "best")) {
      await removeOwned(checkpointFolder(path, step, "best"), checkpointNames.folders![0]![1]);
    }
    if (!keepSteps) await removeOwned(folder, checkpointNames);
  }
  await removeScratches(path);
  await removeTemporaries(path);
  // A run that was killed behind its last step left it.
  await removeDeadLock(path);
}
