/** What a decoder is while it is in memory: its description, its tensors, its adapter. */

import type { Device, Tensor } from "../backend/device.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import type { AdaptedProjection, Lora } from "../checkpoint/lora.ts";
import type { Parameter } from "../checkpoint/parameter_plan.ts";
import type { Heads } from "../kernels/attention/shapes.ts";
import { ropeTable } from "../kernels/attention/rope.ts";
import type { QuantizedMatrix } from "../kernels/product/quantize.ts";
import { ropeFrequencies } from "./rope_frequencies.ts";

/** The adapter of a decoder. */
export interface Adapter {
  /** Rank, scale, targets and dropout. */
  readonly lora: Lora;
  /** By the parameter's name. */
  readonly projections: ReadonlyMap<string, AdaptedProjection>;
  /** Whether it takes part; switched off, the model is its base, whose log-probs are DPO's reference. */
  enabled: boolean;
  /** Chooses the dropout masks of a training step; none outside training, where nothing is dropped. */
  dropoutKey?: number;
  /** Chooses the masks of the pass that is being computed. */
  passKey: number;
}

/** Tensors by parameter name. */
export type Parameters = ReadonlyMap<string, Tensor>;

/** A decoder on a device: its description and its parameters. */
export interface Decoder {
  /** Where all of it is. */
  readonly device: Device;
  readonly config: DecoderConfig;
  /** How checkpoint tensors make up the parameters. */
  readonly plan: readonly Parameter[];
  readonly parameters: Map<string, Tensor>;
  /** Frozen matrices kept in fewer bits, by the names that are then missing from `parameters`. */
  quantized?: ReadonlyMap<string, QuantizedMatrix>;
  /** Low-rank updates of some parameters; their factors are parameters too. */
  adapter?: Adapter;
  /** Cosines and sines of the positions in use; absent with learned positions. */
  ropeTable?: Tensor;
}

/** The parameter of that name. */
export function parameter(decoder: Decoder, name: string): Tensor {
  const found = decoder.parameters.get(name);
  if (!found) throw new Error(`The model has no parameter "${name}"`);
  return found;
}

/** The head's weight: its own, or the embedding when they are tied. */
export function headName(decoder: Decoder): string {
  return decoder.parameters.has("head") ? "head" : "embedding";
}

/** Head counts and size, as attention wants them. */
export function headsOf({ config: { heads, kvHeads, headDim } }: Decoder): Heads {
  return { heads, kvHeads, headDim };
}

/** Grows the table of rotations to at least `positions`. */
export function reservePositions(decoder: Decoder, positions: number): void {
  if (decoder.config.positions !== "rope" || (decoder.ropeTable?.shape[0] ?? 0) >= positions) return;
  decoder.ropeTable?.dispose();
  const rounded = 2 ** Math.ceil(Math.log2(Math.max(64, positions)));
  decoder.ropeTable = ropeTable(decoder.device, ropeFrequencies(decoder.config), rounded);
}
