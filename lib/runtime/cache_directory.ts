import { homedir } from "node:os";
import { join } from "node:path";
import { environmentVariable } from "./environment.ts";

/** The folder of what can be made again, the hub's files aside: `AFT_CACHE`, or `aft` in `XDG_CACHE_HOME` or `~/.cache`. */
export function cacheDirectory(): string {
  return environmentVariable("AFT_CACHE") ??
    join(environmentVariable("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "aft");
}
