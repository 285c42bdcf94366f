import type { DecoderConfig } from "../checkpoint/config.ts";
import type { MemoryLimits } from "./memory.ts";

/** Bytes of keys and values that decoding may hold of its own choice, on the CPU; a GPU four times that. */
const CACHE_BYTES = 256 * 2 ** 20;

/** Most sequences that are decoded at once of its own choice. */
const MOST_SLOTS = 96;

/**
 * Sequences decoded at once where nobody says how many: as many as a cache of their keys and values fits, at most 96 and
 * at least the samples of one question, which are admitted together.
 *
 *   bytes of a row = layers · 2 · kvHeads · headDim · 4;   rows of a sequence = 1.5 · maxTokens (half as much for its prompt)
 *
 * `generate` takes this many, and the memory plan counts them.
 */
export function slotsThatFit(
  { layers, kvHeads, headDim }: Pick<DecoderConfig, "layers" | "kvHeads" | "headDim">,
  options: {
    /** Longest response in tokens. */
    readonly maxTokens: number;
    readonly samples: number;
    readonly limits: Pick<MemoryLimits, "backend" | "binding">;
  },
): number {
  const { maxTokens, samples, limits: { backend, binding = Infinity } } = options;
  const rowBytes = layers * 2 * kvHeads * headDim * 4;
  // A layer's keys are one binding, and so are its values: half of it leaves room to grow.
  const bytes = backend === "webgpu" ? Math.min(4 * CACHE_BYTES, binding * layers / 2) : CACHE_BYTES;
  return Math.max(samples, 1, Math.min(MOST_SLOTS, Math.floor(bytes / (rowBytes * maxTokens * 1.5))));
}
