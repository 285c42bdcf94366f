import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { type BackendChoice, openDevice } from "../backend/backend.ts";
import { readAdapterConfig } from "../checkpoint/adapter_config.ts";
import { baseFingerprint, formerFingerprint } from "../checkpoint/base_fingerprint.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { untiedConfig } from "../checkpoint/config.ts";
import { parameterPlan } from "../checkpoint/parameter_plan.ts";
import { readAdapter } from "../checkpoint/read_adapter.ts";
import { mergedParameter, mergingOf, unties } from "./merge_updates.ts";
import type { FloatDtype } from "../checkpoint/safetensors.ts";
import type { Watched } from "../runtime/listener.ts";
import { writeCheckpoint } from "../checkpoint/write_checkpoint.ts";

/** What to merge, and how to write it. */
export interface MergeOptions extends Watched {
  /** The base's directory. */
  readonly base: string;
  /** The adapter's directory. */
  readonly adapter: string;
  /** Kind of all weights; by default each tensor keeps the base's. */
  readonly dtype?: FloatDtype | undefined;
  /** Replace a directory that is there (default: refused). */
  readonly overwrite?: boolean;
  /** What multiplies the factors. */
  readonly backend?: BackendChoice;
}

const names: NamesOf<MergeOptions> = {
  base: true,
  adapter: true,
  dtype: true,
  overwrite: true,
  backend: true,
  listener: true,
  signal: true,
};

/**
 * Writes the full model that a base and an adapter are: W + scale·B·A, one parameter at a time, so that memory for the
 * largest is enough. A tied head that the adapter makes another than the embedding becomes one of its own.
 *
 * ```ts
 * import { loadModel, mergeAdapter, parseLora } from "./mod.ts";
 *
 * const base = "fixtures/base", adapter = "runs/adapter";
 * {
 *   using model = await loadModel(base, { lora: parseLora("r=4,alpha=8") });
 *   await model.save(adapter, { overwrite: true }); // train it first
 * }
 * await mergeAdapter("runs/merged", { base, adapter, overwrite: true });
 * using merged = await loadModel("runs/merged");
 * console.log(merged.directory);
 * ```
 *
 * @throws {InputError} when the adapter is another base's, before anything is written
 */
export async function mergeAdapter(directory: string, options: MergeOptions): Promise<void> {
  checkNames(options, names, { of: "mergeAdapter" });
  const { base, adapter, dtype, overwrite } = options;
  const files = await readAdapterConfig(adapter);
  await using source = await openCheckpoint(base, { unknown: "keep" });
  const fingerprints = [await baseFingerprint(source), await formerFingerprint(source)];
  const { lora, values, notes } = await readAdapter(files, source, fingerprints);
  for (const note of notes) options.listener?.note?.(note);
  const device = await openDevice(options.backend);
  options.listener?.note?.(`Backend: ${device.reason}`);
  const { config } = source,
    merging = mergingOf(config, lora, (name) => values.get(name)!);
  const target = unties(merging) ? withHead(source) : source, [embedding] = source.plan;
  await writeCheckpoint(directory, {
    config: target.config,
    source: target,
    dtype,
    overwrite,
    async parameter(entry) {
      options.signal?.throwIfAborted();
      const stored = source.plan.find(({ name }) => name === entry.name) ?? embedding!; // a tied head is the embedding
      return await mergedParameter(device, entry.name, {
        values: await source.readParameter(stored),
        merging,
      });
    },
  });
}

/** A checkpoint that ties its head, described as one that has a head of its own, of the embedding's kind. */
function withHead(source: Checkpoint): Checkpoint {
  const config = untiedConfig(source.config), tensor = source.plan[0]!.parts[0]!.tensor;
  const tensors = new Map([...source.tensors, ["lm_head.weight", source.tensors.get(tensor)!] as const]);
  return { ...source, config, tensors, plan: parameterPlan(config, tensors) };
}
