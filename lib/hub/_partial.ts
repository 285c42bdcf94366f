/**
 * Unfinished downloads that several processes may want at once. Each writes a partial of its own, `BLOB.XXXXXXXX.incomplete`,
 * whose time is renewed as long as its owner lives; others wait for the blob to appear. What nobody renews, or somebody
 * has given back as `BLOB.incomplete`, is taken over by renaming it, which only one process can.
 */

import { randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { exists, makeDirectory, named } from "../runtime/files.ts";

/** How often the time of a partial is renewed, and after how long without it its owner is taken for dead. */
const heartbeat = 1000, lifetime = 10_000;

/** A partial file that is ours. */
export interface Partial extends AsyncDisposable {
  readonly path: string;
}

/** How to wait for another process. */
export interface WaitOptions {
  /** Bytes that the other process has. */
  readonly onWait?: (length: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A partial of our own for a blob, with what others left of it; undefined when another process finished the blob. */
export async function claimPartial(blob: string, options: WaitOptions = {}): Promise<Partial | undefined> {
  const folder = dirname(blob), own = `${blob}.${randomBytes(4).toString("hex")}.incomplete`;
  await makeDirectory(folder);
  for (;; await pause()) {
    options.signal?.throwIfAborted();
    if (await exists(blob)) return undefined;
    const others = await partialsOf(blob), alive = others.find((other) => other.alive);
    if (alive) {
      options.onWait?.(alive.size);
      continue;
    }
    const [left] = others.sort((a, b) => b.size - a.size);
    if (!await takeOver(left?.path, own)) continue;
    // Of two that come at once the later one sees the other. Both may, and step back: their pauses differ.
    if ((await partialsOf(blob)).some((other) => other.alive && other.path !== own)) {
      await giveBack(own, blob);
      continue;
    }
    if (await exists(blob)) { // finished since we looked
      await fs.rm(own, { force: true });
      return undefined;
    }
    const timer = setInterval(() => void touch(own), heartbeat);
    return {
      path: own,
      async [Symbol.asyncDispose]() {
        clearInterval(timer);
        await giveBack(own, blob);
      },
    };
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 100));
}

/** Gives a partial the name `own`, or makes one; false when another process was faster. */
async function takeOver(left: string | undefined, own: string): Promise<boolean> {
  if (left === undefined) {
    await (await named("write", own, () => fs.open(own, "wx"))).close();
    return true;
  }
  // Renewed first: under its new name it must never look dead.
  return await touch(left) && await fs.rename(left, own).then(() => true, () => false);
}

/** Leaves what there is to the next one; nothing, when the blob has it. */
async function giveBack(own: string, blob: string): Promise<void> {
  const size = await fs.stat(own).then((status) => status.size, () => undefined);
  if (size === undefined) return;
  if (size === 0) await fs.rm(own, { force: true });
  else await fs.rename(own, `${blob}.incomplete`).catch(() => {});
}

function touch(path: string): Promise<boolean> {
  const now = new Date();
  return fs.utimes(path, now, now).then(() => true, () => false);
}

async function partialsOf(blob: string): Promise<{ path: string; size: number; alive: boolean }[]> {
  const folder = dirname(blob), name = basename(blob), found = [];
  for (const entry of await fs.readdir(folder)) {
    if (!entry.startsWith(`${name}.`) || !entry.endsWith(".incomplete")) continue;
    const path = join(folder, entry), status = await fs.stat(path).catch(() => undefined);
    if (!status?.isFile()) continue;
    const owned = /\.[0-9a-f]{8}\.incomplete$/.test(entry);
    found.push({ path, size: status.size, alive: owned && Date.now() - status.mtimeMs < lifetime });
  }
  return found;
}
