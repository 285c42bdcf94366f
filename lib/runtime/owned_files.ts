/** Removing what a run wrote from a folder in which somebody else may keep something too. */

import * as fs from "node:fs/promises";
import { join } from "node:path";
import { named } from "./_file_sink.ts";
import { lockFolder, lockName, refuseLocked } from "./run_lock.ts";
import { removeScratches } from "./scratch.ts";
import { nameToBe } from "./temporary_name.ts";

/** The names that a program gives to what it writes into a folder. */
export interface Owned {
  /** Files, and links in their place. */
  readonly files: RegExp;
  /** Folders, and what is ours in them. */
  readonly folders?: readonly (readonly [RegExp, Owned])[];
}

/**
 * Removes what is ours from a folder, and the folder when nothing else is in it. Links are removed, never what they lead
 * to; a folder that is a link itself is taken away as a link.
 *
 * @returns the paths of what stays
 */
export async function removeOwned(folder: string, owned: Owned): Promise<string[]> {
  if (await unlinkLink(folder)) return [];
  await refuseLocked(folder);
  const stays = await removeInside(folder, owned);
  if (stays.length === 0) await named("remove", folder, () => fs.rmdir(folder));
  return stays;
}

/**
 * Makes a folder the caller's alone, until what is returned is disposed of; with `overwrite`, what is ours in it is removed
 * first.
 *
 * @throws {UsageError} when another run writes there
 */
export async function takeFolder(
  folder: string,
  { owned, overwrite }: { readonly owned: Owned; readonly overwrite: boolean },
): Promise<AsyncDisposable> {
  if (overwrite) await unlinkLink(folder);
  await named("make directory", folder, () => fs.mkdir(folder, { recursive: true }));
  const lock = await lockFolder(folder);
  try {
    if (overwrite) await removeInside(folder, owned);
    else await removeScratches(folder);
    return lock;
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

/** Whether a folder holds anything but what a killed run left before it had begun: a lock, and files without their names. */
export async function isFilled(folder: string): Promise<boolean> {
  const names = await named("list directory", folder, () => fs.readdir(folder));
  return names.some((name) => name !== lockName && nameToBe(name) === undefined);
}

async function unlinkLink(path: string): Promise<boolean> {
  const isLink = await fs.lstat(path).then((status) => status.isSymbolicLink(), () => false);
  if (isLink) await named("remove", path, () => fs.unlink(path));
  return isLink;
}

/** Removes what is ours, but for the lock: who removes holds it. */
async function removeInside(folder: string, owned: Owned): Promise<string[]> {
  await removeScratches(folder);
  const stays: string[] = [];
  for (
    const entry of await named("list directory", folder, () => fs.readdir(folder, { withFileTypes: true }))
  ) {
    const path = join(folder, entry.name);
    const inside = owned.folders?.find(([name]) => name.test(entry.name))?.[1];
    if (entry.name === lockName) continue;
    if (entry.isDirectory()) {
      if (inside) stays.push(...await removeOwned(path, inside));
      else stays.push(path);
    } else if (inside || owned.files.test(entry.name) || nameToBe(entry.name) !== undefined) {
      await named("remove", path, () => fs.rm(path, { force: true }));
    } else stays.push(path);
  }
  return stays;
}
