/**
 * An adapter's adapter_config.json, in the layout of Hugging Face's PEFT: every field is understood, asks for nothing,
 * or is refused by name.
 */

import { isAbsolute, join, resolve } from "node:path";
import { InputError } from "../runtime/errors.ts";
import { exists, isDirectory, readJson } from "../runtime/files.ts";
import type { Lora } from "./lora.ts";
import { checkPattern, isPattern, type TargetRules } from "./peft_patterns.ts";
import { parseHubModel, resolveModel, type ResolveModelOptions } from "./resolve_model.ts";

/** The config's file in an adapter's directory. */
export const adapterConfigName = "adapter_config.json";

/** An adapter as its config describes it. */
export interface AdapterFiles {
  /** Where it lies. */
  readonly directory: string;
  /** What the adapter says its base is: a path or a name on the hub. */
  readonly base: string;
  /** Of a base on the hub: its branch, tag or commit. */
  readonly revision?: string | undefined;
  /** Ranks, scales, dropout and modules trained as a whole; the tensors tell where low-rank updates are. */
  readonly lora: Omit<Lora, "targets" | "layers" | "modules" | "embedding" | "fixed">;
  /** Whether updated matrices have lengths of the adapter's own (use_dora). */
  readonly dora: boolean;
  /** Tokens whose rows are the adapter's, by the end of a module's path; of a plain list, the embedding's by "". */
  readonly tokens: ReadonlyMap<string, readonly number[]>;
  /** Where the config wants low-rank updates. */
  readonly rules: TargetRules;
  /** Whether modules that share their numbers in the base are to share them in the adapter. */
  readonly tied: boolean;
}

/** Whether a directory holds an adapter and not a whole model. */
export async function isAdapterDirectory(directory: string): Promise<boolean> {
  return await exists(join(directory, adapterConfigName)) && !await exists(join(directory, "config.json"));
}

/** Fields that are read below, say nothing of what an adapter computes, or concern its making alone. */
const neutral: ReadonlySet<string> = new Set([
  ...["peft_type", "task_type", "r", "lora_alpha", "lora_dropout", "base_model_name_or_path", "use_rslora"],
  ...["target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save"],
  ...["rank_pattern", "alpha_pattern", "ensure_weight_tying", "use_dora", "trainable_token_indices"],
  ...["peft_version", "auto_mapping", "revision", "inference_mode", "runtime_config", "megatron_core"],
  // PEFT itself sets it by the kind of the layer.
  "fan_in_fan_out",
  // Of how factors began, where the base stays as it is; a size of what `use_qalora` would switch on.
  ...["eva_config", "qalora_group_size"],
]);

/** Other fields that may hold more than nothing, and what they may hold. */
const served: Readonly<Record<string, (value: unknown) => boolean>> = {
  bias: (value) => value === "none",
  // The others (pissa, olora, corda, loftq, …) take a part out of the base's weights, which its own checkpoint still has.
  init_lora_weights: (value) =>
    typeof value === "boolean" || ["gaussian", "orthogonal", "eva"].includes(String(value).toLowerCase()),
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
 * @throws {InputError} when it is missing, no LoRA adapter of a causal model, or has a field that is not served (PiSSA, …)
 * or not known
 */
export async function readAdapterConfig(directory: string): Promise<AdapterFiles> {
  const path = join(directory, adapterConfigName);
  if (!await isDirectory(directory)) {
    throw new InputError(`Cannot load adapter ${directory}: no such directory`);
  }
  if (!await exists(path)) {
    throw new InputError(`Cannot load adapter ${directory}: ${adapterConfigName} is missing`);
  }
  const json = await readJson(path) as Record<string, unknown> | null;
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new InputError(`Cannot read ${path}: expected a JSON object`);
  }
  const wrong = (field: string, expected: string, found: unknown = json[field]) =>
    new InputError(
      `Cannot read ${path}: field "${field}" must be ${expected}: got ${JSON.stringify(found) ?? "nothing"}`,
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
  if (!isRank(r)) throw wrong("r", "a positive integer");
  if (!isAlpha(alpha)) throw wrong("lora_alpha", "a positive number");
  if (typeof dropout !== "number" || !(dropout >= 0 && dropout < 1)) {
    throw wrong("lora_dropout", "a number from 0 to below 1");
  }
  if (typeof base !== "string" || base === "") throw wrong("base_model_name_or_path", "a path or a name");
  const flag = (field: string): boolean => {
    const value = json[field] ?? false;
    if (typeof value !== "boolean") throw wrong(field, "true or false");
    return value;
  };
  checkPattern(
    json.rank_pattern,
    isRank,
    (found) => wrong("rank_pattern", "positive integers by regular expression", found),
  );
  checkPattern(
    json.alpha_pattern,
    isAlpha,
    (found) => wrong("alpha_pattern", "positive numbers by regular expression", found),
  );
  const names = (field: string): readonly string[] => {
    const value = json[field] ?? [];
    if (!isNames(value)) throw wrong(field, "a list of names");
    return value;
  };
  const saved = names("modules_to_save");
  return {
    directory,
    base,
    revision: typeof json.revision === "string" ? json.revision : undefined,
    lora: {
      ...{ r, alpha, dropout },
      ...(flag("use_rslora") && { rankStabilized: true }),
      ...(!isNothing(json.rank_pattern) && { rankPattern: json.rank_pattern as Record<string, number> }),
      ...(!isNothing(json.alpha_pattern) && { alphaPattern: json.alpha_pattern as Record<string, number> }),
      ...(saved.length > 0 && { modulesToSave: saved }),
    },
    rules: targetRules(json, wrong),
    tied: flag("ensure_weight_tying"),
    dora: flag("use_dora"),
    tokens: tokensByModule(
      json.trainable_token_indices,
      (found) => wrong("trainable_token_indices", "token ids, each once, or such lists by module", found),
    ),
  };
}

/** `[1, 2]` or `{"embed_tokens": [1, 2]}`; lists without a token ask for nothing. */
function tokensByModule(value: unknown, refusal: (found: unknown) => InputError): Map<string, number[]> {
  if (isNothing(value)) return new Map();
  if (typeof value !== "object") throw refusal(value);
  const lists = Object.entries(Array.isArray(value) ? { "": value } : value!);
  for (const [, ids] of lists) {
    const isId = (id: unknown) => Number.isSafeInteger(id) && (id as number) >= 0;
    if (!Array.isArray(ids) || !ids.every(isId) || new Set(ids).size < ids.length) throw refusal(value);
  }
  return new Map((lists as [string, number[]][]).filter(([, ids]) => ids.length > 0));
}

function isRank(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function isAlpha(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value > 0;
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string" && name !== "");
}

function targetRules(
  json: Readonly<Record<string, unknown>>,
  wrong: (field: string, expected: string) => InputError,
): TargetRules {
  const modules = (field: string): TargetRules["target_modules"] => {
    const value = json[field] ?? null;
    if (typeof value === "string" ? isPattern(value) : value === null || isNames(value)) {
      return isEmpty(value) ? null : value as TargetRules["target_modules"];
    }
    throw wrong(field, "a list of names or a regular expression");
  };
  const layers = [json.layers_to_transform ?? []].flat();
  if (!layers.every((layer) => Number.isSafeInteger(layer) && (layer as number) >= 0)) {
    throw wrong("layers_to_transform", "a layer's number or a list of them");
  }
  const pattern = [json.layers_pattern ?? []].flat().filter((name) => name !== "");
  if (!pattern.every((name) => typeof name === "string" && isPattern(name))) {
    throw wrong("layers_pattern", "a name or a list of names");
  }
  return {
    target_modules: modules("target_modules"),
    exclude_modules: modules("exclude_modules"),
    layers_to_transform: layers.length > 0 ? layers as number[] : null,
    layers_pattern: pattern as string[],
  };
}

/**
 * Where an adapter's base lies: what its config names, from here, from the adapter's folder or on the hub.
 *
 * @throws {InputError} when there is no such directory
 */
export async function baseDirectory(
  { directory, base, revision }: Pick<AdapterFiles, "directory" | "base" | "revision">,
  options: ResolveModelOptions = {},
): Promise<string> {
  const beside = resolve(directory, base);
  if (await isDirectory(base)) return base;
  if (!isAbsolute(base) && await isDirectory(beside)) return beside;
  if (parseHubModel(base)) {
    const at = revision === undefined || base.includes("@") ? base : `${base}@${revision}`;
    return await resolveModel(at, options);
  }
  throw new InputError(
    `Cannot load adapter ${directory}: its base "${base}" is not there; give the base as option \`model\` and this as option \`adapter\``,
  );
}
