/** What `--dry-run` says about memory. */

import type { BackendChoice } from "../../lib/backend/backend.ts";
import { baseDirectory, isAdapterDirectory, readAdapterConfig } from "../../lib/checkpoint/adapter_config.ts";
import { readConfig } from "../../lib/checkpoint/checkpoint.ts";
import { parseLora } from "../../lib/checkpoint/lora.ts";
import { bytesText, type MemoryOptions, memoryPlan, shortfall } from "../../lib/model/memory.ts";
import { expectedLimits } from "../../lib/model/memory_limits.ts";
import { resolveModel } from "../../lib/checkpoint/resolve_model.ts";
import { type MemoryChoices, requirements } from "../../lib/model/needs.ts";

/** The options of a task that decide what it needs. */
export interface PlannedOptions extends MemoryChoices {
  readonly model?: string | undefined;
  readonly adapter?: string | undefined;
  readonly lora?: string | undefined;
  readonly backend: BackendChoice;
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
  choices: PlannedOptions,
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
  const plan = memoryPlan(config, requirements(task, choices, { config, lora, limits }));
  return {
    memory: {
      ...plan,
      total: bytesText(plan.bytes.total),
      limits,
      fits: shortfall(plan, limits) ?? "as far as the limits tell",
    },
  };
}
