/**
 * A directory written as a whole, in place of another where that is wanted. What is replaced lies meanwhile in a folder
 * with a fresh name and a mark of ours; only a writer of the same path ever moves or removes such a folder, so that
 * looking at a path changes nothing and a folder of the user's, whatever its name, is never taken for ours.
 */

import * as fs from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { openScratch } from "./scratch.ts";
import { syncToDisk, temporaryName } from "./temporary_name.ts";
import { named, reasons } from "./_file_sink.ts";
import { InputError } from "./errors.ts";
import { exists, makeDirectory, readJson, writeJson } from "./files.ts";
import { type Owned, removeOwned } from "./owned_files.ts";

/** In the folder that keeps what is replaced: whose place it had. */
const markName = "replaced.json";
/** In the same folder: what had the place. */
const contentName = "before";

/**
 * Makes a directory as a whole: `fill` writes into a temporary directory beside it, which is synced and renamed.
 *
 * A directory that is already there is refused, or replaced with `overwrite` (of which only what is `owned` goes; the rest
 * stays in the new one): it stays complete in a folder
 * `.NAME.XXXXXXXX.old` beside it until the new one is in place. A process that is killed between the two renames leaves
 * that folder, and the next writer of the same path puts its content back first; a reader is told where it is
 * ({@linkcode replacedDirectory}). When `fill` throws, what was there before stays as it was.
 */
export async function writeDirectoryAtomic(
  path: string,
  fill: (temporary: string) => Promise<void>,
  options: { readonly overwrite?: boolean | undefined; readonly owned?: Owned } = {},
): Promise<void> {
  const { overwrite, owned } = options;
  await recover(path, owned);
  if (!overwrite && await exists(path)) {
    throw new InputError(`Cannot write ${path}: ${reasons.EEXIST}`);
  }
  await makeDirectory(dirname(path));
  await using scratch = await openScratch(path);
  const temporary = scratch.content;
  await named("write", path, () => fs.mkdir(temporary));
  try {
    await fill(temporary);
    await named("write", path, () => syncTree(temporary));
    if (overwrite && await exists(path)) {
      const backup = temporaryName(path, "old");
      await named("write", path, () => fs.mkdir(backup));
      await writeJson(join(backup, markName), { replaces: nameOf(path) });
      await named("write", path, () => fs.rename(path, join(backup, contentName)));
    }
    await named("write", path, () => fs.rename(temporary, path));
  } catch (error) {
    await recover(path, owned);
    throw error;
  }
  await recover(path, owned);
  await syncToDisk(dirname(path));
}

/**
 * Where the directory is that had this path, when the process that was replacing it was killed before the new one had
 * its place; undefined when the path is there, or nothing of the kind happened. Changes nothing.
 */
export async function replacedDirectory(path: string): Promise<string | undefined> {
  if (await exists(path)) return undefined;
  for (const backup of await backupsOf(path)) {
    const content = join(backup, contentName);
    if (await exists(content)) return content;
  }
  return undefined;
}

/**
 * Puts back what a killed writer of this path had moved away, or removes it where the new one is in place, which then gets
 * what is not ours.
 */
async function recover(path: string, owned?: Owned): Promise<void> {
  for (const backup of await backupsOf(path)) {
    const content = join(backup, contentName);
    if (!await exists(path) && await exists(content)) {
      await named("write", path, () => fs.rename(content, path));
    }
    if (owned && await fs.lstat(content).then((status) => status.isDirectory(), () => false)) {
      for (const stays of await removeOwned(content, owned)) {
        const [first] = relative(content, stays).split(sep) as [string];
        const target = join(path, first);
        if (!await exists(target)) {
          await named("write", target, () => fs.rename(join(content, first), target));
        }
      }
      // What has the same name as something new stays in the backup, and is no part of it any more.
      if (await exists(content) && (await fs.readdir(content)).length > 0) {
        await named("remove", join(backup, markName), () => fs.rm(join(backup, markName)));
        continue;
      }
    }
    await named("remove", backup, () => fs.rm(backup, { recursive: true, force: true }));
  }
}

/** The folders beside a path that keep what had it: by name and by mark. */
async function backupsOf(path: string): Promise<string[]> {
  const name = nameOf(path), folder = dirname(resolve(path)), found: string[] = [];
  const names = await fs.readdir(folder).catch(() => []);
  for (const entry of names.sort()) {
    if (!entry.startsWith(`.${name}.`) || !/^[0-9a-f]{8}\.old$/.test(entry.slice(name.length + 2))) continue;
    const mark = await readJson(join(folder, entry, markName)).catch(() => undefined);
    if ((mark as { replaces?: unknown } | null | undefined)?.replaces === name) {
      found.push(join(folder, entry));
    }
  }
  return found;
}

function nameOf(path: string): string {
  return basename(resolve(path));
}

async function syncTree(directory: string): Promise<void> {
  for (const entry of await fs.readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else await syncToDisk(path);
  }
  await syncToDisk(directory);
}
