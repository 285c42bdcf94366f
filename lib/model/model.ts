import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { join, resolve } from "node:path";
import { assign, read, upload } from "../backend/tensors.ts";
import { matmul } from "../kernels/product/matmul.ts";
import { listDirectory, remove, rename, writeText } from "../runtime/files.ts";
import { openScratch } from "../runtime/scratch.ts";
import type { Device, Tensor } from "../backend/device.ts";
import { InputError } from "../runtime/errors.ts";
import type { Watched } from "../runtime/listener.ts";
import { detachAdapter } from "./adapter.ts";
import { mergedParameter, type Merging, unties } from "./merge_updates.ts";
import { fixedParameters, savedName } from "../checkpoint/adapted.ts";
import { savedParameters } from "../checkpoint/saved_modules.ts";
import { writeAdapter } from "../checkpoint/write_adapter.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { backward, forward, hiddenStates, makeGradients } from "./decoder.ts";
import { inUse } from "./parts.ts";
import { type Decoder, parameter } from "./state.ts";
import { deviceBatch } from "./batch.ts";
import { splitParameter } from "../checkpoint/split_parameter.ts";
import { hubModelOf } from "../checkpoint/resolve_model.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { FloatDtype } from "../checkpoint/safetensors.ts";
import { writeCheckpoint } from "../checkpoint/write_checkpoint.ts";

/** How to write a model: its weights' dtype, further files, and whether to replace a directory. */
export interface SaveOptions extends Watched {
  /** Kind of all weights; by default each tensor keeps its own. */
  readonly dtype?: FloatDtype | undefined;
  /** Text files by name, such as README.md; they replace the source's. */
  readonly files?: ReadonlyMap<string, string>;
  /** Bytes of tensors a file, before a second one is begun (default 5 GB). */
  readonly maxShardBytes?: number;
  /** Whether a directory that is there already is replaced (default: it is refused). */
  readonly overwrite?: boolean | undefined;
}

const saveNames: NamesOf<SaveOptions> = {
  dtype: true,
  files: true,
  maxShardBytes: true,
  overwrite: true,
  listener: true,
  signal: true,
};

/** A causal language model on a device, and what belongs to it. */
export class Model {
  /** Of a model with an adapter: where that was loaded from, if anywhere, and what identifies its base. */
  readonly adapter:
    | {
      readonly directory?: string | undefined;
      readonly fingerprint: string;
      /** The fingerprint of the former kind, which runs and adapters made before keep. */
      readonly former: string;
    }
    | undefined;
  readonly #tokenizer: Tokenizer | undefined;

  /** Use {@linkcode loadModel}. */
  constructor(
    /** Where its weights were loaded from: of an adapter, the base. */
    readonly directory: string,
    /**
     * Its parameters on the device.
     *
     * @internal
     */
    readonly decoder: Decoder,
    parts: { readonly tokenizer?: Tokenizer | undefined; readonly adapter?: Model["adapter"] } = {},
  ) {
    this.#tokenizer = parts.tokenizer;
    this.adapter = parts.adapter;
  }

  /** Where it is and computes. */
  get device(): Device {
    return this.decoder.device;
  }

  /** Its description. */
  get config(): DecoderConfig {
    return this.decoder.config;
  }

  /** Its tokenizer. Throws InputError for a model directory without tokenizer.json. */
  get tokenizer(): Tokenizer {
    if (!this.#tokenizer) {
      throw new InputError(`Cannot turn text into tokens: ${this.directory} has no tokenizer.json`);
    }
    return this.#tokenizer;
  }

  /** Ids that end a response: the config's, or else the tokenizer's. */
  get endTokens(): readonly number[] {
    return this.config.endTokens.length > 0 ? this.config.endTokens : this.#tokenizer?.endTokens ?? [];
  }

  /** Number of parameters. */
  get size(): number {
    const { parameters, quantized } = this.decoder;
    const narrow = [...quantized?.values() ?? []].reduce((sum, { rows, columns }) => sum + rows * columns, 0);
    return [...parameters.values()].reduce((sum, t) => sum + t.size, narrow);
  }

  /** The directories that it was loaded from: its weights', and its adapter's. */
  get sources(): string[] {
    return [this.directory, this.adapter?.directory].filter((path) => path !== undefined);
  }

  /** Whether its adapter takes part (true by default). Switched off, it is its base: the reference of DPO. */
  set adapterEnabled(on: boolean) {
    if (this.decoder.adapter) this.decoder.adapter.enabled = on;
  }

  /**
   * Logits of every position.
   *
   * @param ids at least one token id
   * @returns row-major [ids.length, vocabulary]
   */
  async logits(ids: readonly number[]): Promise<Float32Array> {
    this.#check(ids);
    using batch = deviceBatch(this.decoder, [{ prompt: ids, responses: [] }]);
    using hidden = hiddenStates(this.decoder, batch);
    using logits = matmul(hidden, inUse(this.decoder.head).tensor, { transposeB: true });
    const values = await read(logits) as Float32Array;
    return values.slice(0, ids.length * this.config.vocabularySize);
  }

  /** log P(ids[i+1] | ids[..i]) in nats, for each i: ids.length − 1 numbers. */
  async logprobs(ids: readonly number[]): Promise<Float64Array> {
    this.#check(ids);
    if (ids.length < 2) return new Float64Array(0);
    using batch = deviceBatch(this.decoder, [{ prompt: [ids[0]!], responses: [ids.slice(1)] }]);
    using pass = forward(this.decoder, batch, { keep: "nothing" });
    const values = await read(pass.logprobs);
    return Float64Array.from(batch.labels.order, (at) => values[at]);
  }

  /** Gradient of the mean of −logprobs(ids) with respect to every tensor of the checkpoint, in its own layout. */
  async gradients(ids: readonly number[]): Promise<Map<string, Float32Array>> {
    this.#check(ids);
    this.#wide("take gradients of");
    if (ids.length < 2) {
      throw new InputError(`Cannot take gradients of ${ids.length} tokens: expected at least 2`);
    }
    using batch = deviceBatch(this.decoder, [{ prompt: [ids[0]!], responses: [ids.slice(1)] }]);
    const pass = forward(this.decoder, batch, { keep: "products" }), count = ids.length - 1;
    using weights = upload(this.device, new Float32Array(count).fill(-1 / count), [count]);
    const gradients = makeGradients(this.decoder);
    backward(this.decoder, pass, { batch, weights, gradients });
    const named = new Map<string, Float32Array>();
    for (const entry of this.decoder.plan) {
      const values = await read(gradients.get(entry.name)!) as Float32Array;
      for (const [name, part] of splitParameter(entry, values)) named.set(name, part);
    }
    gradients.forEach((t) => t.dispose());
    return named;
  }

  /** The values of a parameter by its name in the plan. One readback. */
  async parameterValues(name: string): Promise<Float32Array> {
    return await read(parameter(this.decoder, name)) as Float32Array;
  }

  /** A parameter's tensor by its name in the plan, where it is: not a copy, and the model's to free. */
  tensor(name: string): Tensor {
    return parameter(this.decoder, name);
  }

  /**
   * Makes the adapter part of the weights: W + scale·B·A. The model then is a full one.
   *
   * @throws {InputError} when the head is the embedding and the adapter makes them differ: `mergeAdapter` writes such a model
   */
  async merge(): Promise<void> {
    this.#wide("merge an adapter into");
    const { decoder, config } = this, { adapter } = decoder;
    if (!adapter) return;
    const merging: Merging = { ...adapter, config, own: (name) => this.parameterValues(name) };
    if (unties(merging)) {
      throw new InputError(
        "Cannot merge an adapter with an embedding or a head of its own into a model whose head is its embedding: " +
          "merge the files, which gives the model a head of its own",
      );
    }
    const saved = savedParameters(config, adapter.lora).map(({ name }) => name);
    const fixed = fixedParameters(config, adapter.lora);
    const changed = [
      ...saved,
      ...fixed.keys(),
      ...adapter.projections.keys(),
      ...(adapter.lora.embedding ? ["embedding"] : []),
    ];
    for (const name of new Set(changed)) {
      const target = parameter(decoder, name);
      const values = fixed.has(name) ? await this.parameterValues(savedName(name)) : await mergedParameter(
        this.device,
        name,
        { values: await this.parameterValues(name), merging },
      );
      assign(target, upload(target.device, values, target.shape));
    }
    detachAdapter(decoder);
  }

  /**
   * Writes a complete model directory in Hugging Face's layout, atomically. Tensors keep their names, shapes and, unless
   * told otherwise, dtypes. Of a model with an adapter, only the adapter is written, in PEFT's layout.
   */
  async save(directory: string, options: SaveOptions = {}): Promise<void> {
    checkNames(options, saveNames, { of: "save" });
    const { adapter } = this.decoder;
    if (adapter) {
      const hub = hubModelOf(this.directory);
      await using source = await openCheckpoint(this.directory, { unknown: "keep" });
      return await writeAdapter(directory, {
        lora: adapter.lora,
        // A path in this machine's cache would mean nothing elsewhere.
        base: hub?.repo ?? resolve(this.directory),
        revision: hub?.revision,
        fingerprint: this.adapter!.fingerprint,
        source,
        parameter: async (name) => {
          options.signal?.throwIfAborted();
          return await this.parameterValues(name);
        },
        overwrite: options.overwrite,
        listener: options.listener,
      });
    }
    this.#wide("save");
    await using source = await openCheckpoint(this.directory, { unknown: "keep" });
    let written = 0;
    await writeCheckpoint(directory, {
      ...options,
      source,
      config: this.config,
      parameter: async ({ name }) => {
        options.signal?.throwIfAborted();
        options.listener?.progress?.({ part: "save", done: written++, total: this.decoder.plan.length });
        return await this.parameterValues(name);
      },
    });
  }

  /**
   * Writes the model's files into a directory that holds others. All are complete before the first gets its name; the
   * config of a model that is there already goes first and the new one comes last, so that a half of either is no model.
   */
  async saveInto(directory: string, options: Omit<SaveOptions, "overwrite"> = {}): Promise<void> {
    await using scratch = await openScratch(join(directory, "model"));
    const whole = scratch.content, last = this.decoder.adapter ? "adapter_config.json" : "config.json";
    await this.save(whole, options);
    if (this.decoder.adapter) {
      for (const [name, text] of options.files ?? []) await writeText(join(whole, name), text);
    }
    const files = await listDirectory(whole);
    await remove(join(directory, last));
    for (const name of [...files.filter((f) => f !== last), last]) {
      await rename(join(whole, name), join(directory, name));
    }
  }

  /** Frees its tensors. */
  dispose(): void {
    this.decoder.parameters.forEach((t) => t.dispose());
    this.decoder.quantized?.forEach((matrix) => matrix.dispose());
    this.decoder.narrowHead?.dispose();
    this.decoder.rotary?.table?.dispose();
    this.#tokenizer?.[Symbol.dispose]();
  }

  /** The same, at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #wide(what: string): void {
    if (this.decoder.quantized) {
      throw new InputError(
        `Cannot ${what} a model whose weights are kept in fewer bits: load it without baseDtype`,
      );
    }
  }

  #check(ids: readonly number[]): void {
    if (ids.length === 0) throw new InputError("Cannot run the model on no tokens");
    const { vocabularySize, maxPositions } = this.config;
    if (ids.length > maxPositions) {
      throw new InputError(`Cannot run the model on ${ids.length} tokens: its context holds ${maxPositions}`);
    }
    for (const id of ids) {
      if (!Number.isInteger(id) || id < 0 || id >= vocabularySize) {
        throw new InputError(
          `Cannot run the model on token ${id}: its vocabulary has ${vocabularySize} entries`,
        );
      }
    }
  }
}
