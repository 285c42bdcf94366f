/** Random decoders and batches of the benchmarks: sizes matter here, weights do not. */
import type { Tensor } from "../lib/backend/device.ts";
import { Random } from "../lib/data/random.ts";
import { parseConfig } from "../lib/checkpoint/config.ts";
import { type Decoder, makeDecoder } from "../lib/model/state.ts";
import { parameterPlan } from "../lib/checkpoint/parameter_plan.ts";
import { aft } from "../lib/objectives/aft.ts";
import { vft } from "../lib/objectives/vft.ts";
import type { LossOptions, TrainingGroup } from "../lib/train/step.ts";
import { benchDevice, upload } from "./_device.ts";

/** Sizes of a decoder: layers, width D, vocabulary V. */
export interface Size {
  readonly layers: number;
  readonly width: number;
  readonly vocabulary: number;
  /** Default max(4, D/64), as in the peers' programs. */
  readonly heads?: number;
  /** Default as many. */
  readonly kvHeads?: number;
  /** F (default 3D, as there). */
  readonly inner?: number;
}

/** Random numbers of one parameter, after which they come again: sizes matter here, not what is computed. */
const NOISE = 2 ** 20;

/** A LLaMA decoder with a tied head on the active backend: matrices normal with deviation 0.02, norms 1. */
export function randomDecoder(
  { layers, width, vocabulary, heads = Math.max(4, width / 64), kvHeads = heads, inner = 3 * width }: Size,
  seed = 1,
): Decoder {
  const config = parseConfig({
    model_type: "llama",
    hidden_size: width,
    intermediate_size: inner,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    vocab_size: vocabulary,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    eos_token_id: 2,
  }, "the benchmark's config");
  const plan = parameterPlan(config), parameters = new Map<string, Tensor>();
  for (const { name, shape, decay } of plan) {
    const random = new Random(seed, { stream: name }), size = shape.reduce((a, b) => a * b, 1);
    const values = new Float32Array(size).fill(1), first = values.subarray(0, Math.min(size, NOISE));
    if (decay) {
      for (let i = 0; i < first.length; i++) first[i] = 0.02 * random.normal();
      for (let at = NOISE; at < size; at += NOISE) values.copyWithin(at, 0, Math.min(NOISE, size - at));
    }
    parameters.set(name, upload(values, [...shape]));
  }
  return makeDecoder({ device: benchDevice(), config, plan, parameters });
}

/** Frees a decoder's tensors. */
export function disposeDecoder(decoder: Decoder): void {
  decoder.parameters.forEach((t) => t.dispose());
  decoder.rotary?.table?.dispose();
}

/** Number of parameters. */
export function parameterCount(decoder: Decoder): number {
  return [...decoder.parameters.values()].reduce((sum, t) => sum + t.size, 0);
}

/** A batch of an alignment step. */
export interface AlignmentBatch {
  readonly questions: number;
  readonly candidates: number;
  readonly prompt: number;
  readonly response: number;
}

/** Questions with random tokens; the first half of the candidates is right, the first of them is the reference. */
export function alignmentGroups(
  { questions, candidates, prompt, response }: AlignmentBatch,
  vocabulary: number,
): TrainingGroup[] {
  const random = new Random(7);
  const tokens = (count: number) => Array.from({ length: count }, () => random.integer(vocabulary));
  return Array.from({ length: questions }, (_, q) => ({
    id: `question ${q}`,
    tokens: {
      prompt: tokens(prompt),
      responses: Array.from({ length: candidates }, () => tokens(response)),
    },
    feedback: {
      correct: Array.from({ length: candidates }, (_, c) => c < candidates / 2),
      reference: 0,
    },
  }));
}

/** Sequences with a label on every token but the first. */
export function sequences(count: number, length: number, vocabulary: number): TrainingGroup[] {
  const random = new Random(7);
  return Array.from({ length: count }, (_, i) => ({
    id: `sequence ${i}`,
    tokens: {
      prompt: [random.integer(vocabulary)],
      responses: [Array.from({ length: length - 1 }, () => random.integer(vocabulary))],
    },
    feedback: { reference: 0 },
  }));
}

/** −s_ref + L_A with the detached constraint, averaged over questions. */
export const alignmentLoss: LossOptions = {
  objective: aft,
  objectiveOptions: { constraint: "dc", beta: 0.2 },
};

/** Mean of −log P over the tokens of the batch. */
export const tokenLoss: LossOptions = {
  objective: vft,
  objectiveOptions: { constraint: "none" },
};
