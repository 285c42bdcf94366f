/** Writing an adapter's directory in the layout of Hugging Face's PEFT, which PEFT, vLLM and others load beside the base. */

import { join } from "node:path";
import { InputError } from "../runtime/errors.ts";
import { writeJson } from "../runtime/files.ts";
import type { Listener } from "../runtime/listener.ts";
import { writeDirectoryAtomic } from "../runtime/write_directory.ts";
import { adaptedEmbedding, adaptedProjections, adapterShapes, savedName } from "./adapted.ts";
import { adapterConfigName } from "./adapter_config.ts";
import { adapterTensor } from "./adapter_tensors.ts";
import { type Checkpoint, transpose } from "./checkpoint.ts";
import { fixedFields } from "./fixed_updates.ts";
import type { Lora } from "./lora.ts";
import { adapterWeightsName } from "./read_adapter.ts";
import { type TensorToWrite, writeSafetensors } from "./safetensors.ts";
import { savedParameters } from "./saved_modules.ts";
import { modelFileNames } from "./model_file_names.ts";
import { copyCompanions } from "./write_checkpoint.ts";

/** An adapter to be written. */
export interface AdapterToWrite {
  /** Rank, scale, targets and dropout. */
  readonly lora: Lora;
  /** The base's directory or name, as `base_model_name_or_path` keeps it. */
  readonly base: string;
  /** The commit of a base on the hub. */
  readonly revision?: string | undefined;
  /** The base's, of {@linkcode baseFingerprint}. */
  readonly fingerprint: string;
  /** The base, still open: gives shapes, tokenizer and chat template. */
  readonly source: Checkpoint;
  /** Numbers of an adapter parameter by its name. */
  readonly parameter: (name: string) => Promise<Float32Array>;
  /** Whether a directory that is there already is replaced. */
  readonly overwrite?: boolean | undefined;
  /** Told of companions that are left out. */
  readonly listener?: Listener | undefined;
}

/**
 * Writes an adapter directory, atomically: PEFT's two files, and the base's tokenizer beside them.
 *
 * @throws {InputError} of one with {@linkcode Lora.fixed}, which no training has changed
 */
export async function writeAdapter(directory: string, options: AdapterToWrite): Promise<void> {
  const { lora, base, fingerprint, source, overwrite } = options, { config } = source;
  if (lora.fixed) {
    throw new InputError(
      `Cannot write an adapter with ${
        fixedFields(lora.fixed)
      }: it is read and served as it is; merge it with its base`,
    );
  }
  const projections = adaptedProjections(config, lora), embedding = adaptedEmbedding(config, lora);
  const tensors = tensorsToWrite(options);
  await writeDirectoryAtomic(directory, async (temporary) => {
    await writeSafetensors(join(temporary, adapterWeightsName), tensors, {
      metadata: { format: "pt", base_fingerprint: fingerprint },
    });
    await copyCompanions(source.directory, temporary, options.listener?.warn);
    const modules = projections.flatMap(({ parts }) => parts.map((part) => part.module));
    const names = lora.modules ?? [...new Set(modules.map(moduleName))].sort();
    await writeJson(join(temporary, adapterConfigName), {
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: base,
      revision: options.revision ?? null,
      inference_mode: true,
      r: lora.r,
      lora_alpha: lora.alpha,
      lora_dropout: lora.dropout ?? 0,
      target_modules: embedding ? [...names, embedding.module] : names,
      modules_to_save: lora.modulesToSave ?? null,
      layers_to_transform: lora.layers ?? null,
      layers_pattern: null,
      rank_pattern: lora.rankPattern ?? {},
      alpha_pattern: lora.alphaPattern ?? {},
      bias: "none",
      fan_in_fan_out: config.transposedWeights,
      init_lora_weights: true,
      use_rslora: lora.rankStabilized ?? false,
      use_dora: false,
    });
  }, { overwrite, owned: modelFileNames });
}

/** The adapter's tensors as PEFT has them: every factor apart, in its own rank. */
function tensorsToWrite({ lora, source: { config }, parameter }: AdapterToWrite): TensorToWrite[] {
  const tensors: TensorToWrite[] = [];
  const add = (name: string, shape: readonly number[], numbers: () => Promise<Float32Array>) =>
    tensors.push({
      name,
      dtype: "F32",
      shape,
      bytes: async () => new Uint8Array((await numbers()).slice().buffer),
    });
  for (const projection of adaptedProjections(config, lora)) {
    const { inputs, r } = projection, [[a], [b]] = adapterShapes(projection);
    for (const [p, { module, row, rows, r: own }] of projection.parts.entries()) {
      const from = p * r * inputs;
      add(
        adapterTensor.factor(module, "A"),
        [own, inputs],
        async () => (await parameter(a)).subarray(from, from + own * inputs),
      );
      add(
        adapterTensor.factor(module, "B"),
        [rows, own],
        async () => columnsOf((await parameter(b)).subarray(row * r, (row + rows) * r), r, own),
      );
    }
  }
  const embedding = adaptedEmbedding(config, lora), { vocabularySize: v, hiddenSize: d } = config;
  if (embedding) {
    const { module, r } = embedding;
    add(adapterTensor.embeddingFactor(module, "A"), [r, v], async () => {
      const turned = new Float32Array(r * v);
      transpose(await parameter("embedding.lora_a"), turned, { rows: v, columns: r });
      return turned;
    });
    add(adapterTensor.embeddingFactor(module, "B"), [d, r], () => parameter("embedding.lora_b"));
  }
  for (const { name, tensor, shape } of savedParameters(config, lora)) {
    add(adapterTensor.whole(tensor), shape, () => parameter(savedName(name)));
  }
  return tensors;
}

/** The first `kept` columns of a matrix of `columns`. */
function columnsOf(values: Float32Array, columns: number, kept: number): Float32Array {
  return kept === columns ? values : values.filter((_, i) => i % columns < kept);
}

/** How PEFT is told which modules: by the end of their paths. GPT-2 has two modules `c_proj` in a layer. */
function moduleName(module: string): string {
  const [block, name] = module.split(".").slice(-2) as [string, string];
  return name === "c_proj" ? `${block}.${name}` : name;
}
