/** What `--dry-run` says about memory, and the refusal of what cannot fit. */

import type { BackendChoice } from "../lib/backend/backend.ts";
import { baseDirectory, isAdapterDirectory, readAdapterConfig } from "../lib/model/adapter_files.ts";
import { readConfig } from "../lib/model/checkpoint.ts";
import type { DecoderConfig } from "../lib/model/config.ts";
import { type Lora, parseLora } from "../lib/model/lora.ts";
import { bytesText, checkFits, type MemoryOptions, memoryPlan, shortfall } from "../lib/model/memory.ts";
import { currentLimits, expectedLimits } from "../lib/model/memory_limits.ts";
import { resolveModel } from "../lib/model/resolve_model.ts";
import type { BaseDtype } from "../lib/model/stored_bytes.ts";

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

/** The adapter that the options lead to, with all targets where only its files would tell. */
async function loraOf({ model, adapter, lora }: MemoryChoices): Promise<Lora | undefined> {
  if (lora !== undefined) return parseLora(lora);
  const directory = adapter ?? (model !== undefined && await isAdapterDirectory(model) ? model : undefined);
  return directory === undefined ? undefined : (await readAdapterConfig(directory)).lora;
}

/**
 * The part of `--dry-run` about memory, from config.json alone: parameters, bytes by purpose, what the machine allows
 * and whether it fits. Of a model on the hub, config.json is downloaded and nothing else; where that cannot be had it says so.
 */
export async function planMemory(
  task: MemoryOptions["task"],
  choices: MemoryChoices,
): Promise<Readonly<Record<string, unknown>>> {
  const { model, backend } = choices;
  if (model === undefined) return {};
  const lora = await loraOf(choices);
  let here: string;
  try {
    here = await resolveModel(model, { only: "config" });
  } catch (error) {
    return { memory: `not known: ${(error as Error).message}` };
  }
  const directory = await isAdapterDirectory(here)
    ? await baseDirectory(await readAdapterConfig(here))
    : here;
  const config = await readConfig(directory), limits = await expectedLimits(backend);
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
  return async (config: DecoderConfig): Promise<void> => {
    checkFits(config, requirements(task, choices, { config, lora: await loraOf(choices) }), currentLimits());
  };
}
