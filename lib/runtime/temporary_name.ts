/** What writing something as a whole needs: a name that nobody else uses, and the disk's word that it is there. */

import * as fs from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";

/** What ends the names of files that have not got their own yet: nobody else's do. */
export const temporaryEnding = "aft-tmp";

/** The name that a temporary one will become; undefined for any other name. */
export function nameToBe(temporary: string): string | undefined {
  return temporary.match(/^\.+(.+?)(?:\.[0-9a-f]{8}\.aft-tmp)+$/)?.[1];
}

/** A fresh hidden name beside `path`, on the same disk. */
export function temporaryName(path: string, ending = temporaryEnding): string {
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
