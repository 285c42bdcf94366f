/**
 * The table in which the cuts that were measured on an adapter are kept, one file an adapter in the cache folder. It is
 * used where adapter, system and versions are those that it was measured with, and all in it can be what `tune.ts` writes.
 */

import { dirname, join } from "node:path";
import type { AdapterIdentity } from "../../backend/device.ts";
import { cacheDirectory } from "../../runtime/cache_directory.ts";
import { runtime, systemRelease } from "../../runtime/environment.ts";
import { exists, makeDirectory, openFile, removeTemporariesOf, writeJson } from "../../runtime/files.ts";
import { gpuInUse } from "../../runtime/gpu.ts";
import { oneLine } from "../../runtime/one_line.ts";
import type { TunedKind, Tuning } from "./tune.ts";
import { type Cut, fills, plainTiles, productKinds, type Tile } from "./tiles.ts";

/** Of the table, and of the kernels that it was measured with: another number makes every table that is there too old. */
const FORMAT = 1;

/** What a table was measured with. */
export interface TableKey extends AdapterIdentity {
  /** The number of the table's format and of the kernels. */
  readonly format: number;
  /** By whose WebGPU. */
  readonly webgpu: string;
  /** Runtime and version, with which that of its WebGPU changes. */
  readonly runtime: string;
  /** The system's release, with which drivers change that WebGPU names no version of. */
  readonly system: string;
}

/** A table that was read. */
export interface TileTable extends Tuning {
  /** Where it lies. */
  readonly path: string;
}

/** Bytes of a file that can be a table. */
const MOST_BYTES = 2 ** 16;

/** What a table for this adapter must have been measured with. */
export function tableKey(adapter: AdapterIdentity): TableKey {
  const { name, version } = runtime(), { vendor, architecture, device, description } = adapter;
  const identity = { vendor, architecture, device, description };
  return {
    format: FORMAT,
    ...identity,
    webgpu: gpuInUse(),
    runtime: `${name} ${version}`,
    system: systemRelease(),
  };
}

/** Where the table of an adapter lies: another driver's or version's lay in the same place. */
export function tablePath({ vendor, architecture, device, description }: AdapterIdentity): string {
  const words = [vendor, architecture, device, description.replace(/[:(].*$/, ""), gpuInUse(), runtime().name]
    .join(" ");
  const name = words.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 120);
  return join(cacheDirectory(), "tiles", `${name}.json`);
}

/**
 * The table that was kept for an adapter.
 *
 * @returns the table; or why the file that is there is not used, as the end of a sentence; or undefined where there is none
 */
export async function readTable(
  adapter: AdapterIdentity,
): Promise<
  TileTable | { readonly path: string; readonly refused: string; readonly unfinished?: boolean } | undefined
> {
  const path = tablePath(adapter);
  if (!await exists(path)) return undefined;
  const refuse = (why: string) => ({ path, refused: oneLine(why, 160) });
  let found: unknown;
  try {
    await using file = await openFile(path);
    if (file.size > MOST_BYTES) return refuse(`it has ${file.size} bytes, ${MOST_BYTES} are the most`);
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(await file.read(0, file.size)));
  } catch (error) {
    return refuse(`it cannot be read: ${(error as Error).message}`);
  }
  if (!isRecord(found) || !isRecord(found.key)) return refuse("it is no table of tiles");
  for (const [name, wanted] of Object.entries(tableKey(adapter))) {
    if (found.key[name] !== wanted) {
      return refuse(
        `it is of ${name} ${JSON.stringify(found.key[name]) ?? "none"}, here is ${JSON.stringify(wanted)}`,
      );
    }
  }
  if (found.unfinished === true) {
    return { ...refuse("measuring was not finished: it may have failed"), unfinished: true };
  }
  if (!isRecord(found.kinds)) return refuse("it has no kinds of products");
  const kinds = new Map<string, TunedKind>();
  for (const [name, one] of Object.entries(found.kinds)) {
    const kind = productKinds.find((kind) => kind.name === name);
    const cut = kind && isRecord(one) ? checkedCut(one.cut, [...kind.tiles, ...plainTiles]) : undefined;
    if (!cut || !isRecord(one) || !isTime(one.before) || !isTime(one.after)) {
      return refuse(`${JSON.stringify(name)} is not what is measured here`);
    }
    kinds.set(name, { cut, before: one.before, after: one.after });
  }
  const left = Array.isArray(found.left)
    ? found.left.filter((name) => productKinds.some((kind) => kind.name === name))
    : [];
  return { path, kinds, left };
}

/** Keeps what was found; without it, notes that measuring has begun. Throws InputError when it cannot be written. */
export async function writeTable(adapter: AdapterIdentity, tuning?: Tuning): Promise<string> {
  const path = tablePath(adapter), key = tableKey(adapter);
  await makeDirectory(dirname(path));
  await removeTemporariesOf(path);
  await writeJson(
    path,
    tuning ? { key, kinds: Object.fromEntries(tuning.kinds), left: tuning.left } : { key, unfinished: true },
  );
  return path;
}

/** A cut that is among those that are measured. */
function checkedCut(found: unknown, tiles: readonly Tile[]): Cut | undefined {
  if (!isRecord(found)) return undefined;
  const tile = tiles.find((one) => Object.entries(one).every(([name, size]) => found[name] === size));
  const fill = [0, ...fills].find((one) => found.fill === one);
  return tile && fill !== undefined ? { ...tile, fill } : undefined;
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value > 0;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
