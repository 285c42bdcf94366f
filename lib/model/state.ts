/** What a decoder is while it is in memory: its description, its tensors, its parts, its adapter. */

import type { Device, Tensor } from "../backend/device.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { ropeTable } from "../kernels/attention/rope.ts";
import type { QuantizedMatrix } from "../kernels/product/quantize.ts";
import { type Adapter, type DecoderParts, decoderParts, type DecoderTensors, type Rotary } from "./parts.ts";
import { ropeFrequencies } from "./rope_frequencies.ts";

/** A decoder on a device: its tensors by name, and the same ones where they are used. */
export interface Decoder extends DecoderTensors, DecoderParts {
  /** Low-rank updates of some projections; their factors are parameters too. */
  adapter?: Adapter;
  /** A copy of the head in 8 bits, once decoding on the CPU has wanted it. */
  narrowHead?: QuantizedMatrix;
}

/** Puts a decoder's tensors where they are used. */
export function makeDecoder(tensors: DecoderTensors): Decoder {
  return { ...tensors, ...decoderParts(tensors) };
}

/** The parameter of that name. */
export function parameter(decoder: Pick<Decoder, "parameters">, name: string): Tensor {
  const found = decoder.parameters.get(name);
  if (!found) throw new Error(`The model has no parameter "${name}"`);
  return found;
}

/** Grows the table of rotations to at least `positions`. */
export function reservePositions(
  { config, device, rotary }: {
    readonly config: DecoderConfig;
    readonly device: Device;
    readonly rotary?: Rotary;
  },
  positions: number,
): void {
  if (!rotary || (rotary.table?.shape[0] ?? 0) >= positions) return;
  rotary.table?.dispose();
  const rounded = 2 ** Math.ceil(Math.log2(Math.max(64, positions)));
  rotary.table = ropeTable(device, ropeFrequencies(config), rounded);
}
