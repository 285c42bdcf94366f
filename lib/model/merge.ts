import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { type BackendChoice, openDevice } from "../backend/backend.ts";
import { mergeUpdates } from "./adapter.ts";
import { baseFingerprint, readAdapter, readAdapterConfig } from "../checkpoint/adapter_files.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { adaptedProjections } from "../checkpoint/lora.ts";
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
  readonly dtype?: FloatDtype;
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
 * Writes the full model that a base and an adapter are: W + (alpha/r)·B·A, one parameter at a time, so that memory for
 * the largest is enough.
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
  const { lora, values } = await readAdapter(files, source, await baseFingerprint(source));
  const device = await openDevice(options.backend);
  options.listener?.note?.(`Backend: ${device.reason}`);
  const projections = new Map(adaptedProjections(source.config, lora).map((p) => [p.name, p]));
  await writeCheckpoint(directory, {
    config: source.config,
    source,
    dtype,
    overwrite,
    async parameter(entry) {
      options.signal?.throwIfAborted();
      const merged = await source.readParameter(entry), projection = projections.get(entry.name);
      if (projection) {
        const a = values.get(`${entry.name}.lora_a`)!, b = values.get(`${entry.name}.lora_b`)!;
        await mergeUpdates(device, merged, { projection, a, b, lora });
      }
      return merged;
    },
  });
}
