/** Whether a run may write to `--out`: asked before anything is loaded or read. */

import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { UsageError } from "../runtime/errors.ts";
import { exists, isDirectory } from "../runtime/files.ts";
import { isFilled } from "../runtime/owned_files.ts";
import { refuseLocked } from "../runtime/run_lock.ts";

/** What was asked for. */
export interface OutOptions {
  readonly out: string;
  readonly resume: boolean;
  readonly overwrite: boolean;
  /** The file by which a folder shows that it is such a run. */
  readonly mark: string;
  /** What the run reads: it must not go when `out` is replaced. */
  readonly sources: readonly (string | undefined)[];
}

/**
 * Refuses an `--out` that exists, unless it is to be resumed or replaced and is such a run itself (so that a slip of the
 * hand removes no other folder), and one that holds what the run reads. Throws UsageError.
 *
 * @returns whether there is a run already
 */
export async function checkOut(options: OutOptions): Promise<boolean> {
  const { out, resume, overwrite, mark, sources } = options;
  if (!await exists(out)) return false;
  for (const source of sources) {
    if (source !== undefined && resolve(source) === resolve(out)) {
      throw new UsageError(`Cannot write ${out}: the run reads it; choose another option \`out\``);
    }
  }
  if (!await isDirectory(out)) throw new UsageError(`Cannot write ${out}: it is a file, not a directory`);
  await refuseLocked(out);
  if (!await isFilled(out)) return false;
  if (!resume && !overwrite) {
    throw new UsageError(
      `Cannot write ${out}: it already exists; use option \`resume\`, option \`overwrite\` or another option \`out\``,
    );
  }
  const verb = resume ? "resume" : "overwrite";
  if (!await exists(join(out, mark))) {
    throw new UsageError(`Cannot ${verb} ${out}: it has no ${mark}, so it is no run of this task`);
  }
  if (resume) return true;
  for (const source of sources) {
    if (source !== undefined && isWithin(source, out) && await exists(source)) {
      throw new UsageError(`Cannot overwrite ${out}: the run reads ${source} in it`);
    }
  }
  return true;
}

function isWithin(path: string, folder: string): boolean {
  const way = relative(resolve(folder), resolve(path));
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** The first option that differs, as "option `seed: 1`, not 2"; undefined when none does. */
export function configurationDifference(before: unknown, now: unknown): string | undefined {
  const was = withoutFlow(before).kept, is = withoutFlow(now).kept;
  const shown = (value: unknown) =>
    value === null || value === undefined
      ? "none"
      : typeof value === "object"
      ? JSON.stringify(value)
      : String(value);
  for (const name of new Set([...Object.keys(was), ...Object.keys(is)])) {
    if (shown(was[name]) === shown(is[name])) continue;
    return `option \`${name}: ${shown(was[name])}\`, not ${shown(is[name])}`;
  }
  return undefined;
}

/** A configuration without what only says how to go about it, and how long: a finished run can be given more rounds. */
function withoutFlow(configuration: unknown): { task: string; kept: Record<string, unknown> } {
  const { options, task } = configuration as { options: Record<string, unknown>; task: string };
  const {
    resume: _,
    overwrite: __,
    quiet: ___,
    debug: ____,
    profile: _____,
    rounds: ______,
    tensorboard: _______,
    ...kept
  } = options;
  return { task, kept };
}
