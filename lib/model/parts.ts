/**
 * The parts that a decoder is made of, as data: which weights a layer has and how they are used. Families differ in these
 * data alone, layer by layer; what computes takes a part and no name.
 */

import type { Device, Tensor } from "../backend/device.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import type { AdaptedProjection } from "../checkpoint/adapted.ts";
import type { Lora } from "../checkpoint/lora.ts";
import type { Parameter } from "../checkpoint/parameter_plan.ts";
import type { Block } from "../kernels/product/block_product.ts";
import type { QuantizedMatrix } from "../kernels/product/quantize.ts";
import type { Heads } from "../kernels/attention/shapes.ts";

/** Tensors by parameter name. */
export type Parameters = ReadonlyMap<string, Tensor>;

/** A decoder's description and its tensors, by name. */
export interface DecoderTensors {
  /** Where all of it is. */
  readonly device: Device;
  readonly config: DecoderConfig;
  /** How checkpoint tensors make up the parameters. */
  readonly plan: readonly Parameter[];
  readonly parameters: Map<string, Tensor>;
  /** Frozen matrices kept in fewer bits, by the names that are then missing from `parameters`. */
  readonly quantized?: ReadonlyMap<string, QuantizedMatrix> | undefined;
}

/** The adapter of a decoder: what all its low-rank updates share. */
export interface Adapter {
  /** Rank, scale, targets and dropout. */
  readonly lora: Lora;
  /** By the parameter's name. */
  readonly projections: ReadonlyMap<string, AdaptedProjection>;
  /** Whether it takes part; switched off, the model is its base, whose log-probs are DPO's reference. */
  enabled: boolean;
  /** Chooses the dropout masks of a training step; none outside training, where nothing is dropped. */
  dropoutKey: number | undefined;
  /** Chooses the masks of the pass that is being computed. */
  passKey: number;
}

/** A parameter's tensor and its name, by which gradients and moments are found. */
export interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
}

/** A parameter where it is used. */
export interface Weight extends NamedTensor {
  /** What an adapter has in its place. */
  saved?: (NamedTensor & { readonly adapter: Adapter }) | undefined;
}

/** What a weight is now: its adapter's where that has one of its own and takes part. */
export function inUse(weight: Weight): NamedTensor {
  return weight.saved?.adapter.enabled ? weight.saved : weight;
}

/** A table whose rows are looked up by token. */
export interface Embedding {
  /** [V, D] */
  readonly weight: Weight;
  /** What an adapter adds to rows: a [V, r], b [D, r], one block. */
  lowRank?: LowRank | undefined;
}

/** A normalisation of rows. */
export interface Norm {
  readonly kind: DecoderConfig["norm"];
  /** [D] */
  readonly weight: Weight;
  /** [D], with layer normalisation. */
  readonly bias?: Weight | undefined;
  readonly epsilon: number;
}

/** A low-rank update of a projection. */
export interface LowRank {
  /** The projection's name: other projections drop other numbers. */
  readonly name: string;
  /** The A_p of all parts, one below the other. [T·r, in] */
  readonly a: NamedTensor;
  /** The B_p, likewise. [Σ rows_p, r] */
  readonly b: NamedTensor;
  /** Where the parts lie, and what their products are multiplied by. */
  readonly blocks: readonly Block[];
  /** Whether it takes part and what it drops. */
  readonly adapter: Adapter;
}

/** A matrix that rows are multiplied by. */
export interface Projection {
  /** Of its weight, among the plan's. */
  readonly name: string;
  /** [out, in]; or frozen, in fewer bits. */
  readonly weight: { readonly wide: Tensor; readonly narrow?: undefined } | {
    readonly wide?: undefined;
    readonly narrow: QuantizedMatrix;
  };
  /** [out] */
  readonly bias?: Weight | undefined;
  /** What an adapter adds. */
  lowRank?: LowRank | undefined;
  /** What an adapter has in its place, where it is served as a whole. */
  saved?: Weight["saved"];
}

/** The angles that heads are turned by: one table for all positions in use, which grows. */
export interface Rotary {
  /** Cosines and sines. */
  table?: Tensor;
}

/** How a layer's attention works. */
export interface Attention {
  readonly heads: Heads;
  /** Normalises each head's query and key before they are turned. */
  readonly headNorm?: { readonly q: Weight; readonly k: Weight; readonly epsilon: number } | undefined;
  /** Absent with learned positions. */
  readonly rotary?: Rotary | undefined;
}

/** A layer of a decoder. */
export interface Layer {
  readonly attention: Attention;
  readonly norms: {
    /** Before attention. */
    readonly first: Norm;
    /** Before the feed-forward half. */
    readonly second: Norm;
  };
  /** What stands between the two products of the feed-forward half. */
  readonly feedForward: DecoderConfig["activation"];
  readonly projections: {
    /** Queries, keys and values. [(H + 2·KV)·hd, D] */
    readonly qkv: Projection;
    /** What follows attention. [D, H·hd] */
    readonly output: Projection;
    /** Gate and up in one [2F, D], or up alone [F, D]. */
    readonly up: Projection;
    /** [D, F] */
    readonly down: Projection;
  };
}

/** All of a decoder, in the order of the forward pass. */
export interface DecoderParts {
  readonly embedding: Embedding;
  /** [P, D], where positions are learned. */
  readonly positions?: Weight | undefined;
  readonly layers: readonly Layer[];
  /** Behind the last layer. */
  readonly norm: Norm;
  /** Its own, or the embedding when they are tied. [V, D] */
  readonly head: Weight;
  /** Of the layers' attention. */
  readonly rotary?: Rotary;
}

/** Finds the parts' tensors by the names of the plan. */
export function decoderParts({ config, parameters, quantized }: DecoderTensors): DecoderParts {
  const weight = (name: string): Weight => {
    const tensor = parameters.get(name);
    if (!tensor) throw new Error(`The model has no parameter "${name}"`);
    return { name, tensor };
  };
  const optional = (name: string) => parameters.has(name) ? weight(name) : undefined;
  const epsilon = config.normEpsilon;
  const norm = (name: string): Norm => ({
    kind: config.norm,
    weight: weight(name),
    bias: optional(`${name}_bias`),
    epsilon,
  });
  const projection = (name: string): Projection => {
    const narrow = quantized?.get(name);
    return {
      name,
      weight: narrow ? { narrow } : { wide: weight(name).tensor },
      bias: optional(`${name}_bias`),
    };
  };
  const { heads, kvHeads, headDim } = config;
  const rotary: Rotary | undefined = config.positions === "rope" ? {} : undefined;
  const layers = Array.from({ length: config.layers }, (_, index): Layer => {
    const of = (part: string) => `layers.${index}.${part}`;
    return {
      attention: {
        heads: { heads, kvHeads, headDim },
        headNorm: config.qkNorm ? { q: weight(of("q_norm")), k: weight(of("k_norm")), epsilon } : undefined,
        rotary,
      },
      norms: { first: norm(of("norm1")), second: norm(of("norm2")) },
      feedForward: config.activation,
      projections: {
        qkv: projection(of("qkv")),
        output: projection(of("output")),
        up: projection(of(config.activation === "swiglu" ? "gate_up" : "up")),
        down: projection(of("down")),
      },
    };
  });
  const embedding = weight("embedding");
  return {
    embedding: { weight: embedding },
    positions: optional("positions"),
    layers,
    norm: norm("norm"),
    // A weight of its own also where it is tied: an adapter may have another head and the same embedding.
    head: optional("head") ?? { ...embedding },
    ...(rotary && { rotary }),
  };
}
