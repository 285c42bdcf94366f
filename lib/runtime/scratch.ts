/**
 * A folder for what is being written, beside what it will become, with a mark that says so and a lock that lives as long as
 * its writer: what a killed process left is removed by the next writer of the same path, and by nobody else.
 */

import * as fs from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { named } from "./_file_sink.ts";
import { lockFolder, refuseLocked } from "./run_lock.ts";
import { nameToBe, temporaryName } from "./temporary_name.ts";

/** In the folder: what is written there. */
const markName = "writes.json", contentName = "content";

/** A scratch folder; disposing of it removes what is still there. */
export interface Scratch extends AsyncDisposable {
  /** An empty path, or folder, on the disk of what is to be written. */
  readonly content: string;
}

/** Opens a scratch folder for what is to become `path`, and removes those that killed writers of the same path left. */
export async function openScratch(path: string): Promise<Scratch> {
  await removeScratches(dirname(resolve(path)), basename(resolve(path)));
  const folder = temporaryName(path);
  await named("write", path, () => fs.mkdir(folder));
  try {
    await named("write", path, () => fs.writeFile(join(folder, markName), mark(path)));
    const lock = await lockFolder(folder);
    return {
      content: join(folder, contentName),
      async [Symbol.asyncDispose]() {
        await lock[Symbol.asyncDispose]();
        await fs.rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await fs.rm(folder, { recursive: true, force: true });
    throw error;
  }
}

function mark(path: string): string {
  return JSON.stringify({ writes: basename(resolve(path)) });
}

/** Removes the scratch folders in a folder whose writers are gone: all of them, or those of what was to become `only`. */
export async function removeScratches(folder: string, only?: string): Promise<void> {
  for (const entry of await fs.readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const wanted = nameToBe(entry.name), path = join(folder, entry.name);
    if (wanted === undefined || !entry.isDirectory() || (only ?? wanted) !== wanted) continue;
    // Killed before there was a mark: nothing is in it.
    const names = await fs.readdir(path).catch(() => ["?"]);
    const ours = names.length === 0 ||
      await fs.readFile(join(path, markName), "utf8").catch(() => "") === mark(wanted);
    if (!ours || await refuseLocked(path).then(() => false, () => true)) continue;
    await named("remove", path, () => fs.rm(path, { recursive: true, force: true }));
  }
}
