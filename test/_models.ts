/** Small random LLaMA models in a temporary folder, for tests of what is built on models. */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { assign, read, upload } from "../lib/backend/tensors.ts";
import { reservePositions } from "../lib/model/state.ts";
import { initializeModel } from "../lib/checkpoint/initialize.ts";
import { loadModel } from "../lib/model/load_model.ts";
import type { Model } from "../lib/model/model.ts";
import { buildTokenizer } from "../lib/tokenizer/tokenizer_builder.ts";

/** A folder of this test file's own; removed when its tests are done. */
export const folder: string = mkdtempSync(join(tmpdir(), "models-test-"));
after(() => rmSync(folder, { recursive: true, force: true }));

let made = 0;

/** A path in {@linkcode folder} that nothing has yet. */
export function freshPath(): string {
  mkdirSync(folder, { recursive: true }); // Bun runs all files in one process, and the first one's end removes it
  return join(folder, `path-${made++}`);
}

/** What a small model is like. */
export interface SmallModel {
  readonly seed?: number;
  /** Longest sequence (default 64). */
  readonly context?: number;
  /** Fields of config.json that differ. */
  readonly config?: Readonly<Record<string, unknown>>;
}

const corpus = [
  "Question: How many pens are 2 and 3 pens?\nAnswer: 2 + 3 = 5\n#### 5",
  "Question: Ann has 4 pens and buys 6. How many has she?\nAnswer: 4 + 6 = 10\n#### 10",
];

/** Writes a model directory: 2 layers, D = 32, 4 heads, 2 key and value heads, V = 290, its head tied. */
export async function writeSmallModel(options: SmallModel = {}): Promise<string> {
  const { seed = 1, context = 64, config } = options;
  const { tokenizer, config: tokenizerConfig } = buildTokenizer(corpus, { vocabularySize: 290 });
  const path = freshPath();
  await initializeModel(path, {
    seed,
    config: {
      model_type: "llama",
      hidden_size: 32,
      intermediate_size: 48,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      vocab_size: 290,
      max_position_embeddings: context,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      tie_word_embeddings: true,
      bos_token_id: 1,
      eos_token_id: 2,
      torch_dtype: "float32",
      ...config,
    },
    files: new Map([
      ["tokenizer.json", JSON.stringify(tokenizer)],
      ["tokenizer_config.json", JSON.stringify(tokenizerConfig)],
    ]),
  });
  return path;
}

/**
 * A small model on the active backend.
 *
 * @param options `scale` multiplies the matrices (default 8): at 0.02, as models start, all tokens are about equally
 * probable, and a wrong term would hardly show
 */
export async function smallModel(
  backend: "wasm" | "webgpu",
  options: SmallModel & { readonly scale?: number } = {},
): Promise<Model> {
  const model = await loadModel(await writeSmallModel(options), { backend }), { scale = 8 } = options;
  for (const { name, decay, shape } of model.decoder.plan) {
    if (!decay || scale === 1) continue;
    const values = await model.parameterValues(name);
    setParameter(model, name, values.map((v) => v * scale), [...shape]);
  }
  reservePositions(model.decoder, model.config.maxPositions); // made once, so it would count as a leak of its user
  return model;
}

/** Gives a parameter other values. */
export function setParameter(
  model: Model,
  name: string,
  values: Float32Array,
  shape?: readonly number[],
): void {
  const target = model.decoder.parameters.get(name)!;
  assign(target, upload(target.device, values, shape ?? target.shape));
}

/** All parameters, by name. */
export async function parametersOf(model: Model): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const [name, tensor] of model.decoder.parameters) {
    values.set(name, Float32Array.from(await read(tensor)));
  }
  return values;
}

/** Token ids of a list of lengths, from 3 (no special token) up to V − 1, the same for the same seed. */
export function tokenIds(count: number, seed: number): number[] {
  let state = seed * 2654435761 >>> 0;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 4 + (state >>> 8) % 286;
  });
}

/** Everything that an async generator yields. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
