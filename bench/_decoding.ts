/** Decoding on float32 and on narrow weights, by sequences at once. */
import type { Device, Tensor } from "../lib/backend/device.ts";
import { read } from "../lib/backend/tensors.ts";
import { isQuantizable } from "../lib/checkpoint/stored_bytes.ts";
import { quantize, type QuantizedDtype, type QuantizedMatrix } from "../lib/kernels/product/quantize.ts";
import { type Decoder, makeDecoder } from "../lib/model/state.ts";
import { parameterCount, randomDecoder, type Size } from "./_decoder.ts";
import { benchDevice, openBench } from "./_device.ts";
import { decode } from "./_generation.ts";
import { inTurn } from "./_peak.ts";

const RUNS = 5;

/** Decoding cases: sequences at once. 1: a person who waits; 6: a question's samples; 96: what `generate` fills. */
export const decodingCases: Readonly<Record<Device["name"], { size: Size; sequences: readonly number[] }>> = {
  wasm: { size: { layers: 8, width: 512, vocabulary: 4096 }, sequences: [1, 6, 96] },
  webgpu: { size: { layers: 2, width: 512, vocabulary: 512 }, sequences: [1, 6, 48] },
};

/** SmolLM2-135M's shape. */
const smolSize: Size = {
  ...{ layers: 30, width: 576, vocabulary: 49_152 },
  ...{ heads: 9, kvHeads: 3, inner: 1536 },
};

/** The same decoder with the matrices of its layers kept in fewer bits. The embedding, its head, stays as it is. */
export async function narrowed(decoder: Decoder, dtype: QuantizedDtype): Promise<Decoder> {
  const parameters = new Map<string, Tensor>(), quantized = new Map<string, QuantizedMatrix>();
  for (const { name, shape } of decoder.plan) {
    const tensor = decoder.parameters.get(name)!;
    if (isQuantizable(name, shape)) {
      quantized.set(
        name,
        quantize(decoder.device, await read(tensor) as Float32Array, {
          shape: shape as [number, number],
          dtype,
        }),
      );
    } else parameters.set(name, tensor.share());
  }
  return makeDecoder({ ...decoder, parameters, quantized });
}

/** Tokens a second of decoding on float32 and on narrow weights, by sequences at once. */
async function decoding(
  { size, sequences, tokensOf, dtypes }: {
    readonly size: Size;
    readonly sequences: readonly number[];
    readonly tokensOf: (samples: number) => number;
    readonly dtypes: readonly QuantizedDtype[];
  },
): Promise<Record<string, number | string>> {
  const wide = randomDecoder(size), decoders: Record<string, Decoder> = { f32: wide };
  for (const dtype of dtypes) decoders[dtype] = await narrowed(wide, dtype);
  const found: Record<string, number | string> = {
    backend: benchDevice().reason,
    parameters: parameterCount(wide),
  };
  for (const samples of sequences) {
    const given = { questions: 1, samples, prompt: 2, tokens: tokensOf(samples) };
    const times = await inTurn(
      RUNS,
      Object.fromEntries(
        Object.entries(decoders).map((
          [name, decoder],
        ) => [name, async () => void await decode(decoder, given)]),
      ),
    );
    for (const [name, time] of Object.entries(times)) {
      found[`${samples} at once, ${name}, tokens a second`] = 1000 * samples * given.tokens / time;
    }
    found[`${samples} at once, ratio`] = times.f32! / times.int4!;
  }
  return found;
}

/** {@linkcode decodingCases} on float32, 4 and, on the CPU, 8 bits. */
export async function decodingNarrow(backend: Device["name"]): Promise<Record<string, number | string>> {
  await openBench(backend);
  return await decoding({
    ...decodingCases[backend],
    tokensOf: (samples) => backend === "webgpu" ? 8 : samples > 16 ? 16 : 64,
    dtypes: backend === "webgpu" ? ["int4"] : ["int8", "int4"],
  });
}

/** A SmolLM2-135M shape with random weights on the CPU: one sequence and eight. */
export async function decodingSmol(): Promise<Record<string, number | string>> {
  await openBench("wasm");
  return await decoding({
    ...{ size: smolSize, sequences: [1, 8], dtypes: ["int8", "int4"] },
    tokensOf: (samples) => samples === 1 ? 16 : 6,
  });
}
