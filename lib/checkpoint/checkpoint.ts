/**
 * A model directory in Hugging Face's layout, opened for reading: everything is checked before any weight is read.
 */

import { join } from "node:path";
import { InputError } from "../runtime/errors.ts";
import { exists, isDirectory, readJson } from "../runtime/files.ts";
import { replacedDirectory } from "../runtime/write_directory.ts";
import { askedBy, checkLayers, checkManyLayers } from "./_stored_sizes.ts";
import { type DecoderConfig, parseConfig } from "./config.ts";
import { isBuffer, type Parameter, parameterPlan, type Part, partShape } from "./parameter_plan.ts";
import { isFloatDtype, type TakePiece, type TensorInfo, type TensorSource } from "./safetensors.ts";
import { openTensors } from "./sharded_tensors.ts";

/** An open checkpoint. Close it when its weights are read and written. */
export interface Checkpoint extends AsyncDisposable {
  /** Where it is. */
  readonly directory: string;
  /** The decoder; its `endTokens` are generation_config.json's where that names any. */
  readonly config: DecoderConfig;
  /** The parameters and the tensors that make them up. */
  readonly plan: readonly Parameter[];
  /** Kind and shape of every stored tensor. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The tensors that no parameter uses: constants of older formats, and what `unknown: "keep"` let through. */
  readonly unused: readonly string[];
  /** The free text of the weights' header. */
  readonly metadata: Readonly<Record<string, string>>;
  /** A parameter's parts joined, [out, in], row-major, in float32. */
  readParameter(parameter: Parameter): Promise<Float32Array>;
  /** A stored tensor in float32, in its own shape. Throws InputError when it is not F32, F16 or BF16. */
  readTensor(name: string): Promise<Float32Array>;
  /** A stored tensor's bytes by pieces; see {@linkcode TensorSource}. */
  readPieces(name: string, take: TakePiece): Promise<void>;
  /** The bytes of a stored tensor. */
  readBytes(name: string): Promise<Uint8Array>;
  /** Gives the files back to the system. */
  close(): Promise<void>;
}

/** How to open a checkpoint. */
export interface OpenCheckpointOptions {
  /** What to do with tensors that the decoder has no use for: `refuse` (default), or `keep`, to write them again. */
  readonly unknown?: "refuse" | "keep" | undefined;
}

/**
 * Opens a model directory and checks that config.json and weights agree: every tensor of the plan present, with the
 * shape that the config asks for and a dtype that can be a weight. Throws InputError, one line, otherwise.
 */
export async function openCheckpoint(
  directory: string,
  options: OpenCheckpointOptions = {},
): Promise<Checkpoint> {
  const config = await readConfig(directory);
  const source = await openTensors(directory);
  try {
    checkLayers(config.raw, join(directory, "config.json"), source.tensors);
    const plan = parameterPlan(config, source.tensors);
    const used = checkTensors(directory, config, { plan, tensors: source.tensors });
    const unused = [...source.tensors.keys()].filter((name) => !used.has(name));
    const unknown = unused.filter((name) => !isBuffer(name));
    if (unknown.length > 0 && options.unknown !== "keep") {
      throw new InputError(
        `Cannot open model directory ${directory}: tensor "${
          unknown[0]
        }" is not one of a ${config.modelType} ` +
          `model's${
            unknown.length > 1 ? ` (${unknown.length} such tensors)` : ""
          }; option \`unknown: keep\` ` +
          "carries it along unchanged",
      );
    }
    const close = () => source.close();
    return {
      directory,
      config,
      plan,
      tensors: source.tensors,
      unused,
      metadata: source.metadata,
      readParameter: (parameter) => readParameter(source, parameter),
      readTensor: (name) => source.readFloats(name),
      readPieces: (name, take) => source.readPieces(name, take),
      readBytes: (name) => source.readBytes(name),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * Reads the config of a model directory, whether or not its weights are there; end tokens of generation_config.json
 * come before config.json's, as transformers has it. Throws InputError.
 */
export async function readConfig(directory: string): Promise<DecoderConfig> {
  if (!await isDirectory(directory)) {
    const found = await exists(directory) ? "it is a file" : await whyMissing(directory);
    throw new InputError(`Cannot open model directory ${directory}: ${found}`);
  }
  const path = join(directory, "config.json");
  if (!await exists(path)) {
    throw new InputError(`Cannot open model directory ${directory}: config.json is missing`);
  }
  const json = await readJson(path);
  await checkManyLayers(json, directory, path);
  const config = parseConfig(json, path);
  const generation = join(directory, "generation_config.json");
  if (!await exists(generation)) return config;
  const end = (await readJson(generation) as { eos_token_id?: unknown } | null)?.eos_token_id;
  if (end === undefined || end === null) return config;
  const endTokens = [end].flat();
  const inside = (id: unknown) =>
    Number.isInteger(id) && (id as number) >= 0 && (id as number) < config.vocabularySize;
  if (!endTokens.every(inside)) {
    throw new InputError(
      `Cannot read ${generation}: field "eos_token_id" must be ids below ${config.vocabularySize}: got ` +
        JSON.stringify(end),
    );
  }
  return { ...config, endTokens: endTokens as number[] };
}

/** Why there is no such directory: where its content is, when the process that was replacing it was killed. */
export async function whyMissing(directory: string): Promise<string> {
  const content = await replacedDirectory(directory);
  return content === undefined
    ? "no such directory"
    : `no such directory; a process that was replacing it was killed, and what it held is in ${content}: move that back`;
}

/** Checks the tensors of a plan and returns their names. */
function checkTensors(
  directory: string,
  { raw }: DecoderConfig,
  { plan, tensors }: {
    readonly plan: readonly Parameter[];
    readonly tensors: ReadonlyMap<string, TensorInfo>;
  },
): Set<string> {
  const used = new Set<string>();
  const check = (parameter: Parameter, name: string, part?: Part): void => {
    const expected = part ? partShape(parameter, part) : parameter.shape;
    const found = tensors.get(name);
    const wrong = (what: string) =>
      new InputError(`Cannot open model directory ${directory}: tensor "${name}" ${what}`);
    if (!found) throw wrong(`is missing: config.json asks for one of shape [${expected.join(", ")}]`);
    if (found.shape.join() !== expected.join()) {
      const { shape } = found, transposed = part?.transposed ?? false;
      const by = askedBy(raw, parameter.name, { expected, found: shape, transposed });
      throw wrong(
        `has shape [${found.shape.join(", ")}]: config.json asks for [${expected.join(", ")}]${by}`,
      );
    }
    if (!isFloatDtype(found.dtype)) {
      throw wrong(`must be F32, F16 or BF16 to be a weight: got ${found.dtype}`);
    }
    used.add(name);
  };
  for (const parameter of plan) {
    for (const part of parameter.parts) check(parameter, part.tensor, part);
    for (const copy of parameter.copies) check(parameter, copy);
  }
  return used;
}

async function readParameter(source: TensorSource, parameter: Parameter): Promise<Float32Array> {
  const [rows, columns = 1] = parameter.shape;
  const values = new Float32Array(rows * columns);
  let row = 0;
  for (const part of parameter.parts) {
    const target = values.subarray(row * columns, (row + part.rows) * columns);
    if (part.transposed) {
      transpose(await source.readFloats(part.tensor), target, { rows: columns, columns: part.rows });
    } else await source.readFloats(part.tensor, target);
    row += part.rows;
  }
  for (const copy of parameter.copies) {
    if (!sameBits(values, await source.readFloats(copy))) {
      throw new InputError(
        `Cannot read ${source.pathOf(copy)}: tensor "${copy}" must equal "${
          parameter.parts[0].tensor
        }", to ` +
          `which config.json ties it: got other numbers`,
      );
    }
  }
  return values;
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const bits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);
  const left = bits(a), right = bits(b);
  return left.length === right.length && left.every((value, i) => value === right[i]);
}

/** target[c, r] = source[r, c], by blocks that stay in the cache. */
export function transpose(
  source: Float32Array,
  target: Float32Array,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): void {
  // On bits: a copy of a float may change a NaN's payload.
  const from = new Uint32Array(source.buffer, source.byteOffset, source.length);
  const to = new Uint32Array(target.buffer, target.byteOffset, target.length);
  const block = 32;
  for (let top = 0; top < rows; top += block) {
    const bottom = Math.min(rows, top + block);
    for (let left = 0; left < columns; left += block) {
      const right = Math.min(columns, left + block);
      for (let r = top; r < bottom; r++) {
        for (let c = left; c < right; c++) to[c * rows + r] = from[r * columns + c];
      }
    }
  }
}
