import type { Model } from "../model/model.ts";
import { type Best, BestWatch } from "./best_watch.ts";
import { Evaluation, type EvaluationRecords } from "./evaluation.ts";
import { describeEvaluation } from "./evaluation_figures.ts";
import { metricOf } from "./evaluation_options.ts";
import type { RunDirectory, WriteModel } from "./run_directory.ts";
import type { TrainSettings } from "./settings.ts";

/** The run that is watched. */
export interface WatchedRun {
  readonly settings: TrainSettings;
  /** All optimizer steps. */
  readonly steps: number;
  /** Steps an epoch. */
  readonly batches: number;
  /** Where lines and the best model are written. */
  readonly directory: RunDirectory | undefined;
  readonly writeModel: WriteModel;
  /** The best before the run was resumed. */
  readonly best: Best | undefined;
  /** Told of the milliseconds that an evaluation took. */
  readonly idle: (milliseconds: number) => void;
}

/** Evaluates a run where it is due, tells of it, keeps the best model, and says when patience is at its end. */
export class EvaluationWatch {
  readonly #evaluation: Evaluation;
  readonly #watch: BestWatch;
  #spent: boolean;
  #evaluated = -1;

  constructor(readonly model: Model, records: EvaluationRecords, readonly run: WatchedRun) {
    const { settings, best } = run, { patience } = settings.evaluation!;
    this.#evaluation = new Evaluation(records, settings, run);
    this.#watch = new BestWatch(metricOf(settings.evaluation!), patience, best);
    this.#spent = best !== undefined && patience !== undefined && best.waited >= patience;
  }

  /** The best evaluation so far. */
  get best(): Best | undefined {
    return this.#watch.best;
  }

  /** Whether the evaluation that is due after that step, if one is, was made. */
  isMade(step: number): boolean {
    return !this.#evaluation.due(step) || this.#evaluated === step;
  }

  /** Whether patience is at its end. */
  get spent(): boolean {
    return this.#spent;
  }

  /** To be called before the first step (0) and after every one. */
  async after(step: number): Promise<void> {
    if (!this.#evaluation.due(step)) return;
    const { directory, writeModel, settings: { evaluation, listener }, idle } = this.run;
    const started = performance.now();
    const line = await this.#evaluation.measure(this.model, step);
    const { isBest, spent } = this.#watch.take(line);
    await directory?.log(line);
    const mark = isBest && step > 0 ? " (the best so far)" : "";
    listener?.note?.(describeEvaluation(line) + mark);
    for (const { question, response, correct } of line.eval_samples ?? []) {
      listener?.note?.(`  ${inLine(question)} → ${inLine(response)} (${correct ? "right" : "wrong"})`);
    }
    if (isBest && evaluation!.keepBest !== undefined) await directory?.saveBest(step, writeModel);
    if (spent && step < this.run.steps) {
      this.#spent = true;
      const { metric, best } = this.#watch;
      listener?.note?.(
        `Stops at step ${step} of ${this.run.steps}: ${
          best!.waited
        } evaluations in a row were no better than that of ` +
          `step ${best!.step} by ${metric}`,
      );
    }
    this.#evaluated = step;
    await evaluation!.heard?.(line);
    idle(performance.now() - started);
  }

  /** What the best model is the best by, where it is kept in place of the last. */
  get kept(): { readonly step: number; readonly metric: string; readonly value: number } | undefined {
    const { best, metric } = this.#watch;
    if (this.run.settings.evaluation!.keepBest === undefined || !best) return undefined;
    return { step: best.step, metric, value: best.value };
  }

  /** Makes the model in memory the best one, where that is kept. */
  async restoreBest(): Promise<void> {
    const { directory, settings: { evaluation, listener } } = this.run, { best, metric } = this.#watch;
    if (evaluation!.keepBest === undefined || !best || !directory) return;
    await directory.restoreBest(this.model.decoder, best.step);
    const start = best.step === 0 ? ", before the first: training made nothing better" : "";
    listener?.note?.(
      `Keeps the model of step ${best.step}, the best by ${metric} (${
        Number(best.value.toPrecision(4))
      })${start}`,
    );
  }
}

/** A text as part of a line. */
function inLine(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return JSON.stringify(line.length > 90 ? `${line.slice(0, 89)}…` : line);
}
