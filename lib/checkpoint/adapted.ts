/** Which matrices of a decoder an adapter changes, and the parameters that it brings. */

import type { Block } from "../kernels/product/block_product.ts";
import { UsageError } from "../runtime/errors.ts";
import type { DecoderConfig } from "./config.ts";
import { type Lora, type LoraTarget, loraTargets } from "./lora.ts";
import { parameterPlan } from "./parameter_plan.ts";
import { patternValue } from "./peft_patterns.ts";
import { savedParameters } from "./saved_modules.ts";

/** The part of an adapter that changes one of the checkpoint's matrices. */
export interface AdaptedPart extends Block {
  /** The matrix's path in transformers, such as `model.layers.0.self_attn.q_proj`. */
  readonly module: string;
  /** Its own rank. */
  readonly r: number;
}

/**
 * A parameter of the decoder with low-rank updates of some runs of its rows:
 * W[column_p … column_p + rows_p − 1] + scale_p·B_p·A_p.
 *
 * The A_p [r, in] of all parts lie one below the other in one parameter, `NAME.lora_a` [T·r, in], and the B_p
 * [rows_p, r] in another, `NAME.lora_b` [Σ rows_p, r], so that x is multiplied once for all parts. A part of a lower rank
 * has zeros behind its own rows of A and columns of B: their gradients are zero, so that they stay.
 */
export interface AdaptedProjection {
  /** The parameter's name, such as `layers.0.qkv`. */
  readonly name: string;
  /** Columns of the parameter. */
  readonly inputs: number;
  /** The highest rank of its parts. */
  readonly r: number;
  /** In the order of their rows. */
  readonly parts: readonly AdaptedPart[];
}

/** The head's path in transformers. */
export const headModule = "lm_head";

/** The embedding's path in transformers. */
export function embeddingModule(config: DecoderConfig): string {
  return parameterPlan(config)[0]!.parts[0]!.tensor.replace(/\.weight$/, "");
}

/** The targets in a module, by the end of its path. GPT-2 keeps q, k and v in one. */
const targetsOf: readonly (readonly [ending: string, targets: readonly LoraTarget[]])[] = [
  ["self_attn.q_proj", ["q"]],
  ["self_attn.k_proj", ["k"]],
  ["self_attn.v_proj", ["v"]],
  ["self_attn.o_proj", ["o"]],
  ["mlp.gate_proj", ["gate"]],
  ["mlp.up_proj", ["up"]],
  ["mlp.down_proj", ["down"]],
  ["attn.c_attn", ["q", "k", "v"]],
  ["attn.c_proj", ["o"]],
  ["mlp.c_fc", ["up"]],
  ["mlp.c_proj", ["down"]],
];

/** The targets in the module with that path; none when it can have no adapter. */
export function targetsIn(module: string): readonly LoraTarget[] {
  return targetsOf.find(([ending]) => module.endsWith(`.${ending}`))?.[1] ?? [];
}

/** Rank and scale of a module's update. */
export function rankAndScale(lora: Lora, module: string): { readonly r: number; readonly scale: number } {
  const r = patternValue(lora.rankPattern, module) ?? lora.r;
  const alpha = patternValue(lora.alphaPattern, module) ?? lora.alpha;
  return { r, scale: alpha / (lora.rankStabilized ? Math.sqrt(r) : r) };
}

/** A matrix of a layer that can have an update, by its path in transformers. */
export interface AdaptableModule {
  readonly module: string;
  readonly layer: number;
  readonly targets: readonly LoraTarget[];
}

/** All of a model's. */
export function adaptableModules(config: DecoderConfig): AdaptableModule[] {
  return parameterPlan(config).flatMap(({ name, shape, parts }) => {
    const layer = name.match(/^layers\.(\d+)\./)?.[1];
    if (layer === undefined || shape.length !== 2) return [];
    return parts.map(({ tensor }) => {
      const module = tensor.replace(/\.weight$/, "");
      return { module, layer: Number(layer), targets: targetsIn(module) };
    });
  });
}

/** The modules of a model that an adapter changes. */
function chosenModules(config: DecoderConfig, lora: Lora): Set<string> {
  const all = adaptableModules(config), { modules, layers } = lora;
  if (modules) {
    const unknown = modules.find((module) => !all.some((one) => one.module === module));
    if (unknown === undefined) return new Set(modules);
    throw new UsageError(`Cannot adapt "${unknown}": a ${config.modelType} model has no such projection`);
  }
  const beyond = layers?.find((layer) => layer >= config.layers);
  if (beyond !== undefined) {
    throw new UsageError(`Cannot adapt layer ${beyond}: the model's layers are 0 to ${config.layers - 1}`);
  }
  const wanted = new Set<LoraTarget>(lora.targets ?? loraTargets), has = new Set(targetsOfModel(config));
  for (const target of lora.targets ?? []) {
    if (has.has(target)) continue;
    throw new UsageError(
      `Cannot adapt "${target}": a ${config.modelType} model has no such projection; its targets are ` +
        [...has].join(", "),
    );
  }
  return new Set(
    all.filter(({ layer, targets }) => {
      const chosen = targets.filter((target) => wanted.has(target));
      if (chosen.length > 0 && chosen.length < targets.length) {
        throw new UsageError(
          `Cannot adapt ${chosen.join(" and ")} alone: a ${config.modelType} model keeps ${
            targets.join(", ")
          } in one matrix; name all of them or none`,
        );
      }
      return chosen.length > 0 && (layers?.includes(layer) ?? true);
    }).map(({ module }) => module),
  );
}

/**
 * The parameters with low-rank updates, in the order of the plan; the head's update last.
 *
 * @throws {UsageError} for a target, a layer or a module that the model does not have
 */
export function adaptedProjections(config: DecoderConfig, lora: Lora): AdaptedProjection[] {
  const chosen = chosenModules(config, lora), projections: AdaptedProjection[] = [];
  for (const { name, shape, parts } of parameterPlan(config)) {
    const adapted: AdaptedPart[] = [];
    let column = 0, row = 0;
    for (const { tensor, rows } of parts) {
      const module = tensor.replace(/\.weight$/, "");
      if (chosen.has(module)) {
        adapted.push({ module, column, rows, row, ...rankAndScale(lora, module) });
        row += rows;
      }
      column += rows;
    }
    if (adapted.length === 0) continue;
    projections.push({ name, inputs: shape[1]!, r: Math.max(...adapted.map(({ r }) => r)), parts: adapted });
  }
  if (lora.fixed?.head) {
    const { vocabularySize: rows, hiddenSize: inputs } = config, own = rankAndScale(lora, headModule);
    const part = { module: headModule, column: 0, rows, row: 0, ...own };
    projections.push({ name: "head", inputs, r: own.r, parts: [part] });
  }
  return projections;
}

/** The targets that a model of this kind has. */
export function targetsOfModel(config: DecoderConfig): LoraTarget[] {
  const has = new Set(adaptableModules(config).flatMap(({ targets }) => targets));
  return loraTargets.filter((target) => has.has(target));
}

/** A matrix's name and shape. */
export type NamedShape = [name: string, shape: [rows: number, columns: number]];

/** Shapes of a projection's two adapter parameters, by name. */
export function adapterShapes({ name, inputs, r, parts }: AdaptedProjection): [a: NamedShape, b: NamedShape] {
  return [
    [`${name}.lora_a`, [parts.length * r, inputs]],
    [`${name}.lora_b`, [parts.reduce((sum, part) => sum + part.rows, 0), r]],
  ];
}

/**
 * The low-rank update of the token embedding: E + scale·(B·A)ᵀ. Its parameters are `embedding.lora_a` [V, r], PEFT's
 * lora_embedding_A turned so that a token's row can be looked up, and `embedding.lora_b` [D, r].
 */
export interface AdaptedEmbedding {
  /** Its path in transformers. */
  readonly module: string;
  readonly r: number;
  readonly scale: number;
}

/** The embedding's update, where an adapter has one. */
export function adaptedEmbedding(config: DecoderConfig, lora: Lora): AdaptedEmbedding | undefined {
  if (!lora.embedding) return undefined;
  const module = embeddingModule(config);
  return { module, ...rankAndScale(lora, module) };
}

/**
 * The parameters that {@linkcode Lora.fixed} changes, with their shapes: a decoder has the adapter's whole matrix of each
 * beside its own.
 */
export function fixedParameters(config: DecoderConfig, lora: Lora): Map<string, readonly number[]> {
  const { magnitudes, head, tokens } = lora.fixed ?? {}, matrix = [config.vocabularySize, config.hiddenSize];
  const found = new Map<string, readonly number[]>();
  if (magnitudes) {
    const shapes = new Map(parameterPlan(config).map(({ name, shape }) => [name, shape]));
    for (const { name } of adaptedProjections(config, lora)) found.set(name, shapes.get(name) ?? matrix);
  }
  if (tokens?.embedding || (magnitudes && lora.embedding)) found.set("embedding", matrix);
  if (tokens?.head || head) found.set("head", matrix);
  return found;
}

/** Every parameter that an adapter brings to a decoder, and its shape. */
export function adapterParameters(config: DecoderConfig, lora: Lora): [string, readonly number[]][] {
  const fixed = fixedParameters(config, lora), { vocabularySize: v, hiddenSize: d } = config;
  const embedding = fixed.has("embedding") ? undefined : adaptedEmbedding(config, lora);
  return [
    ...adaptedProjections(config, lora).filter(({ name }) => !fixed.has(name)).flatMap(adapterShapes),
    ...(embedding
      ? [["embedding.lora_a", [v, embedding.r]], ["embedding.lora_b", [d, embedding.r]]] as [
        string,
        number[],
      ][]
      : []),
    ...savedParameters(config, lora).map((
      { name, shape },
    ): [string, readonly number[]] => [savedName(name), shape]),
    ...[...fixed].map(([name, shape]): [string, readonly number[]] => [savedName(name), shape]),
  ];
}

/** The name of a parameter's own numbers in an adapter that saves its module, or fixes what it is. */
export function savedName(parameter: string): string {
  return `${parameter}.saved`;
}

/** Whether a parameter is an adapter's, by its name. */
export function isAdapterParameter(name: string): boolean {
  return /\.(lora_[ab]|saved)$/.test(name);
}

/** Numbers of adapter parameters by name. */
export type AdapterValues = ReadonlyMap<string, Float32Array>;
