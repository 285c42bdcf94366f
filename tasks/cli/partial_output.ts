/** What a run that was cut off left of its output, and whether another may go on with it. */

import { configurationDifference } from "../../lib/pipeline/out_directory.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import {
  cutFile,
  exists,
  openFile,
  readBytes,
  readJson,
  remove,
  removeTemporariesOf,
  writeJson,
} from "../../lib/runtime/files.ts";
import type { TaskConfiguration } from "./task_configuration.ts";

/** The whole lines in `FILE.partial`. */
export interface PartialOutput {
  /** Its path. */
  readonly path: string;
  /** Lines that are whole: a kill may have cut the last one. */
  readonly lines: number;
  /** Where they end, in bytes. */
  readonly bytes: number;
}

/** Where the lines of an output are until it has its name. */
export function partialPath(output: string): string {
  return `${output}.partial`;
}

/** Where it is kept what they were asked for with. */
function configurationPath(output: string): string {
  return `${output}.partial.json`;
}

/**
 * What is there of an output; undefined where no line is whole. Of records, a last line that is none (it has no `id`) is left
 * out: a summary is written anew.
 */
export async function findPartial(
  output: string,
  options: { readonly records: boolean },
): Promise<PartialOutput | undefined> {
  const path = partialPath(output);
  if (!await exists(path)) return undefined;
  let lines = 0, offset = 0, start = 0, bytes = 0;
  for await (const chunk of readBytes(path)) {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) {
      lines++;
      start = bytes;
      bytes = offset + at + 1;
    }
    offset += chunk.length;
  }
  if (options.records && lines > 0 && !await isRecord(path, start, bytes)) {
    lines--;
    bytes = start;
  }
  return lines === 0 ? undefined : { path, lines, bytes };
}

async function isRecord(path: string, start: number, end: number): Promise<boolean> {
  await using file = await openFile(path);
  try {
    const value = JSON.parse(new TextDecoder().decode(await file.read(start, end - start))) as {
      id?: unknown;
    } | null;
    return typeof value?.id === "string";
  } catch (error) {
    if (error instanceof InputError) throw error;
    return false;
  }
}

/** Options that change no line: where records come from and go, how many, and how the work is done. */
const flow = [
  ...["input", "output", "limit", "slots", "allow-partial"],
  ...[
    "judge-key-env",
    "judge-retries",
    "judge-timeout",
    "judge-concurrency",
    "judge-price-input",
    "judge-price-output",
  ],
  // Where a model is served changes from job to job; which it is does not.
  ...["generate-from", "served-key-env", "served-requests", "served-timeout", "served-retries"],
];

/** What was asked for, without what changes no line. */
export function withoutFlow(configuration: TaskConfiguration): TaskConfiguration {
  const kept = Object.entries(configuration.options).filter(([name]) => !flow.includes(name));
  return { ...configuration, options: Object.fromEntries(kept) };
}

/** Removes what killed runs left of an output and of the note beside it, which had not got their names. */
export async function removeNameless(output: string): Promise<void> {
  await removeTemporariesOf(output);
  await removeTemporariesOf(configurationPath(output));
}

/** Notes what an output is asked for with, for a run that goes on with it. */
export async function keepConfiguration(output: string, configuration: TaskConfiguration): Promise<void> {
  await writeJson(configurationPath(output), configuration);
}

/** Removes the note. */
export async function dropConfiguration(output: string): Promise<void> {
  await remove(configurationPath(output));
}

/**
 * Cuts a part down to its whole lines, to go on behind them. Throws UsageError where it was begun with other options.
 *
 * @returns what the user should know: nothing where all is as it was
 */
export async function takeUp(
  output: string,
  partial: PartialOutput,
  configuration: TaskConfiguration | undefined,
): Promise<string | undefined> {
  if (!configuration) return void await cutFile(partial.path, partial.bytes);
  const path = configurationPath(output);
  let told: string | undefined;
  if (await exists(path)) {
    const before = await readJson(path) as TaskConfiguration;
    if (typeof before?.options !== "object" || before.options === null) {
      throw new InputError(
        `Cannot resume ${output}: ${path} must hold what it was begun with; --overwrite begins anew`,
      );
    }
    if (before.task !== configuration.task) {
      throw new UsageError(
        `Cannot resume ${output}: it was begun by ${before.task}, not ${configuration.task}`,
      );
    }
    const difference = configurationDifference(withoutFlow(before), withoutFlow(configuration));
    if (difference) throw new UsageError(`Cannot resume ${output}: it was begun with ${difference}`);
    const [was, is] = [before, configuration].map(({ version, runtime }) =>
      `version ${version} under ${runtime}`
    );
    if (was !== is) told = `${partial.path} was begun by ${was}, and this is ${is}: last digits may differ`;
  } else told = `${path} is missing: whether ${partial.path} was begun with the same options cannot be told`;
  await cutFile(partial.path, partial.bytes);
  return told;
}

/** Cuts lines that were kept down to those before the first that does not hold. */
export async function cutBehind(
  path: string,
  bytes: number,
  holds: (record: Readonly<Record<string, unknown>>) => boolean,
): Promise<void> {
  await using file = await openFile(path);
  const text = new TextDecoder().decode(await file.read(0, bytes));
  let kept = 0;
  for (const line of text.split(/(?<=\n)/)) {
    if (!holds(JSON.parse(line))) break;
    kept += new TextEncoder().encode(line).length;
  }
  if (kept < bytes) await cutFile(path, kept);
}
