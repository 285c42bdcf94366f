import type { Tensor } from "../backend/device.ts";
import { read } from "../backend/tensors.ts";
import { InputError } from "../runtime/errors.ts";
import { batchStatistics, boundaryOf } from "./batch_statistics.ts";
import type { Metrics } from "./metrics.ts";
import type { TrainSettings } from "./settings.ts";
import type { StepReport, TrainingGroup } from "./step.ts";

/** Decides which steps are logged and makes their lines. */
export class StepLog {
  #tokens = 0;
  #since = performance.now();

  constructor(
    readonly settings: TrainSettings,
    readonly options: {
      /** All optimizer steps. */
      readonly steps: number;
      /** Steps an epoch. */
      readonly batches: number;
      /** Ids that end a response. */
      readonly endTokens: readonly number[];
    },
  ) {}

  /** Whether that step gets a line: the first, every `logEvery`-th and the last. */
  due(step: number): boolean {
    return step === 1 || step % this.settings.logEvery === 0 || step === this.options.steps;
  }

  /** Leaves out time in which no step was done, so that speeds are those of steps. */
  idle(milliseconds: number): void {
    this.#since += milliseconds;
  }

  /** Counts a step's tokens, and makes its line when it is due. One readback then, none otherwise. */
  async step(
    step: number,
    outcome: {
      readonly groups: readonly TrainingGroup[];
      readonly report: StepReport;
      /** Square of the gradient norm before clipping. [1] */
      readonly squares: Tensor;
      readonly rate: number;
    },
  ): Promise<Metrics | undefined> {
    const { groups, report, squares, rate } = outcome, { endTokens } = this.options;
    this.#tokens += report.responseTokens;
    if (!this.due(step)) return undefined;
    const norm = Math.sqrt((await read(squares))[0]), now = performance.now();
    if (!Number.isFinite(norm)) {
      throw new InputError(
        `Cannot go on: the gradient norm of step ${step} is ${norm}; a lower option \`learningRate\` may help`,
      );
    }
    const speed = this.#tokens / ((now - this.#since) / 1000);
    this.#tokens = 0;
    this.#since = now;
    return {
      step,
      steps: this.options.steps,
      epoch: round(step / this.options.batches),
      loss: report.loss!,
      ...batchStatistics(report, boundaryOf(this.settings.loss)),
      no_end_token: shareWithoutEnd(groups, endTokens),
      gradient_norm: norm,
      learning_rate: rate,
      tokens_per_second: Math.round(speed),
      allocated_bytes: squares.device.use().used,
    };
  }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function shareWithoutEnd(groups: readonly TrainingGroup[], endTokens: readonly number[]): number {
  const responses = groups.flatMap((g) => g.tokens.responses);
  return responses.filter((r) => !endTokens.includes(r.at(-1)!)).length / responses.length;
}
