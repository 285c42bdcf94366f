import type { PromptOptions } from "../data/prompts.ts";
import type { Problem } from "../data/records.ts";
import type { Lora } from "../checkpoint/lora.ts";
import type { BaseDtype } from "../checkpoint/stored_bytes.ts";
import type { TaskIo } from "../../tasks/cli/run_task.ts";

/** What `align` was asked to do. */
export interface AlignOptions {
  readonly model: string;
  readonly out: string;
  readonly train: () => AsyncIterable<Problem>;
  readonly test: () => AsyncIterable<Problem>;
  readonly samples: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly maxTokens: number;
  readonly votes: number;
  readonly beta?: number;
  readonly seed: number;
  readonly backend: "auto" | "webgpu" | "wasm";
  /** The adapter to train in place of the whole model. */
  readonly lora?: Lora;
  readonly baseDtype: BaseDtype;
  readonly unknownTensors: "refuse" | "keep";
  readonly recompute: boolean;
  readonly epochs: number;
  readonly alignEpochs: number;
  readonly learningRate: number;
  readonly alignLearningRate: number;
  readonly batchSize: number;
  readonly microBatch: number;
  readonly constraints: "all" | "none" | "dc" | "bc";
  /** How often to sample and align; from the second round on with the newest model of each kind. */
  readonly rounds: number;
  readonly calculator: "keep" | "drop";
  readonly prompt: PromptOptions;
  readonly resume: boolean;
  readonly overwrite: boolean;
  readonly quiet: boolean;
  readonly io: TaskIo;
}
