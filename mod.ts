/**
 * Alignment Fine-Tuning of causal language models in TypeScript, on any GPU, for Deno and Bun.
 *
 * ```ts
 * import { generate, loadDataset, loadModel, score, train } from "./mod.ts";
 *
 * using model = await loadModel("fixtures/base");
 * const problems = loadDataset("arithmetic", { limit: 16 });
 * const groups = score(model, generate(model, problems, { samples: 4, maxTokens: 48 }));
 * const options = { objective: "aft", constraint: "bc", epochs: 1 } as const;
 * for await (const { step, loss } of train(model, groups, options)) console.log(step, loss);
 * await model.save("runs/aft", { overwrite: true });
 * ```
 *
 * @module
 */
export { type BackendChoice, openDevice } from "./lib/backend/backend.ts";
export { type AssemblyKernels } from "./lib/backend/instantiate.ts";
export { type Job, type Threads, useThreads } from "./lib/backend/threads.ts";
export { type GpuChoice, useGpu } from "./lib/runtime/gpu.ts";
export {
  type AdapterIdentity,
  type AnyDevice,
  type CpuDevice,
  type Device,
  type Dtype,
  type Live,
  type MemoryUse,
  type Slot,
  Tensor,
  type WebgpuDevice,
} from "./lib/backend/device.ts";
export { read, upload } from "./lib/backend/tensors.ts";
export type { NativeBlas, Sgemm } from "./lib/runtime/native.ts";
export { alone, openWorld, type World } from "./lib/runtime/world.ts";
export { deal, type DealOptions, type Work } from "./lib/runtime/deal.ts";
export * from "./lib/data/mod.ts";
export * from "./lib/objectives/mod.ts";
export * from "./lib/pipeline/mod.ts";
export * from "./lib/study/mod.ts";
export { evaluate, type Evaluated, type EvaluateOptions } from "./lib/evaluate/evaluate.ts";
export type { OptionResult } from "./lib/evaluate/option_logprobs.ts";
export { score, type ScoreOptions } from "./lib/evaluate/score.ts";
export { label, type LabelCounts, type LabelOptions } from "./lib/feedback/label.ts";
export { labelByMajority, type MajorityOptions } from "./lib/feedback/majority.ts";
export { type Judge, type JudgeCounts, type JudgeOptions, openJudge } from "./lib/feedback/judge.ts";
export type { EndpointCounts } from "./lib/runtime/endpoint.ts";
export { rank, type RankOptions, type Rewards, type RewardSource } from "./lib/feedback/rank.ts";
export { ratings } from "./lib/feedback/rank_ratings.ts";
export { steps } from "./lib/feedback/rank_steps.ts";
export { summarize, type Summary } from "./lib/evaluate/summary.ts";
export { generate, type GenerateOptions } from "./lib/model/generate.ts";
export { generateFrom, type GenerateFromOptions } from "./lib/model/generate_from.ts";
export { type DecoderConfig, type ModelType, modelTypes } from "./lib/checkpoint/config.ts";
export type { Rope, RopeScaling } from "./lib/checkpoint/_rope_config.ts";
export type { FloatDtype } from "./lib/checkpoint/safetensors.ts";
export type { QuantizedDtype } from "./lib/kernels/product/quantize.ts";
export type { BaseDtype } from "./lib/checkpoint/stored_bytes.ts";
export { loadTokenizer, type LoadTokenizerOptions, type Tokenizer } from "./lib/tokenizer/tokenizer.ts";
export type { FixedUpdates } from "./lib/checkpoint/fixed_updates.ts";
export { type Lora, type LoraTarget, parseLora } from "./lib/checkpoint/lora.ts";
export { mergeAdapter, type MergeOptions } from "./lib/model/merge.ts";
export { loadModel, type LoadModelOptions } from "./lib/model/load_model.ts";
export { Model, type SaveOptions } from "./lib/model/model.ts";
export { type ErrorCode, type ErrorDetails, InputError, UsageError } from "./lib/runtime/errors.ts";
export type { Metrics } from "./lib/train/metrics.ts";
export type { Decay } from "./lib/train/schedule.ts";
export { train, type TrainOptions } from "./lib/train/trainer.ts";
