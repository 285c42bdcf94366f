/** From what `--data` says to a stream of problems. */

import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import { exists, isDirectory, listDirectory } from "../runtime/files.ts";
import type { Watched } from "../runtime/listener.ts";
import { nearPath } from "../runtime/near_path.ts";
import { suggestion } from "../runtime/suggestion.ts";
import type { DataSet } from "./dataset.ts";
import { datasets, findDataset, readProblem, unknownDataset } from "./datasets.ts";
import { downloadFile, type HubOptions, listRepository } from "../hub/hub.ts";
import type { ReadOptions } from "./normalize_record.ts";
import { type OwnDataSet, readOwn } from "./own_dataset.ts";
import { Random } from "./random.ts";
import type { Problem } from "./records.ts";
import { readRows, stemOf } from "./row_files.ts";
import { filesOfSplit } from "./split_files.ts";

/** How to load. */
export interface LoadOptions extends Watched, ReadOptions {
  /** The split to take where the specification names none (default "train"). */
  readonly split?: string | undefined;
  /** Local directory to look for named sets in, itself or in a folder of their name, before the hub (default none). */
  readonly directory?: string | undefined;
  /** At most so many problems in all (default: all). */
  readonly limit?: number | undefined;
  /** Seed of the mixture (default 1). */
  readonly seed?: number | undefined;
  /** Another size or seed of the embedded sets, which are otherwise the same in every run. */
  readonly embedded?: { readonly count?: number; readonly seed?: number };
  /** How to reach the hub. */
  readonly hub?: HubOptions;
}

const names: NamesOf<LoadOptions> = {
  fields: true,
  answerIndex: true,
  split: true,
  directory: true,
  limit: true,
  seed: true,
  embedded: true,
  hub: true,
  listener: true,
  signal: true,
};

/** One part of a mixture. */
interface Part {
  readonly spec: string;
  readonly weight: number;
  readonly read: () => AsyncIterable<Problem>;
}

/**
 * The problems of a specification: `NAME[:SPLIT]`, a file, a directory (`DIR[:SPLIT]`), or several with commas, each
 * with a weight if wanted: `gsm8k*2,aqua*0.5`. Or of a data set of one's own, an object that says how its rows read.
 *
 * A weight is how often a set is passed through; of a fraction, a random share is taken. The mixture is drawn by the
 * seed, so that every part spreads evenly over the whole; each part keeps its own order. Memory does not grow with the
 * files: a mixture reads them once more, to count. Throws UsageError for an unknown name or split, with a suggestion,
 * or for a path that is not there; InputError for files that cannot be read.
 *
 * ```ts
 * import { loadDataset } from "./lib/data/mod.ts";
 *
 * const mixture = loadDataset("arithmetic*0.5,options*0.25", { limit: 4, seed: 1 });
 * for await (const { dataset, question, answer } of mixture) console.log(dataset, question, answer);
 *
 * const capitals = loadDataset({
 *   name: "capitals",
 *   kind: "text",
 *   template: "Q: What is the capital of {country}?\nA:",
 *   rows: [{ country: "France", city: "Paris" }],
 *   read: ({ country, city }) => ({ question: `The capital of ${country}?`, country, answer: city }),
 * });
 * for await (const { id, answer } of capitals) console.log(id, answer);
 * ```
 */
export async function* loadDataset(
  spec: string | OwnDataSet,
  options: LoadOptions = {},
): AsyncGenerator<Problem> {
  checkNames(options, names, { of: "loadDataset" });
  const { limit = Infinity, signal } = options;
  if (typeof spec !== "string") {
    return yield* taken(readOwn(spec, { split: options.split, ...reading(options) }), { limit, signal });
  }
  const whole = await exists(spec); // a path may hold commas and stars
  const items = whole ? [spec] : spec.split(",");
  const parts = await Promise.all(
    items.map((item) => openPart(item.trim(), { ...options, limit: items.length === 1 ? limit : Infinity })),
  );
  const stream = parts.length === 1 && parts[0].weight === 1
    ? parts[0].read()
    : mix(parts, options.seed ?? 1);
  yield* taken(stream, { limit, signal });
}

/** The first problems of a stream. */
async function* taken(
  stream: AsyncIterable<Problem>,
  { limit, signal }: { readonly limit: number; readonly signal: AbortSignal | undefined },
): AsyncGenerator<Problem> {
  let count = 0;
  if (limit <= 0) return;
  for await (const problem of stream) {
    signal?.throwIfAborted();
    yield problem;
    if (++count >= limit) return;
  }
}

async function openPart(item: string, options: LoadOptions): Promise<Part> {
  const weighted = await exists(item) ? null : item.match(/^(.*)\*(\d*\.?\d+)$/);
  const spec = weighted?.[1] ?? item;
  const weight = Number(weighted?.[2] ?? 1);
  if (spec === "" || !(weight > 0)) {
    throw new UsageError(
      `Data must be names or paths with weights above 0, such as gsm8k*2,aqua: got ${JSON.stringify(item)}`,
    );
  }
  const colon = spec.lastIndexOf(":");
  const [name, split] = colon > 0 ? [spec.slice(0, colon), spec.slice(colon + 1)] : [spec, undefined];
  if (Object.hasOwn(datasets, name)) return { spec, weight, read: await openNamed(name, split, options) };
  if (await exists(spec)) return { spec, weight, read: await openPath(spec, undefined, options) };
  if (split !== undefined && await exists(name)) {
    return { spec, weight, read: await openPath(name, split, options) };
  }
  if (/[./\\]/.test(name)) {
    throw new UsageError(`Cannot read ${name}: no such file or directory${await nearPath(name)}`);
  }
  const near = suggestion(name, Object.keys(datasets)) === "" ? await nearPath(name) : "";
  throw new UsageError(unknownDataset(name) + near);
}

async function openNamed(
  name: string,
  wanted: string | undefined,
  options: LoadOptions,
): Promise<Part["read"]> {
  const set = findDataset(name);
  const split = chooseSplit(name, set, { wanted, fallback: options.split ?? "train" });
  const { directory, listener, signal } = options, hub = { listener, signal, ...options.hub };
  if (set.embedded) {
    const { embedded } = set, { limit = Infinity } = options;
    // A grammar has no end: a set that stands alone is as long as is asked for, also beyond its usual size.
    const count = limit < Infinity && { count: limit };
    return async function* () {
      yield* embedded({ ...count, ...options.embedded, split });
    };
  }
  if (directory !== undefined) {
    const own = `${directory}/${name}`;
    const folder = await isDirectory(own) ? own : directory;
    const files = await splitFilesIn(folder, split);
    return () => readFiles(files, { prefix: `${name}-${split}`, dataset: name, ...reading(options) });
  }
  if (!set.hub) throw new UsageError(`Data set ${name} needs a directory: the hub does not have it`);
  const { repo, folder } = set.hub;
  const listed = await listRepository({ repo, type: "dataset" }, hub);
  const inside = listed.filter((path) => path.startsWith(`${folder}/`));
  const paths = filesOfSplit(inside.length > 0 ? inside : listed, split);
  if (paths.length === 0) {
    throw new InputError(
      `Cannot find the split ${split} of ${repo} on the hub: its files are ${listed.slice(0, 8).join(", ")}`,
    );
  }
  const files: string[] = [];
  for (const path of paths) files.push(await downloadFile({ repo, type: "dataset", path }, hub));
  return () => readFiles(files, { prefix: `${name}-${split}`, dataset: name, ...reading(options) });
}

function chooseSplit(
  name: string,
  set: DataSet,
  { wanted, fallback }: { wanted?: string | undefined; fallback: string },
): string {
  const alias = (split: string) => split === "dev" && !set.splits.includes("dev") ? "validation" : split;
  if (wanted === undefined) return set.splits.includes(alias(fallback)) ? alias(fallback) : set.splits[0];
  if (set.splits.includes(alias(wanted))) return alias(wanted);
  throw new UsageError(
    `Split of ${name} must be one of ${set.splits.join(", ")}: got ${JSON.stringify(wanted)}`,
  );
}

async function openPath(
  path: string,
  split: string | undefined,
  options: LoadOptions,
): Promise<Part["read"]> {
  if (!await isDirectory(path)) {
    if (split !== undefined) {
      throw new UsageError(`A split needs a data set or a directory: got ${path}:${split}`);
    }
    return () => readFiles([path], reading(options));
  }
  const files = await splitFilesIn(path, split ?? options.split ?? "train");
  return () => readFiles(files, reading(options));
}

async function splitFilesIn(folder: string, split: string): Promise<string[]> {
  const paths = await listFiles(folder);
  const files = filesOfSplit(paths, split);
  if (files.length > 0) return files.map((path) => `${folder}/${path}`);
  const found = paths.length === 0
    ? "nothing"
    : paths.slice(0, 8).join(", ") + (paths.length > 8 ? ", …" : "");
  throw new InputError(
    `Cannot find the split ${split} in ${folder}: expected ${split}.jsonl or the like, found ${found}`,
  );
}

/** Files in a directory and its folders, two levels deep, with `/` between names. */
async function listFiles(folder: string, depth = 2): Promise<string[]> {
  const paths: string[] = [];
  for (const name of await listDirectory(folder)) {
    if (name.startsWith(".")) continue;
    if (!await isDirectory(`${folder}/${name}`)) paths.push(name);
    else if (depth > 0) {
      paths.push(...(await listFiles(`${folder}/${name}`, depth - 1)).map((path) => `${name}/${path}`));
    }
  }
  return paths;
}

function reading(
  { answerIndex, fields, signal }: LoadOptions,
): ReadOptions & { readonly signal?: AbortSignal | undefined } {
  return { signal, ...(answerIndex && { answerIndex }), ...(fields && { fields }) };
}

async function* readFiles(
  files: readonly string[],
  { prefix, signal, ...options }: ReadOptions & {
    readonly prefix?: string;
    readonly dataset?: string;
    readonly signal?: AbortSignal | undefined;
  },
): AsyncGenerator<Problem> {
  let index = 0;
  for (const file of files) {
    const stem = stemOf(file);
    for await (const { value, where } of readRows(file, signal)) {
      const own = where.id ?? `line-${where.line ?? where.record}`;
      const id = prefix ? `${prefix}-${index++}` : files.length > 1 ? `${stem}-${own}` : own;
      yield readProblem(value, { ...where, id }, options);
    }
  }
}

/** Draws from the parts with probabilities that go with what is left of each: a uniform merge. */
async function* mix(parts: readonly Part[], seed: number): AsyncGenerator<Problem> {
  const random = new Random(seed, { stream: "mixture" });
  const streams = await Promise.all(parts.map(async ({ spec, weight, read }, i) => {
    let size = 0;
    for await (const _ of read()) size++;
    const repeated = repeat(read, {
      weight,
      size,
      random: new Random(seed, { stream: `share-${i}-${spec}` }),
    });
    return { left: Math.round(size * weight), problems: repeated };
  }));
  try {
    for (let total = streams.reduce((sum, { left }) => sum + left, 0); total > 0; total--) {
      let ticket = random.integer(total);
      const drawn = streams.find(({ left }) => (ticket -= left) < 0)!;
      drawn.left--;
      yield (await drawn.problems.next()).value as Problem;
    }
  } finally {
    for (const { problems } of streams) await problems.return(undefined);
  }
}

/** round(size·weight) problems: whole passes, then a uniform share of one more (selection sampling). */
async function* repeat(
  read: Part["read"],
  { weight, size, random }: { readonly weight: number; readonly size: number; readonly random: Random },
): AsyncGenerator<Problem> {
  let wanted = Math.round(size * weight);
  for (; wanted >= size && size > 0; wanted -= size) yield* read();
  let left = size;
  if (wanted === 0) return;
  for await (const problem of read()) {
    if (random.next() * left-- >= wanted) continue;
    yield problem;
    if (--wanted === 0) return;
  }
}
