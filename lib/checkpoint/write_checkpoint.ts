/**
 * A model directory in Hugging Face's layout, written as a whole.
 */

import { join, sep } from "node:path";
import {
  isFile,
  listDirectory,
  openFile,
  realPath,
  writeAtomic,
  writeJson,
  writeText,
} from "../runtime/files.ts";
import type { Listener } from "../runtime/listener.ts";
import { writeDirectoryAtomic } from "../runtime/write_directory.ts";
import { InputError } from "../runtime/errors.ts";
import { narrow, overflowing } from "../runtime/float_bytes.ts";
import { type Checkpoint, transpose } from "./checkpoint.ts";
import type { DecoderConfig } from "./config.ts";
import { companions, modelFileNames } from "./model_file_names.ts";
import { type Parameter, parameterPlan, partShape } from "./parameter_plan.ts";
import type { FloatDtype, TensorToWrite } from "./safetensors.ts";
import { writeTensors } from "./sharded_tensors.ts";

/** What to write, and how. */
export interface WriteCheckpointOptions {
  /** The decoder; config.json is its `raw`. */
  readonly config: DecoderConfig;
  /** A parameter's numbers, [out, in] row-major; asked for once, in the order of the plan. */
  readonly parameter: (parameter: Parameter) => Promise<Float32Array> | Float32Array;
  /**
   * The checkpoint that the model came from, still open: gives names and dtypes of tensors, the ones that no
   * parameter uses, tokenizer, generation_config.json, chat template and licence.
   */
  readonly source?: Checkpoint;
  /** Kind of all weights; by default each tensor keeps the source's (without a source, what the config says). */
  readonly dtype?: FloatDtype | undefined;
  /** Text files by name, such as the tokenizer's or README.md; they replace the source's. */
  readonly files?: ReadonlyMap<string, string>;
  /** Bytes of tensors a file, before a second one is begun (default 5 GB). */
  readonly maxShardBytes?: number;
  /** Whether a directory that is there already is replaced (default: it is refused). */
  readonly overwrite?: boolean | undefined;
  /** Told of companions that are left out. */
  readonly listener?: Listener | undefined;
}

const torchNames: Readonly<Record<FloatDtype, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/**
 * Writes a model directory that transformers and {@linkcode openCheckpoint} load: fused parameters cut back into the
 * checkpoint's tensors, with their names and shapes. One parameter is held at a time, and the directory appears under
 * its name only when it is complete. Narrowing rounds to the nearest, ties to even.
 *
 * Throws InputError when the directory is there already, unless `overwrite`, when it cannot be written, and for a number
 * that would become infinite.
 */
export async function writeCheckpoint(directory: string, options: WriteCheckpointOptions): Promise<void> {
  const { config, source, dtype, files = new Map<string, string>(), maxShardBytes, overwrite } = options;
  const plan = source?.plan ?? parameterPlan(config);
  await writeDirectoryAtomic(directory, async (temporary) => {
    const tensors = tensorsToWrite(plan, { ...options, directory });
    await writeTensors(temporary, tensors, { maxShardBytes, metadata: source?.metadata });
    await writeJson(join(temporary, "config.json"), configJson(config, dtype));
    if (source) await copyCompanions(source.directory, temporary, options.listener?.warn);
    const begin = config.beginToken, end = config.endTokens;
    if (!source && (begin !== undefined || end.length > 0)) {
      await writeJson(join(temporary, "generation_config.json"), {
        bos_token_id: begin,
        eos_token_id: end.length > 1 ? end : end[0],
      });
    }
    for (const [name, text] of files) await writeText(join(temporary, name), text);
  }, { overwrite, owned: modelFileNames });
}

/** config.json's content for a decoder, its dtype changed where another is asked for. */
function configJson(config: DecoderConfig, dtype?: FloatDtype): Record<string, unknown> {
  if (!dtype) return config.raw;
  const field = "dtype" in config.raw && !("torch_dtype" in config.raw) ? "dtype" : "torch_dtype";
  return { ...config.raw, [field]: torchNames[dtype] };
}

function tensorsToWrite(
  plan: readonly Parameter[],
  { config, source, dtype, parameter: read, directory }: WriteCheckpointOptions & {
    readonly directory: string;
  },
): TensorToWrite[] {
  const narrowed = (tensor: string, values: Float32Array, to: FloatDtype): Uint8Array => {
    const beyond = overflowing(values, to);
    if (beyond === undefined) return narrow(values, to);
    throw new InputError(
      `Cannot write ${directory} in ${to}: tensor "${tensor}" holds ${beyond}, which ${to} has no room for; BF16 and F32 have`,
    );
  };
  const stated = (Object.keys(torchNames) as FloatDtype[]).find((name) =>
    torchNames[name] === config.torchDtype
  );
  const dtypeOf = (tensor: string): FloatDtype =>
    dtype ?? source?.tensors.get(tensor)?.dtype as FloatDtype | undefined ?? stated ?? "F32";

  // The tensors of a parameter follow each other, so that the last one read serves them all.
  let last: { readonly name: string; readonly values: Float32Array } | undefined;
  const values = async (parameter: Parameter): Promise<Float32Array> => {
    if (last?.name === parameter.name) return last.values;
    last = undefined;
    const found = await read(parameter), expected = parameter.shape.reduce((a, b) => a * b, 1);
    if (found.length !== expected) {
      throw new Error(`Parameter "${parameter.name}" has ${found.length} numbers: expected ${expected}`);
    }
    last = { name: parameter.name, values: found };
    return found;
  };

  const tensors: TensorToWrite[] = [];
  for (const parameter of plan) {
    const columns = parameter.shape[1] ?? 1;
    let row = 0;
    for (const part of parameter.parts) {
      const first = row, kept = dtypeOf(part.tensor);
      row += part.rows;
      tensors.push({
        name: part.tensor,
        dtype: kept,
        shape: partShape(parameter, part),
        bytes: async () => {
          const rows = (await values(parameter)).subarray(first * columns, (first + part.rows) * columns);
          if (!part.transposed) return narrowed(part.tensor, rows, kept);
          const turned = new Float32Array(rows.length);
          transpose(rows, turned, { rows: part.rows, columns });
          return narrowed(part.tensor, turned, kept);
        },
      });
    }
    for (const copy of parameter.copies) {
      const kept = dtypeOf(copy);
      tensors.push({
        name: copy,
        dtype: kept,
        shape: parameter.shape,
        bytes: async () => narrowed(copy, await values(parameter), kept),
      });
    }
  }
  for (const name of source?.unused ?? []) {
    tensors.push({ name, ...source!.tensors.get(name)!, bytes: () => source!.readBytes(name) });
  }
  return tensors;
}

/**
 * Copies what goes with the weights, such as the tokenizer, from one model directory to another. A link that leads out of
 * the directory (of a snapshot of the hub's: out of its repository's folder in the cache) is not followed, so that nobody's
 * folder brings a file of the user's into a model that is published; `warn` is told.
 */
export async function copyCompanions(
  from: string,
  to: string,
  warn: (line: string) => void = () => {},
): Promise<void> {
  for (const name of await listDirectory(from)) {
    if (!companions.test(name)) continue;
    const path = join(from, name), left = await whyNotCopied(path, from);
    if (left !== undefined) {
      warn(`Left out ${path}: ${left}`);
      continue;
    }
    await using file = await openFile(path);
    const bytes = await file.read(0, file.size);
    await writeAtomic(join(to, name), (sink) => sink.write(bytes));
  }
}

async function whyNotCopied(path: string, folder: string): Promise<string | undefined> {
  const root = await realPath(folder), real = await realPath(path);
  if (root === undefined || real === undefined) return "it is a link to nothing";
  const [, repository] = root.match(/^(.*[\\/]models--[^\\/]+)[\\/]snapshots[\\/][0-9a-f]{40}$/) ?? [];
  const inside = [root, ...(repository === undefined ? [] : [join(repository, "blobs")])];
  if (!inside.some((one) => real.startsWith(one + sep))) return "it is a link that leads out of its folder";
  return await isFile(real) ? undefined : "it is no file";
}
