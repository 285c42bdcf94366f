/**
 * The weights of a model directory: model.safetensors, or shards and the index that says which holds what.
 */

import { basename, join } from "node:path";
import { InputError } from "../runtime/errors.ts";
import { exists, readJson, writeJson } from "../runtime/files.ts";
import {
  openSafetensors,
  tensorBytes,
  type TensorSource,
  type TensorToWrite,
  writeSafetensors,
} from "./safetensors.ts";
import { byPlainName } from "./tensor_names.ts";

const singleName = "model.safetensors";
const indexName = "model.safetensors.index.json";

/**
 * Opens the weights of a model directory, by their names without wrappers' prefixes ({@linkcode byPlainName}). Throws
 * InputError when they are missing, incomplete or contradictory.
 */
export async function openTensors(directory: string): Promise<TensorSource> {
  const source = await openStored(directory);
  try {
    return renamed(source, directory);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** The same tensors by their plain names. */
function renamed(source: TensorSource, directory: string): TensorSource {
  const what = `Cannot open model directory ${directory}`, names = byPlainName(source.tensors.keys(), what);
  const factor = [...names.values()].find((name) => /\.(base_layer|lora_\w+)\./.test(name));
  if (factor !== undefined) {
    throw new InputError(
      `${what}: tensor "${factor}" is of a model that PEFT still wraps; merge its adapter there (merge_and_unload), or ` +
        "save the adapter alone",
    );
  }
  if ([...names].every(([plain, stored]) => plain === stored)) return source;
  const stored = (name: string) => names.get(name) ?? name;
  return {
    ...source,
    tensors: new Map([...names].map(([plain, name]) => [plain, source.tensors.get(name)!])),
    pathOf: (name) => source.pathOf(stored(name)),
    readBytes: (name) => source.readBytes(stored(name)),
    readFloats: (name, target) => source.readFloats(stored(name), target),
    readPieces: (name, take) => source.readPieces(stored(name), take),
  };
}

async function openStored(directory: string): Promise<TensorSource> {
  const single = join(directory, singleName), index = join(directory, indexName);
  if (await exists(single)) return await openSafetensors(single);
  if (!await exists(index)) {
    const pickled = await exists(join(directory, "pytorch_model.bin"));
    throw new InputError(
      `Cannot open model directory ${directory}: expected ${singleName} or ${indexName}: found ` +
        (pickled ? "pytorch_model.bin, which must be converted first" : "neither"),
    );
  }
  const map = await readWeightMap(index);
  const sources = new Map<string, TensorSource>();
  const close = async () => {
    await Promise.all([...sources.values()].map((source) => source.close()));
  };
  try {
    for (const shard of new Set(map.values())) {
      const path = join(directory, shard);
      if (!await exists(path)) {
        throw new InputError(`Cannot read ${path}: the index ${index} names it, but it is missing`);
      }
      sources.set(shard, await openSafetensors(path));
    }
    return { ...joined(index, map, sources), close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function readWeightMap(index: string): Promise<Map<string, string>> {
  const map = (await readJson(index) as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map) || Object.keys(map).length === 0) {
    throw new InputError(`Cannot read ${index}: field "weight_map" must be an object of file names`);
  }
  for (const [tensor, shard] of Object.entries(map)) {
    // A name with a folder in it could lead out of the model directory.
    if (typeof shard !== "string" || shard !== basename(shard) || !shard.endsWith(".safetensors")) {
      throw new InputError(
        `Cannot read ${index}: tensor "${tensor}" must be in a .safetensors file of the same directory: got ` +
          JSON.stringify(shard),
      );
    }
  }
  return new Map(Object.entries(map));
}

function joined(
  index: string,
  map: ReadonlyMap<string, string>,
  sources: ReadonlyMap<string, TensorSource>,
): Omit<TensorSource, "close" | typeof Symbol.asyncDispose> {
  const owner = (name: string): TensorSource => {
    const source = sources.get(map.get(name) ?? "");
    if (!source) throw new InputError(`Cannot read ${index}: tensor "${name}" is missing`);
    return source;
  };
  for (const [name, shard] of map) {
    if (!sources.get(shard)!.tensors.has(name)) {
      throw new InputError(`Cannot read ${sources.get(shard)!.pathOf(name)}: tensor "${name}" is missing`);
    }
  }
  const all = [...sources].flatMap(([shard, source]) =>
    [...source.tensors].map(([name, info]) => {
      if (map.get(name) !== shard) {
        throw new InputError(
          `Cannot read ${source.pathOf(name)}: tensor "${name}" is not placed there by ${index}`,
        );
      }
      return [name, info] as const;
    })
  );
  return {
    tensors: new Map(all),
    metadata: [...sources.values()][0].metadata,
    pathOf: (name) => owner(name).pathOf(name),
    readBytes: (name) => owner(name).readBytes(name),
    readFloats: (name, target) => owner(name).readFloats(name, target),
    readPieces: (name, take) => owner(name).readPieces(name, take),
  };
}

/**
 * Writes the weights into a directory: one file, or shards of at most `maxShardBytes` of tensors (default 5 GB, as
 * transformers has it) with their index. A tensor larger than that is a shard of its own.
 */
export async function writeTensors(
  directory: string,
  tensors: readonly TensorToWrite[],
  options: {
    readonly maxShardBytes?: number | undefined;
    readonly metadata?: Readonly<Record<string, string>> | undefined;
  } = {},
): Promise<void> {
  const { maxShardBytes = 5e9, metadata } = options;
  const shards: TensorToWrite[][] = [[]];
  let filled = 0, total = 0;
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor);
    if (filled > 0 && filled + bytes > maxShardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(tensor);
    filled += bytes;
    total += bytes;
  }
  if (shards.length === 1) return await writeSafetensors(join(directory, singleName), tensors, { metadata });
  const map: Record<string, string> = {};
  const five = (number: number) => String(number).padStart(5, "0");
  for (const [i, shard] of shards.entries()) {
    const name = `model-${five(i + 1)}-of-${five(shards.length)}.safetensors`;
    await writeSafetensors(join(directory, name), shard, { metadata });
    for (const tensor of shard) map[tensor.name] = name;
  }
  await writeJson(join(directory, indexName), { metadata: { total_size: total }, weight_map: map });
}
