/** A training step and decoding of models with random weights. */

import type { Tensor, WebgpuDevice } from "../../lib/backend/device.ts";
import { upload } from "../../lib/backend/tensors.ts";
import { parseConfig } from "../../lib/checkpoint/config.ts";
import { parameterPlan } from "../../lib/checkpoint/parameter_plan.ts";
import { DecodingSession } from "../../lib/model/decoding.ts";
import { type Decoder, makeDecoder } from "../../lib/model/state.ts";
import { aft } from "../../lib/objectives/aft.ts";
import type { ModelTime } from "../../lib/report/gpu_measurements.ts";
import { Optimizer } from "../../lib/train/optimizer.ts";
import { accumulateGradients, type TrainingGroup } from "../../lib/train/step.ts";
import { integersBelow, normals } from "./_inputs.ts";
import type { Shape } from "./shapes.ts";

/** A LLaMA decoder with a tied head: matrices normal with deviation 0.02, norms 1. */
export function randomDecoder(device: WebgpuDevice, shape: Shape): Decoder {
  const config = parseConfig({
    model_type: "llama",
    hidden_size: shape.width,
    intermediate_size: shape.inner,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    vocab_size: shape.vocabulary,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    eos_token_id: 2,
  }, "the report's config");
  const plan = parameterPlan(config), parameters = new Map<string, Tensor>();
  for (const [from, { name, shape, decay }] of plan.entries()) {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = decay ? normals(count, { from, deviation: 0.02 }) : new Float32Array(count).fill(1);
    parameters.set(name, upload(device, values, [...shape]));
  }
  return makeDecoder({ device, config, plan, parameters });
}

/** Questions with random tokens; the first half of the candidates is right, the first of them is the reference. */
function groupsOf({ questions, candidates, prompt, response, vocabulary }: Shape): TrainingGroup[] {
  const ids = [...integersBelow(vocabulary, questions * (prompt + candidates * response))];
  const take = (count: number) => ids.splice(0, count);
  return Array.from({ length: questions }, (_, q) => ({
    id: `question ${q}`,
    tokens: { prompt: take(prompt), responses: Array.from({ length: candidates }, () => take(response)) },
    feedback: {
      correct: Array.from({ length: candidates }, (_, c) => c < candidates / 2),
      reference: 0,
    },
  }));
}

/** How long a model is measured. */
export interface ModelBudget {
  /** Milliseconds after which nothing more is begun. */
  readonly until: number;
  /** Steps that are timed, at most. */
  readonly runs: number;
  /** Tokens that are decoded a sequence. */
  readonly tokens: number;
}

/** Times of up to `runs` runs after the first, as many as there is time for; of the first, where there is no more. */
async function timesOf(run: () => Promise<void>, { until, runs }: ModelBudget): Promise<number> {
  const once = async () => {
    const start = performance.now();
    await run();
    return performance.now() - start;
  };
  let fastest = await once(); // with compiling
  for (let i = 0, last = fastest; i < runs && performance.now() + last < until; i++) {
    last = await once();
    fastest = Math.min(fastest, last);
  }
  return fastest;
}

async function step(decoder: Decoder, shape: Shape, budget: ModelBudget): Promise<number> {
  const groups = groupsOf(shape);
  using optimizer = new Optimizer(decoder, {
    ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clip: 1 },
  });
  return await timesOf(async () => {
    await accumulateGradients(decoder, groups, {
      objective: aft,
      objectiveOptions: { constraint: "dc", beta: 0.2 },
      ...{ microBatchTokens: 4096, keep: "products", report: false, gradients: optimizer.gradients },
    });
    optimizer.update(1e-4).dispose();
    await decoder.device.finish();
  }, budget);
}

/** Decodes so many samples of one prompt to their end; no token ends them. */
async function decode(decoder: Decoder, shape: Shape, { samples, tokens }: {
  readonly samples: number;
  readonly tokens: number;
}): Promise<void> {
  using session = new DecodingSession(decoder, {
    ...{ temperature: 1, topK: 0, topP: 1, maxTokens: tokens, endTokens: [] },
    ...{ slots: samples, longestPrompt: shape.prompt, samples },
  });
  const prompt = [...integersBelow(shape.vocabulary, shape.prompt)];
  const streams = Array.from({ length: samples }, (_, s) => s);
  if (!session.tryAdmit({ prompt, streams }, () => {})) throw new Error("The cache is too small");
  while (session.live > 0) await session.advance();
}

/** The fastest step and the fastest decoding of one sequence and of many, as far as there is time. */
export async function timeModel(
  device: WebgpuDevice,
  shape: Shape,
  budget: ModelBudget,
): Promise<ModelTime> {
  const decoder = randomDecoder(device, shape), begun = performance.now();
  try {
    const decoded: { sequences: number; rate: number }[] = [];
    for (const sequences of [1, shape.sequences]) {
      if (performance.now() > budget.until) break;
      const { tokens } = budget;
      const fastest = await timesOf(() => decode(decoder, shape, { samples: sequences, tokens }), budget);
      decoded.push({ sequences, rate: sequences * tokens / (fastest / 1000) });
    }
    const parameters = [...decoder.parameters.values()].reduce((sum, { size }) => sum + size, 0);
    const result = { name: shape.name, parameters, decoded };
    // A step has more kernels to compile than decoding, which took so long.
    const now = performance.now();
    if (now + (now - begun) > budget.until) return result;
    const fastest = await step(decoder, shape, budget);
    const trained = shape.questions * shape.candidates * shape.response / (fastest / 1000);
    return { ...result, step: fastest, trained };
  } finally {
    decoder.parameters.forEach((tensor) => tensor.dispose());
    decoder.rotary?.table?.dispose();
    device.trim();
  }
}
