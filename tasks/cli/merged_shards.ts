/** Shards joined: which files they are, whether they belong together, and their lines in the order of the records. */

import { readLines } from "../../lib/data/jsonl.ts";
import { partOf, type ShardMark, shardMarkIn } from "../../lib/data/shards.ts";
import { configurationDifference } from "../../lib/pipeline/out_directory.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { exists, openFile, readBytes } from "../../lib/runtime/files.ts";
import { nearPath } from "../../lib/runtime/near_path.ts";
import { partialPath } from "./partial_output.ts";
import type { TaskConfiguration } from "./task_configuration.ts";

/** A shard's file. */
export interface ShardFile {
  readonly path: string;
  readonly mark: ShardMark;
}

/** Longest mark that is looked for, in bytes: it holds the configuration of a few tasks. */
const longestMark = 2 ** 20;

/**
 * All shards of one run, by their numbers. Throws UsageError for files that are none, and for shards that are missing,
 * given twice, or of runs with other options or records.
 *
 * @param warn told of shards that another version or runtime made
 */
export async function findShards(
  paths: readonly string[],
  warn: (line: string) => void,
): Promise<ShardFile[]> {
  const found: (ShardFile | undefined)[] = [];
  let first: ShardFile | undefined;
  for (const path of paths) {
    const file = { path, mark: await readMark(path) }, { part, of } = file.mark;
    first ??= file;
    const refuse = (why: string) => new UsageError(`Cannot merge ${path}: ${why}`);
    if (of !== first.mark.of) {
      throw refuse(`it is one of ${of} shards, and ${first.path} one of ${first.mark.of}`);
    }
    const twice = found[part - 1];
    if (twice) throw refuse(`it is shard ${part}/${of}, and so is ${twice.path}`);
    const different = difference(first, file);
    if (different) throw refuse(different);
    if (madeBy(file) !== madeBy(first)) {
      warn(`${path} was made by ${madeBy(file)}, ${first.path} by ${madeBy(first)}: last digits may differ`);
    }
    found[part - 1] = file;
  }
  const of = first?.mark.of ?? 0;
  const missing = Array.from({ length: of }, (_, i) => i + 1).filter((part) => !found[part - 1]);
  if (missing.length > 0) {
    const shown = missing.slice(0, 5).map((part) => `${part}/${of}`).join(", ");
    throw new UsageError(
      `Cannot merge: ${missing.length === 1 ? "shard" : "shards"} ${shown}${
        missing.length > 5 ? ", …" : ""
      } ${missing.length === 1 ? "is" : "are"} missing`,
    );
  }
  return found as ShardFile[];
}

/** Version and runtime of each step. */
function madeBy({ mark }: ShardFile): string {
  const steps = mark.asked as readonly TaskConfiguration[];
  return [...new Set(steps.map(({ version, runtime }) => `version ${version} under ${runtime}`))].join(", ");
}

/** Why two shards are not of the same run; undefined where they are. */
function difference(one: ShardFile, other: ShardFile): string | undefined {
  const [ones, others] = [one, other].map(({ mark }) => mark.asked as readonly TaskConfiguration[]);
  const tasks = (steps: readonly TaskConfiguration[]) => steps.map(({ task }) => task).join(" and ");
  if (tasks(ones!) !== tasks(others!)) {
    return `it was made by ${tasks(others!)}, and ${one.path} by ${tasks(ones!)}`;
  }
  for (const [i, step] of others!.entries()) {
    const different = configurationDifference(step, ones![i]);
    if (different) return `it was made with ${different}, as ${one.path} was`;
  }
  const { total, digest } = one.mark;
  if (other.mark.total !== total) {
    return `it is a part of ${other.mark.total} records, and ${one.path} of ${total}`;
  }
  return other.mark.digest === digest ? undefined : `it is a part of other records than ${one.path}`;
}

/** The mark in a file's last line. */
async function readMark(path: string): Promise<ShardMark> {
  if (!await exists(path)) {
    const begun = await exists(partialPath(path))
      ? `: its run was cut off, and --resume goes on with it`
      : "";
    throw new UsageError(
      `Cannot merge ${path}: no such file or directory${begun || await nearPath(path)}`,
    );
  }
  await using file = await openFile(path);
  const length = Math.min(file.size, longestMark);
  const end = await file.read(file.size - length, length);
  const start = end.at(-1) === 10 ? end.lastIndexOf(10, length - 2) + 1 : length;
  let mark: ShardMark | undefined;
  try {
    mark = shardMarkIn(JSON.parse(new TextDecoder().decode(end.subarray(start))));
  } catch { /* no JSON is no mark either */ }
  if (mark) return mark;
  throw new UsageError(
    `Cannot merge ${path}: it does not end in a shard's mark: it was written without --shard, or cut off`,
  );
}

/** The lines of the records, in the order in which a run that was never split writes them. */
export async function* mergedLines(shards: readonly ShardFile[]): AsyncGenerator<string> {
  const all = shards.map(({ path }) => readLines(readBytes(path), { source: path }));
  const total = shards[0]?.mark.total ?? 0;
  try {
    for (let record = 0; record < total; record++) {
      const at = partOf(record, shards.length) - 1, next = await all[at]!.next();
      if (next.done || shardMarkIn(parsed(next.value.text))) throw broken(shards[at]!);
      yield next.value.text;
    }
    for (const [at, lines] of all.entries()) {
      const next = await lines.next();
      if (next.done || !shardMarkIn(parsed(next.value.text))) throw broken(shards[at]!);
    }
  } finally {
    await Promise.all(all.map((lines) => lines.return(undefined)));
  }
}

function broken({ path, mark }: ShardFile): InputError {
  return new InputError(
    `Cannot merge ${path}: it must have ${mark.records} lines before its mark, and has another number of them`,
  );
}

function parsed(text: string): unknown {
  // The records themselves are not looked at: a mark begins so.
  if (!text.startsWith('{"shard":')) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
