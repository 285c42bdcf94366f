/** What `--dry-run` says about memory, and the refusal of what cannot fit. */

import type { BackendChoice } from "../../lib/backend/backend.ts";
import { baseDirectory, isAdapterDirectory, readAdapterConfig } from "../../lib/checkpoint/adapter_files.ts";
import { readConfig } from "../../lib/checkpoint/checkpoint.ts";
import type { DecoderConfig } from "../../lib/checkpoint/config.ts";
import { type Lora, parseLora } from "../../lib/checkpoint/lora.ts";
import { bytesText, checkFits, type MemoryOptions, memoryPlan, shortfall } from "../../lib/model/memory.ts";
import { currentLimits, expectedLimits } from "../../lib/model/memory_limits.ts";
import { resolveModel } from "../../lib/checkpoint/resolve_model.ts";
import type { BaseDtype } from "../../lib/checkpoint/stored_bytes.ts";

/** The options of a task that decide what it needs. */
export interface MemoryChoices {
  readonly model?: string;
  readonly adapter?: string;
  readonly lora?: string;
  readonly baseDtype: BaseDtype;
  readonly backend: BackendChoice;
  readonly microBatch?: number;
  readonly recompute?: boolean;
  readonly slots?: number;
  readonly samples?: number;
  readonly maxTokens?: number;
}

/** Bytes of keys and values that generation takes at most on its own choice. */
const CACHE_BYTES = 256 * 2 ** 20;

function requirements(
  task: MemoryOptions["task"],
  choices: MemoryChoices,
  { config, lora }: { readonly config: DecoderConfig; readonly lora?: Lora },
): MemoryOptions {
  const { baseDtype, microBatch, recompute, samples = 6, maxTokens = 256 } = choices;
  const row = config.layers * 8 * config.kvHeads * config.headDim;
  const slots = Math.min(96, Math.max(samples, Math.floor(CACHE_BYTES / (row * maxTokens * 1.5))));
  return {
    task,
    lora,
    baseDtype,
    recompute,
    samples,
    maxTokens,
    microBatchTokens: microBatch,
    slots: choices.slots ?? slots,
    promptTokens: Math.min(256, config.maxPositions),
  };
}

/** A directory, or what to say in place of figures where the hub cannot be reached and the like. */
async function reached(find: () => Promise<string>): Promise<string | { readonly memory: string }> {
  try {
    return await find();
  } catch (error) {
    return { memory: `not known: ${(error as Error).message}` };
  }
}

/**
 * The part of `--dry-run` about memory, from config.json alone: parameters, bytes by purpose, what the machine allows
 * and whether it fits. Of a model
 * on the hub (an adapter, and an adapter's base too) the config is downloaded and nothing else; where it cannot be had, that is said.
 */
export async function planMemory(
  task: MemoryOptions["task"],
  choices: MemoryChoices,
): Promise<Readonly<Record<string, unknown>>> {
  const { model, backend } = choices;
  if (model === undefined) return {};
  const asked = choices.lora === undefined ? undefined : parseLora(choices.lora);
  const here = await reached(() => resolveModel(model, { only: "config" }));
  if (typeof here !== "string") return here;
  const itself = await isAdapterDirectory(here), directory = itself ? here : choices.adapter;
  const files = directory === undefined ? undefined : await readAdapterConfig(directory);
  const base = itself ? await reached(() => baseDirectory(files!, { only: "config" })) : here;
  if (typeof base !== "string") return base;
  const config = await readConfig(base), limits = await expectedLimits(backend);
  const lora = asked ?? files?.lora; // all targets, where only the adapter's tensors would tell
  const plan = memoryPlan(config, requirements(task, choices, { config, lora }));
  return {
    memory: {
      ...plan,
      total: bytesText(plan.bytes.total),
      limits,
      fits: shortfall(plan, limits) ?? "as far as the limits tell",
    },
  };
}

/** Refuses, once the config is known and before any weight is read, a run that cannot fit. */
export function memoryCheck(task: MemoryOptions["task"], choices: MemoryChoices) {
  return (config: DecoderConfig, lora?: Lora): void =>
    checkFits(config, requirements(task, choices, { config, lora }), currentLimits());
}
