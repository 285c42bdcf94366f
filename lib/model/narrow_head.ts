import { quantize, type QuantizedMatrix } from "../kernels/product/quantize.ts";
import { multipliesWhole } from "../kernels/product/quantized_linear.ts";
import { inUse } from "./parts.ts";
import type { Decoder } from "./state.ts";

/**
 * The head in 8 bits, where the CPU decodes on layers that are kept in 8 or 4: with a vocabulary of tens of thousands the
 * head takes half of a step in float32. Made once, when decoding first wants it, and the model's to free; scores, log-probs
 * and gradients are of the head in float32. None beside other dtypes, on a GPU, where an adapter brings a head of its own,
 * or for so many rows that a BLAS multiplies them faster in float32.
 */
export function narrowHead(decoder: Decoder, rows: number): QuantizedMatrix | undefined {
  const { device, quantized, head } = decoder, { tensor } = inUse(head);
  if (device.name !== "wasm" || tensor !== head.tensor || !multipliesWhole(device, rows)) return undefined;
  const [layer] = quantized?.values() ?? [];
  if (!layer || layer.dtype === "f16") return undefined;
  return decoder.narrowHead ??= quantize(
    device,
    new Float32Array(device.memory.buffer, device.pointer(tensor), tensor.size).slice(), // the heap may grow meanwhile
    { shape: tensor.shape as [number, number], dtype: "int8" },
  );
}
