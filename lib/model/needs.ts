/** What a task needs of memory, and the refusal of what cannot fit. */

import type { Device } from "../backend/device.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import type { Lora } from "../checkpoint/lora.ts";
import type { BaseDtype } from "../checkpoint/stored_bytes.ts";
import { checkFits, fitted, type MemoryLimits, type MemoryOptions } from "./memory.ts";
import { limitsOf } from "./memory_limits.ts";
import { slotsThatFit } from "./slots.ts";

/** What decides how much a task needs, beside the model. */
export interface MemoryChoices {
  /** How frozen matrices are kept. */
  readonly baseDtype: BaseDtype;
  /** Rows computed at once. */
  readonly microBatch?: number | undefined;
  /** Whether layers are computed again in the backward pass. */
  readonly recompute?: boolean | undefined;
  /** Sequences decoded at once (default {@linkcode slotsThatFit}). */
  readonly slots?: number | undefined;
  /** Candidates a question (default 6). */
  readonly samples?: number | undefined;
  /** Longest response in tokens (default 256). */
  readonly maxTokens?: number | undefined;
}

/** The choices as the memory plan takes them, with what the task would choose itself. */
export function requirements(
  task: MemoryOptions["task"],
  choices: MemoryChoices,
  about: {
    readonly config: DecoderConfig;
    readonly lora?: Lora | undefined;
    readonly limits: MemoryLimits;
  },
): MemoryOptions {
  const { config, lora, limits } = about;
  const { baseDtype, microBatch, recompute, samples = 6, maxTokens = 256 } = choices;
  const options: MemoryOptions = {
    task,
    lora,
    baseDtype,
    recompute,
    narrowHead: task === "generate" && limits.backend === "wasm" &&
      (baseDtype === "int8" || baseDtype === "int4"),
    samples,
    maxTokens,
    microBatchTokens: microBatch,
    slots: choices.slots ?? slotsThatFit(config, { maxTokens, samples, limits }),
    promptTokens: Math.min(256, config.maxPositions),
  };
  return fitted(config, options, limits);
}

/**
 * Refuses, once the config is known and before any weight is read, a run that cannot fit: for `loadModel`'s `check`.
 *
 * @throws {UsageError} from the check, with what would fit
 */
export function memoryCheck(
  task: MemoryOptions["task"],
  choices: MemoryChoices,
): (config: DecoderConfig, lora: Lora | undefined, device: Device) => void {
  return (config, lora, device) => {
    const limits = limitsOf(device);
    checkFits(config, requirements(task, choices, { config, lora, limits }), limits);
  };
}
