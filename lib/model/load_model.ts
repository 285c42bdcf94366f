import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { join } from "node:path";
import { type BackendChoice, openDevice } from "../backend/backend.ts";
import type { Device } from "../backend/device.ts";
import type { HubOptions } from "../hub/hub.ts";
import { tuneDevice } from "../kernels/product/tuned_device.ts";
import { UsageError } from "../runtime/errors.ts";
import { exists } from "../runtime/files.ts";
import type { Watched } from "../runtime/listener.ts";
import { attachAdapter, attachFixed } from "./adapter.ts";
import { mergedParameter, mergingOf } from "./merge_updates.ts";
import { adapterParameters } from "../checkpoint/adapted.ts";
import {
  type AdapterFiles,
  baseDirectory,
  isAdapterDirectory,
  readAdapterConfig,
} from "../checkpoint/adapter_config.ts";
import { baseFingerprint, formerFingerprint } from "../checkpoint/base_fingerprint.ts";
import { readAdapter } from "../checkpoint/read_adapter.ts";
import { checkModulesToSave } from "../checkpoint/saved_modules.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { loadWeights } from "./load_weights.ts";
import { checkLora, type Lora } from "../checkpoint/lora.ts";
import { Model } from "./model.ts";
import { makeDecoder } from "./state.ts";
import { resolveModel } from "../checkpoint/resolve_model.ts";
import type { BaseDtype } from "../checkpoint/stored_bytes.ts";
import { loadTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { tokenizerDoubts } from "../tokenizer/tokenizer_doubts.ts";

/** How to load a model. */
export interface LoadModelOptions extends Watched {
  /** Default `auto`: WebGPU on a real adapter, WASM otherwise. */
  readonly backend?: BackendChoice;
  /** Tensors that the decoder has no use for: `refuse` (default) the model, or `keep` them, to be saved again. */
  readonly unknown?: "refuse" | "keep" | undefined;
  /** Puts a new LoRA adapter on the model: training changes it alone. */
  readonly lora?: Lora | undefined;
  /** Source of a new adapter's random numbers (default 0). */
  readonly seed?: number | undefined;
  /** An adapter directory in PEFT's layout to put on the model. */
  readonly adapter?: string | undefined;
  /** How the layers' matrices are kept (default f32); narrower ones are frozen: they serve, or carry an adapter. */
  readonly baseDtype?: BaseDtype;
  /** Told of the model and its adapter when no weight is read yet; what it throws ends the loading. */
  readonly check?: (config: DecoderConfig, lora: Lora | undefined, device: Device) => Promise<void> | void;
  /** How to reach the hub, for a model that is no directory here. */
  readonly hub?: HubOptions;
}

const names: NamesOf<LoadModelOptions> = {
  backend: true,
  unknown: true,
  lora: true,
  seed: true,
  adapter: true,
  baseDtype: true,
  check: true,
  hub: true,
  listener: true,
  signal: true,
};

/**
 * Loads a model directory in Hugging Face's layout onto a backend.
 *
 * ```ts
 * import { loadModel } from "./mod.ts";
 *
 * using model = await loadModel("fixtures/base", { backend: "wasm" });
 * console.log(model.config.layers, "layers on", model.device.name);
 * ```
 *
 * @param name a directory with config.json, model.safetensors (or shards with their index), tokenizer.json; or an
 * adapter's directory in PEFT's layout, which names its base; or ORG/NAME[@REVISION] on the hub, which is downloaded first
 * @throws {InputError} when something is missing, contradicts the config or is not supported, or an adapter is another
 * base's, before weights are read
 */
export async function loadModel(name: string, options: LoadModelOptions = {}): Promise<Model> {
  checkNames(options, names, { of: "loadModel" });
  if (options.lora !== undefined) checkLora(options.lora);
  const { listener, signal } = options, reach = { listener, signal, ...options.hub };
  const directory = await resolveModel(name, reach);
  const files = await adapterOf(directory, options);
  const base = files && options.adapter === undefined ? await baseDirectory(files, reach) : directory;
  const checkpoint = await openCheckpoint(base, { unknown: options.unknown });
  try {
    const { config, plan } = checkpoint;
    // Before the tokenizer, which comes with an adapter: that of another base is better told by its base.
    const known = files || options.lora
      ? { fingerprint: await baseFingerprint(checkpoint), former: await formerFingerprint(checkpoint) }
      : undefined;
    const adapter = files && await readAdapter(files, checkpoint, Object.values(known!));
    for (const note of adapter?.notes ?? []) listener?.note?.(note);
    const lora = adapter?.lora ?? options.lora;
    if (options.lora) checkModulesToSave(config, options.lora);
    if (lora) adapterParameters(config, lora); // a target that the model lacks is found before weights are read
    const tokenizers = files ? [files.directory, base] : [base];
    let tokenizer: Tokenizer | undefined;
    for (const folder of tokenizers) {
      if (tokenizer || !await exists(join(folder, "tokenizer.json"))) continue;
      tokenizer = await loadTokenizer(folder, config);
      const doubts = [...tokenizer.doubts, ...tokenizerDoubts(config, tokenizer, folder)];
      for (const doubt of doubts) listener?.warn?.(doubt);
    }
    const device = await openDevice(options.backend);
    listener?.note?.(`Backend: ${device.reason}`);
    await options.check?.(config, lora, device);
    if (device.name === "webgpu") await tuneDevice(device, { listener, signal });
    const weights = await loadWeights(checkpoint, {
      device,
      baseDtype: options.baseDtype ?? "f32",
      listener,
      signal,
    });
    const model = new Model(base, makeDecoder({ device, config, plan, ...weights }), {
      tokenizer,
      adapter: known && { directory: files?.directory, ...known },
    });
    if (!lora) return model;
    try {
      attachAdapter(model.decoder, lora, { values: adapter?.values, seed: options.seed });
      if (lora.fixed) {
        const merging = mergingOf(config, lora, (name) => adapter!.values.get(name)!);
        await attachFixed(model.decoder, async (name) => {
          signal?.throwIfAborted();
          const entry = plan.find((one) => one.name === name) ?? plan[0]!; // a tied head is the embedding
          return await mergedParameter(device, name, {
            values: await checkpoint.readParameter(entry),
            merging,
          });
        });
      }
    } catch (error) {
      model.dispose();
      throw error;
    }
    return model;
  } finally {
    await checkpoint.close();
  }
}

/** The adapter to load, if any: the one asked for, or the directory itself when it is one. */
async function adapterOf(directory: string, options: LoadModelOptions): Promise<AdapterFiles | undefined> {
  const itself = await isAdapterDirectory(directory);
  if (itself && options.adapter !== undefined) {
    throw new UsageError(`Cannot put adapter ${options.adapter} on ${directory}: it is an adapter itself`);
  }
  const chosen = itself ? directory : options.adapter;
  if (chosen === undefined) return undefined;
  if (options.lora) {
    throw new UsageError(
      `Cannot make a new adapter on ${directory}: adapter ${chosen} is on it; merge it first, or leave option \`lora\` out to train it on`,
    );
  }
  return await readAdapterConfig(chosen);
}
