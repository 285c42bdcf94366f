/** Adapters as PEFT writes them, made by hand, and the full models that they stand for. */

import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openSafetensors, writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { gaussian } from "../_backends.ts";
import { freshPath } from "../_models.ts";

/** A matrix or a vector by its shape. */
export interface Numbers {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Numbers that matter, other ones for each seed. */
export function numbers(seed: number, ...shape: number[]): Numbers {
  const values = gaussian(shape.reduce((a, b) => a * b, 1), seed).map((value) => 0.2 * value);
  return { shape, values };
}

/** Writes tensors by name. */
export async function writeTensorsByName(
  path: string,
  tensors: ReadonlyMap<string, Numbers>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Promise<void> {
  const list = [...tensors].map(([name, { shape, values }]) => ({
    name,
    shape,
    dtype: "F32" as const,
    bytes: () => new Uint8Array(values.slice().buffer),
  }));
  await writeSafetensors(path, list, { metadata });
}

/** All tensors of a file. */
export async function readTensorsByName(path: string): Promise<Map<string, Numbers>> {
  await using source = await openSafetensors(path);
  const found = new Map<string, Numbers>();
  for (const [name, { shape }] of source.tensors) {
    found.set(name, { shape, values: await source.readFloats(name) });
  }
  return found;
}

/** A directory with an adapter_config.json as PEFT 0.18 writes it, and these tensors. */
export async function writePeft(
  base: string,
  config: Readonly<Record<string, unknown>>,
  tensors: Readonly<Record<string, Numbers>>,
): Promise<string> {
  const path = freshPath();
  mkdirSync(path, { recursive: true });
  const whole = {
    ...{ peft_type: "LORA", task_type: "CAUSAL_LM", base_model_name_or_path: base, inference_mode: true },
    ...{ r: 2, lora_alpha: 4, lora_dropout: 0, bias: "none", init_lora_weights: true, use_rslora: false },
    ...{
      alora_invocation_tokens: null,
      arrow_config: null,
      auto_mapping: null,
      corda_config: null,
      use_dora: false,
    },
    ...{ ensure_weight_tying: false, eva_config: null, exclude_modules: null, fan_in_fan_out: false },
    ...{ layer_replication: null, layers_pattern: null, layers_to_transform: null, loftq_config: {} },
    ...{ lora_bias: false, megatron_config: null, megatron_core: "megatron.core", modules_to_save: null },
    ...{ peft_version: "0.18.0", qalora_group_size: 16, rank_pattern: {}, alpha_pattern: {}, revision: null },
    ...{ target_parameters: null, trainable_token_indices: null, use_qalora: false, target_modules: null },
    ...config,
  };
  writeFileSync(join(path, "adapter_config.json"), JSON.stringify(whole));
  await writeTensorsByName(join(path, "adapter_model.safetensors"), new Map(Object.entries(tensors)));
  return path;
}

/** A copy of a model directory with tensors and fields of config.json changed. */
export async function changedModel(
  base: string,
  change: (tensors: Map<string, Numbers>) => void,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const path = freshPath(), config = join(path, "config.json"), weights = join(path, "model.safetensors");
  cpSync(base, path, { recursive: true });
  const tensors = await readTensorsByName(weights);
  change(tensors);
  await writeTensorsByName(weights, tensors);
  writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, "utf8")), ...fields }));
  return path;
}

/** W + scale·B·A, one number at a time. */
export function addUpdate(
  { shape: [rows, columns], values }: Numbers,
  { a, b, scale }: { readonly a: Numbers; readonly b: Numbers; readonly scale: number },
): Numbers {
  const r = a.shape[0]!, summed = values.slice();
  for (let i = 0; i < rows!; i++) {
    for (let j = 0; j < columns!; j++) {
      let sum = 0;
      for (let k = 0; k < r; k++) sum += b.values[i * r + k]! * a.values[k * columns! + j]!;
      summed[i * columns! + j]! += scale * sum;
    }
  }
  return { shape: [rows!, columns!], values: summed };
}

/** The transpose. */
export function turned({ shape: [rows, columns], values }: Numbers): Numbers {
  const out = new Float32Array(values.length);
  for (let i = 0; i < rows!; i++) {
    for (let j = 0; j < columns!; j++) out[j * rows! + i] = values[i * columns! + j]!;
  }
  return { shape: [columns!, rows!], values: out };
}
