/**
 * Adapters in the layout of Hugging Face's PEFT: adapter_config.json and adapter_model.safetensors, which PEFT, vLLM
 * and others load beside the base.
 */

import { isAbsolute, join, resolve } from "node:path";
import { InputError } from "../runtime/errors.ts";
import { exists, isDirectory, readJson, writeJson } from "../runtime/files.ts";
import type { Listener } from "../runtime/listener.ts";
import { writeDirectoryAtomic } from "../runtime/write_directory.ts";
import { modelFileNames } from "./model_file_names.ts";
import type { AdapterValues } from "./lora.ts";
import type { Checkpoint } from "./checkpoint.ts";
import {
  adaptedProjections,
  adapterShapes,
  type Lora,
  type LoraTarget,
  loraTargets,
  targetsIn,
} from "./lora.ts";
import { parseHubModel, resolveModel, type ResolveModelOptions } from "./resolve_model.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "./safetensors.ts";
import { copyCompanions } from "./write_checkpoint.ts";

const configName = "adapter_config.json", weightsName = "adapter_model.safetensors";
/** PEFT wraps the model twice; transformers' own paths follow. */
const prefix = "base_model.model.";

/** An adapter as its files describe it. */
export interface AdapterFiles {
  /** Where it lies. */
  readonly directory: string;
  /** What the adapter says its base is: a path or a name on the hub. */
  readonly base: string;
  /** Rank, scale and dropout; the tensors tell the targets. */
  readonly lora: Required<Omit<Lora, "targets">>;
}

/** Whether a directory holds an adapter and not a whole model. */
export async function isAdapterDirectory(directory: string): Promise<boolean> {
  return await exists(join(directory, configName)) && !await exists(join(directory, "config.json"));
}

/** Fields of adapter_config.json that are read below, say nothing of what an adapter computes, or concern its making alone. */
const neutral: ReadonlySet<string> = new Set([
  ...["peft_type", "task_type", "r", "lora_alpha", "lora_dropout", "base_model_name_or_path", "use_rslora"],
  ...["peft_version", "auto_mapping", "revision", "inference_mode", "runtime_config", "megatron_core"],
  // The tensors say where the factors lie; PEFT itself sets fan_in_fan_out by the kind of the layer.
  ...["target_modules", "exclude_modules", "layers_pattern", "fan_in_fan_out"],
  // Of how factors began, where the base stays as it is; a size of what `use_qalora` would switch on.
  ...["eva_config", "qalora_group_size"],
]);

/** Other fields that may hold more than nothing, and what they may hold. */
const served: Readonly<Record<string, (value: unknown) => boolean>> = {
  bias: (value) => value === "none",
  // The others (pissa, olora, corda, loftq, …) take a part out of the base's weights, which its own checkpoint still has.
  init_lora_weights: (value) =>
    typeof value === "boolean" || ["gaussian", "orthogonal", "eva"].includes(String(value)),
};

/** Whether a field asks for nothing: of a field that is not known, all that can be served. */
function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === false || isEmpty(value);
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && (value === null || Object.keys(value).length === 0);
}

/**
 * Reads adapter_config.json.
 *
 * @throws {InputError} when it is missing, no LoRA adapter of a causal model, or has a field that is not served (DoRA,
 * rank patterns, PiSSA, …) or not known
 */
export async function readAdapterConfig(directory: string): Promise<AdapterFiles> {
  const path = join(directory, configName);
  if (!await isDirectory(directory)) {
    throw new InputError(`Cannot load adapter ${directory}: no such directory`);
  }
  if (!await exists(path)) throw new InputError(`Cannot load adapter ${directory}: ${configName} is missing`);
  const json = await readJson(path) as Record<string, unknown> | null;
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new InputError(`Cannot read ${path}: expected a JSON object`);
  }
  const wrong = (field: string, expected: string) =>
    new InputError(
      `Cannot read ${path}: field "${field}" must be ${expected}: got ${
        JSON.stringify(json[field]) ?? "nothing"
      }`,
    );
  if (json.peft_type !== "LORA") throw wrong("peft_type", '"LORA"');
  if ((json.task_type ?? "CAUSAL_LM") !== "CAUSAL_LM") throw wrong("task_type", '"CAUSAL_LM"');
  for (const [field, value] of Object.entries(json)) {
    if (neutral.has(field) || isNothing(value) || Object.hasOwn(served, field) && served[field]!(value)) {
      continue;
    }
    throw new InputError(
      `Cannot read ${path}: ${field} ${JSON.stringify(value).slice(0, 80)} is not supported`,
    );
  }
  const { r, lora_alpha: alpha, lora_dropout: dropout = 0, base_model_name_or_path: base } = json;
  if (!Number.isSafeInteger(r) || (r as number) < 1) throw wrong("r", "a positive integer");
  if (typeof alpha !== "number" || !(alpha > 0)) throw wrong("lora_alpha", "a positive number");
  if (typeof dropout !== "number" || !(dropout >= 0 && dropout < 1)) {
    throw wrong("lora_dropout", "a number from 0 to below 1");
  }
  if (typeof base !== "string" || base === "") throw wrong("base_model_name_or_path", "a path or a name");
  const { use_rslora: rankStabilized = false } = json;
  if (rankStabilized !== null && typeof rankStabilized !== "boolean") {
    throw wrong("use_rslora", "true or false");
  }
  // rsLoRA's scale is α/√r (Kalajdzievski 2023, arXiv 2312.03732): that of an adapter with α√r.
  const scale = rankStabilized ? Math.sqrt(r as number) : 1;
  return { directory, base, lora: { r: r as number, alpha: alpha * scale, dropout } };
}

/**
 * Where an adapter's base lies: what its config names, from here, from the adapter's folder or on the hub.
 *
 * @throws {InputError} when there is no such directory
 */
export async function baseDirectory(
  { directory, base }: Pick<AdapterFiles, "directory" | "base">,
  options: ResolveModelOptions = {},
): Promise<string> {
  const beside = resolve(directory, base);
  if (await isDirectory(base)) return base;
  if (!isAbsolute(base) && await isDirectory(beside)) return beside;
  if (parseHubModel(base)) return await resolveModel(base, options);
  throw new InputError(
    `Cannot load adapter ${directory}: its base "${base}" is not there; give the base as option \`model\` and this as option \`adapter\``,
  );
}

/**
 * What tells one base from another: a digest of a sample of the first layer's and the last norm's numbers. Widening
 * changes nothing, so the same model in BF16 and in F32 has one fingerprint.
 */
export async function baseFingerprint(checkpoint: Checkpoint): Promise<string> {
  const parts: Float32Array[] = [];
  for (const entry of checkpoint.plan) {
    if (!/^layers\.0\.|^norm$/.test(entry.name)) continue;
    const values = await checkpoint.readParameter(entry), stride = Math.ceil(values.length / 4096);
    parts.push(values.filter((_, i) => i % stride === 0));
  }
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (joined.set(part, at), at + part.length), 0);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", joined));
  return Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Reads an adapter for a base that is open: header and shapes are checked before any number is read.
 *
 * @param fingerprint the base's, of {@linkcode baseFingerprint}; compared where it is given and the adapter keeps its
 * own base's
 * @throws {InputError} when a tensor is missing, unknown or of another shape, or the adapter was made for other weights
 */
export async function readAdapter(
  files: AdapterFiles,
  base: Pick<Checkpoint, "config" | "directory">,
  fingerprint?: string,
): Promise<{ readonly lora: Lora; readonly values: AdapterValues }> {
  const { directory } = files, path = join(directory, weightsName);
  if (!await exists(path)) {
    throw new InputError(`Cannot load adapter ${directory}: ${weightsName} is missing`);
  }
  await using source = await openSafetensors(path);
  const other = (why: string) =>
    new InputError(
      `Cannot load adapter ${directory} on ${base.directory}: ${why}; it was made for another base, "${files.base}"`,
    );
  const targets = new Set<LoraTarget>();
  for (const name of source.tensors.keys()) {
    const module = name.match(/^base_model\.model\.(.+)\.lora_[AB]\.weight$/)?.[1];
    const found = module ? targetsIn(module) : [];
    if (found.length === 0) {
      throw new InputError(
        `Cannot load adapter ${directory}: tensor "${name}" is no LoRA factor of a layer's projection`,
      );
    }
    found.forEach((target) => targets.add(target));
  }
  const lora: Lora = { ...files.lora, targets: loraTargets.filter((target) => targets.has(target)) };
  let projections;
  try {
    projections = adaptedProjections(base.config, lora);
  } catch (error) {
    throw other((error as Error).message);
  }
  const { r } = lora, known = new Set<string>();
  const check = (name: string, expected: readonly number[]) => {
    const shape = source.tensors.get(name)?.shape;
    if (shape?.join() !== expected.join()) {
      throw other(
        `tensor "${name}" ${shape ? `has shape [${shape.join(", ")}]` : "is missing"}, expected [${
          expected.join(", ")
        }]`,
      );
    }
    known.add(name);
  };
  for (const { parts, inputs } of projections) {
    for (const { module, rows } of parts) {
      check(`${prefix}${module}.lora_A.weight`, [r, inputs]);
      check(`${prefix}${module}.lora_B.weight`, [rows, r]);
    }
  }
  const unknown = [...source.tensors.keys()].find((name) => !known.has(name));
  if (unknown) throw other(`it has no place for tensor "${unknown}"`);
  const made = source.metadata.base_fingerprint;
  if (made !== undefined && fingerprint !== undefined && made !== fingerprint) {
    throw other("the shapes agree but the weights differ");
  }

  const values = new Map<string, Float32Array>();
  for (const projection of projections) {
    const [[a, shapeA], [b, shapeB]] = adapterShapes(projection, lora);
    const stackA = new Float32Array(shapeA[0] * shapeA[1]), stackB = new Float32Array(shapeB[0] * r);
    const { inputs } = projection;
    for (const [p, { module, row, rows }] of projection.parts.entries()) {
      const place = stackA.subarray(p * r * inputs, (p + 1) * r * inputs);
      await source.readFloats(`${prefix}${module}.lora_A.weight`, place);
      await source.readFloats(`${prefix}${module}.lora_B.weight`, stackB.subarray(row * r, (row + rows) * r));
    }
    values.set(a, stackA).set(b, stackB);
  }
  return { lora, values };
}

/** An adapter to be written. */
export interface AdapterToWrite {
  /** Rank, scale, targets and dropout. */
  readonly lora: Lora;
  /** The base's directory or name, as `base_model_name_or_path` keeps it. */
  readonly base: string;
  /** The base's, of {@linkcode baseFingerprint}. */
  readonly fingerprint: string;
  /** The base, still open: gives shapes, tokenizer and chat template. */
  readonly source: Checkpoint;
  /** Numbers of an adapter parameter by its name. */
  readonly parameter: (name: string) => Promise<Float32Array>;
  /** Whether a directory that is there already is replaced. */
  readonly overwrite?: boolean;
  /** Told of companions that are left out. */
  readonly listener?: Listener;
}

/** Writes an adapter directory, atomically: PEFT's two files, and the base's tokenizer beside them. */
export async function writeAdapter(directory: string, options: AdapterToWrite): Promise<void> {
  const { lora, base, fingerprint, source, parameter, overwrite } = options, { r } = lora;
  const projections = adaptedProjections(source.config, lora), tensors: TensorToWrite[] = [];
  const bytesOf = async (name: string, from: number, count: number) => {
    const values = (await parameter(name)).slice(from, from + count);
    return new Uint8Array(values.buffer);
  };
  for (const projection of projections) {
    const { inputs } = projection, [[a], [b]] = adapterShapes(projection, lora);
    for (const [p, { module, row, rows }] of projection.parts.entries()) {
      tensors.push(
        {
          name: `${prefix}${module}.lora_A.weight`,
          dtype: "F32",
          shape: [r, inputs],
          bytes: () => bytesOf(a, p * r * inputs, r * inputs),
        },
        {
          name: `${prefix}${module}.lora_B.weight`,
          dtype: "F32",
          shape: [rows, r],
          bytes: () => bytesOf(b, row * r, rows * r),
        },
      );
    }
  }
  await writeDirectoryAtomic(directory, async (temporary) => {
    await writeSafetensors(join(temporary, weightsName), tensors, {
      metadata: { format: "pt", base_fingerprint: fingerprint },
    });
    await copyCompanions(source.directory, temporary, options.listener?.warn);
    const modules = projections.flatMap(({ parts }) => parts.map((part) => part.module));
    await writeJson(join(temporary, configName), {
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: base,
      revision: null,
      inference_mode: true,
      r,
      lora_alpha: lora.alpha,
      lora_dropout: lora.dropout ?? 0,
      target_modules: [...new Set(modules.map(moduleName))].sort(),
      modules_to_save: null,
      layers_to_transform: null,
      layers_pattern: null,
      rank_pattern: {},
      alpha_pattern: {},
      bias: "none",
      fan_in_fan_out: source.config.transposedWeights,
      init_lora_weights: true,
      use_rslora: false,
      use_dora: false,
    });
  }, { overwrite, owned: modelFileNames });
}

/** How PEFT is told which modules: by the end of their paths. GPT-2 has two modules `c_proj` in a layer. */
function moduleName(module: string): string {
  const [block, name] = module.split(".").slice(-2);
  return name === "c_proj" ? `${block}.${name}` : name;
}
