/**
 * The folder that Hugging Face tools share for downloads: `REPOSITORY/blobs/HASH` holds each file once,
 * `REPOSITORY/snapshots/COMMIT/PATH` points to it, `REPOSITORY/refs/REVISION` names the commit. Python's
 * huggingface_hub reads and writes the same layout.
 */

import { createHash } from "node:crypto";
import * as fs from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { environmentVariable } from "../runtime/environment.ts";
import { InputError } from "../runtime/errors.ts";
import { exists, makeDirectory, named, readBytes, rename, writeText } from "../runtime/files.ts";
import { temporaryName } from "../runtime/temporary_name.ts";

/** The cache folder: `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or `~/.cache/huggingface/hub`. */
export function hubCacheDirectory(): string {
  return environmentVariable("HF_HUB_CACHE") ??
    join(
      environmentVariable("HF_HOME") ??
        join(environmentVariable("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "huggingface"),
      "hub",
    );
}

/**
 * Joins names, of a server or a user, to a folder. Throws InputError for a name that could leave the folder under
 * POSIX's or Windows' rules: empty, absolute, with `..`, a backslash, a drive or a control character.
 */
export function pathInside(folder: string, ...names: readonly string[]): string {
  for (const name of names) {
    const parts = name.split("/");
    // deno-lint-ignore no-control-regex
    if (/[\\\u0000-\u001f]/.test(name) || parts.some((part) => /^(\.{0,2}|[A-Za-z]:.*)$/.test(part))) {
      throw new InputError(
        `Cannot use the file name ${JSON.stringify(name)}: it must stay inside its folder`,
      );
    }
    if (sep === "\\" && parts.some(otherOnWindows)) {
      throw new InputError(
        `Cannot use the file name ${JSON.stringify(name)}: on Windows it is a device's, or another file's`,
      );
    }
  }
  const path = resolve(folder, ...names);
  const inside = relative(resolve(folder), path);
  if (inside === "" || isAbsolute(inside) || inside.split(sep)[0] === "..") {
    throw new InputError(
      `Cannot use the file name ${JSON.stringify(names.join("/"))}: it must stay inside its folder`,
    );
  }
  return path;
}

/** Whether Windows takes a name for a device's, a stream's of another file, or another name without its end. */
export function otherOnWindows(name: string): boolean {
  return /[<>:"|?*]|[. ]$/.test(name) ||
    /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\.|$)/i.test(name);
}

/** The length of a file that a download left unfinished; 0 when there is none. */
export async function partialSize(path: string): Promise<number> {
  return await fs.stat(path).then((status) => status.size, () => 0);
}

/** Appends bytes to a file as they come, and says after each piece how long the file is now. */
export async function appendBytes(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
  options: { readonly onLength?: (length: number) => void } = {},
): Promise<void> {
  await makeDirectory(dirname(path));
  const handle = await named("write", path, () => fs.open(path, "a"));
  try {
    let length = (await handle.stat()).size;
    for await (const chunk of bytes) {
      for (let at = 0; at < chunk.length;) {
        at += (await named("write", path, () => handle.write(chunk, at))).bytesWritten;
      }
      length += chunk.length;
      options.onLength?.(length);
    }
    await named("write", path, () => handle.sync());
  } finally {
    await handle.close();
  }
}

/** What a file's bytes must hash to: SHA-256 of a large file (LFS), or Git's own SHA-1 of a small one. */
export interface Checksum {
  /** Which hash. */
  readonly kind: "sha256" | "git";
  /** In hexadecimal. */
  readonly value: string;
}

/** Whether the file has the length and the checksum. */
export async function fileMatches(
  path: string,
  { size, checksum }: { size: number; checksum: Checksum },
): Promise<boolean> {
  if (await partialSize(path) !== size) return false;
  const hash = createHash(checksum.kind === "git" ? "sha1" : "sha256");
  if (checksum.kind === "git") hash.update(`blob ${size}\0`);
  for await (const chunk of readBytes(path)) hash.update(chunk);
  return hash.digest("hex") === checksum.value;
}

/** Gives a finished download its place: the blob under its hash, and the snapshot's pointer to it. */
export async function linkBlob(blob: string, pointer: string): Promise<void> {
  if (await exists(pointer)) return;
  await makeDirectory(dirname(pointer));
  // Under a name of its own first: another process may do the same now, and a link whose target is gone may be there.
  const own = temporaryName(pointer);
  try {
    await fs.symlink(relative(dirname(pointer), blob), own);
  } catch {
    // Windows refuses links to ordinary users.
    await named("write", pointer, () => fs.copyFile(blob, own));
  }
  await rename(own, pointer);
}

/** Makes a file empty, or makes an empty one. */
export async function emptyFile(path: string): Promise<void> {
  await (await named("write", path, () => fs.open(path, "w"))).close();
}

/** Moves a download that is complete to its blob. */
export async function finishBlob(partial: string, blob: string): Promise<void> {
  await rename(partial, blob);
}

/** The commit that a revision named at the last download; null when there was none. */
export async function readReference(path: string): Promise<string | null> {
  return await fs.readFile(path, "utf8").then((text) => text.trim(), () => null);
}

/** Notes the commit that a revision names. */
export async function writeReference(path: string, commit: string): Promise<void> {
  await makeDirectory(dirname(path));
  await writeText(path, commit);
}

/** The files of a cached snapshot, as paths with `/`; none when it is not there. */
export async function listSnapshot(folder: string, prefix = ""): Promise<string[]> {
  const names: string[] = [];
  const entries = await fs.readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (entry.isDirectory()) {
      names.push(...await listSnapshot(join(folder, entry.name), `${prefix}${entry.name}/`));
    } else if (await exists(join(folder, entry.name))) names.push(prefix + entry.name);
  }
  return names.sort();
}
