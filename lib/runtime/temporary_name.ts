/** What writing something as a whole needs: a name that nobody else uses, and the disk's word that it is there. */

import * as fs from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";

/** A fresh hidden name beside `path`, on the same disk. */
export function temporaryName(path: string, ending = "tmp"): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(4).toString("hex")}.${ending}`);
}

/** Waits until a file or a directory is on the disk. */
export async function syncToDisk(path: string): Promise<void> {
  const handle = await fs.open(path, "r");
  try {
    await handle.sync();
  } catch {
    // Some systems cannot sync a directory; the rename stays atomic without it.
  } finally {
    await handle.close();
  }
}
