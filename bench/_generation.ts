/** Programs that generate: with the cache, and by computing the whole prefix for every token. */
import * as tf from "@tensorflow/tfjs";
import type { Device } from "../lib/backend/device.ts";
import { read } from "../lib/backend/tensors.ts";
import { Random } from "../lib/data/random.ts";
import { embedding } from "../lib/kernels/vocabulary/embedding.ts";
import { sample } from "../lib/kernels/vocabulary/sample.ts";
import { matmul } from "../lib/kernels/product/matmul.ts";
import { hiddenStates } from "../lib/model/decoder.ts";
import { type Decoder, parameter } from "../lib/model/state.ts";
import { deviceBatch } from "../lib/model/batch.ts";
import { DecodingSession } from "../lib/model/decoding.ts";
import type { Step } from "./_cases.ts";
import { disposeDecoder, randomDecoder, type Size } from "./_decoder.ts";
import { StockDecoder } from "./_stock_tfjs.ts";
import { openBench, upload } from "./_device.ts";

/** Questions, samples of each, and their lengths in tokens. */
export interface GenerationCase {
  readonly backend: Device["name"];
  readonly size: Size;
  readonly questions: number;
  readonly samples: number;
  readonly prompt: number;
  readonly tokens: number;
}

const size = { layers: 4, width: 128, vocabulary: 512 };
const counts = { questions: 16, samples: 6, prompt: 100, tokens: 128 };

/** 16 questions × 6 samples × 128 tokens behind prompts of 100. */
export const generationCases: Readonly<Record<Device["name"], GenerationCase>> = {
  wasm: { backend: "wasm", size, ...counts },
  webgpu: { backend: "webgpu", size, ...counts },
};

/** All sequences to their end with the cache; no end token, so that every one has all its tokens. */
export async function sampleAll(given: GenerationCase): Promise<Step> {
  await openBench(given.backend);
  const decoder = randomDecoder(given.size);
  return {
    async run() {
      await openBench(given.backend);
      await decode(decoder, given);
    },
    dispose: () => disposeDecoder(decoder),
  };
}

/** Decodes with a session of its own; returns the number of tokens. */
export async function decode(
  decoder: Decoder,
  { questions, samples, prompt, tokens }: Omit<GenerationCase, "backend" | "size">,
): Promise<number> {
  const session = new DecodingSession(decoder, {
    temperature: 1,
    topK: 0,
    topP: 1,
    maxTokens: tokens,
    endTokens: [],
    slots: questions * samples,
    longestPrompt: prompt,
    samples,
  });
  const random = new Random(3);
  for (let q = 0; q < questions; q++) {
    const ids = Array.from({ length: prompt }, () => random.integer(decoder.config.vocabularySize));
    const streams = Array.from({ length: samples }, (_, s) => q * samples + s);
    if (!session.tryAdmit({ prompt: ids, streams }, () => {})) throw new Error("The cache is too small");
  }
  while (session.live > 0) await session.advance();
  const { generated } = session;
  session.dispose();
  return generated;
}

/** One token of every sequence by our own kernels without a cache, half of the response being there. */
export async function oneTokenAgain(given: GenerationCase): Promise<Step> {
  await openBench(given.backend);
  const decoder = randomDecoder(given.size), random = new Random(3), half = given.tokens / 2;
  const ids = (count: number) => Array.from({ length: count }, () => random.integer(given.size.vocabulary));
  // A response's last token has no row in a flat batch: one more stands in.
  const groups = Array.from({ length: given.questions }, () => ({
    prompt: ids(given.prompt),
    responses: Array.from({ length: given.samples }, () => ids(half + 1)),
  }));
  return {
    async run() {
      await openBench(given.backend);
      const batch = deviceBatch(decoder, groups), hidden = hiddenStates(decoder, batch);
      const rows = batch.host.segments.filter((s) => s.sharedEnd > s.sharedStart).map((s) => s.end - 1);
      const at = upload(Int32Array.from(rows), [rows.length]), last = embedding(hidden, at);
      const logits = matmul(last, parameter(decoder, "embedding"), { transposeB: true });
      const none = upload(new Int32Array(rows.length), [rows.length]);
      const drawn = sample(logits, { temperature: 0, topK: 0, topP: 1, streams: none, counters: none });
      await read(drawn);
      [hidden, at, last, logits, none, drawn].forEach((t) => t.dispose());
      batch.dispose();
    },
    dispose: () => disposeDecoder(decoder),
  };
}

/** One token of every sequence by stock TF.js, half of the response being there. */
export async function oneTokenOfStock(given: GenerationCase): Promise<Step> {
  await openBench(given.backend);
  const decoder = randomDecoder(given.size), stock = await StockDecoder.copy(decoder), random = new Random(3);
  disposeDecoder(decoder);
  const ids = Array.from(
    { length: given.questions * given.samples },
    () =>
      Array.from({ length: given.prompt + given.tokens / 2 }, () => random.integer(given.size.vocabulary)),
  );
  return {
    async run() {
      await openBench(given.backend);
      const logits = stock.lastLogits(ids), drawn = tf.argMax(logits, -1);
      await drawn.data();
      [logits, drawn].forEach((t) => t.dispose());
    },
    dispose: () => stock.dispose(),
  };
}
