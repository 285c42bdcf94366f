/** The training steps that are timed, by ours and, on WebGPU, by stock TF.js. */
import type { Device } from "../lib/backend/device.ts";
import type { Decoder } from "../lib/model/state.ts";
import { Optimizer } from "../lib/train/optimizer.ts";
import { accumulateGradients, type StepOptions, type TrainingGroup } from "../lib/train/step.ts";
import {
  type AlignmentBatch,
  alignmentGroups,
  alignmentLoss,
  disposeDecoder,
  randomDecoder,
  sequences,
  type Size,
  tokenLoss,
} from "./_decoder.ts";
import { StockDecoder } from "./_stock_tfjs.ts";
import { benchDevice, openBench } from "./_device.ts";

/** A training step: what is trained on what. */
export interface StepCase {
  readonly backend: Device["name"];
  readonly size: Size;
  /** Questions with candidates, or sequences with a label on every token. */
  readonly batch: AlignmentBatch | { readonly sequences: number; readonly length: number };
}

const aftBatch = { candidates: 6, prompt: 100, response: 120 };

/** The steps of docs/performance.md. */
export const stepCases: Readonly<Record<"vft-webgpu" | "vft-wasm" | "aft-webgpu" | "aft-wasm", StepCase>> = {
  "vft-webgpu": {
    backend: "webgpu",
    size: { layers: 4, width: 128, vocabulary: 512 },
    batch: { sequences: 8, length: 128 },
  },
  "vft-wasm": {
    backend: "wasm",
    size: { layers: 4, width: 128, vocabulary: 512 },
    batch: { sequences: 8, length: 128 },
  },
  "aft-webgpu": {
    backend: "webgpu",
    size: { layers: 4, width: 128, vocabulary: 1024 },
    batch: { questions: 2, ...aftBatch },
  },
  "aft-wasm": {
    backend: "wasm",
    size: { layers: 8, width: 256, vocabulary: 4096 },
    batch: { questions: 8, ...aftBatch },
  },
};

/** Groups of a batch with random tokens. */
export function groupsOf(batch: StepCase["batch"], vocabulary: number): TrainingGroup[] {
  return "questions" in batch
    ? alignmentGroups(batch, vocabulary)
    : sequences(batch.sequences, batch.length, vocabulary);
}

/** Tokens that a step is counted for: response tokens, or all tokens of sequences, as the peers' programs count. */
export function tokensOf(batch: StepCase["batch"]): number {
  return "questions" in batch
    ? batch.questions * batch.candidates * batch.response
    : batch.sequences * batch.length;
}

/** A training step that can be repeated. */
export interface Step {
  /** One step, awaited to its end. */
  run(): Promise<void>;
  dispose(): void;
}

/** What may be switched off, to see what it brings. */
export type StepChoices = Partial<Pick<StepOptions, "keep" | "microBatchTokens">>;

/** Our step: forward, loss, backward, AdamW with clipping; scores are read back where the loss needs them. */
export async function ourStep(
  { backend, size, batch }: StepCase,
  { keep = "products", microBatchTokens = 4096 }: StepChoices = {},
): Promise<Step> {
  await openBench(backend);
  const decoder = randomDecoder(size), groups = groupsOf(batch, size.vocabulary);
  const optimizer = new Optimizer(decoder, {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0,
    clip: 1,
  });
  const loss = "questions" in batch ? alignmentLoss : tokenLoss;
  return {
    async run() {
      await openBench(backend);
      const { gradients } = optimizer;
      await accumulateGradients(decoder, groups, {
        ...loss,
        microBatchTokens,
        keep,
        report: false,
        gradients,
      });
      optimizer.update(1e-3).dispose();
      await benchDevice().finish();
    },
    dispose() {
      optimizer.dispose();
      disposeDecoder(decoder);
    },
  };
}

/** The same step of stock TF.js, which reads its loss back, as a training loop does. */
export async function stockStep({ backend, size, batch }: StepCase): Promise<Step> {
  await openBench(backend);
  const decoder: Decoder = randomDecoder(size), stock = await StockDecoder.copy(decoder);
  disposeDecoder(decoder);
  const groups = groupsOf(batch, size.vocabulary);
  return {
    async run() {
      await openBench(backend);
      const loss = stock.step(groups, "questions" in batch ? "alignment" : "tokens");
      await loss.data();
      loss.dispose();
      await benchDevice().finish();
    },
    dispose: () => stock.dispose(),
  };
}
