import { askedText } from "../data/asked.ts";
import type { Problem } from "../data/records.ts";
import { chooseDropout } from "../model/adapter.ts";
import type { Model } from "../model/model.ts";
import type { ScoredGroup } from "../objectives/objective.ts";
import { gathered } from "../runtime/agreed.ts";
import { InputError } from "../runtime/errors.ts";
import { InterruptedError } from "../runtime/signals.ts";
import { encodeRecords, groupsOf, type StoredRecord } from "./encode_records.ts";
import type { AnswerProbe } from "./evaluation_options.ts";
import type { EvaluationLine } from "./evaluation_figures.ts";
import { batchStatistics, boundaryOf } from "./batch_statistics.ts";
import type { RecordStore } from "./record_store.ts";
import type { TrainSettings } from "./settings.ts";
import type { TrainingGroup } from "./step.ts";
import { measureTogether } from "./ranks.ts";

/** Records scored at once, at most. */
const BATCH = 32;
/** Answers that a line shows. */
const SAMPLES = 3;

/** Records to evaluate on: some or all of a store. */
export interface EvaluationRecords {
  readonly store: RecordStore<StoredRecord>;
  /** Their places in it. */
  readonly indices: readonly number[];
  /** Questions to ask the model. */
  readonly problems: readonly Problem[];
}

/**
 * Reads an evaluation set of its own.
 *
 * @returns its records, and `overlap`: to be told of each record that is trained on, and to be asked at the end how many
 * of the evaluation set's records ask what one of those asks
 */
export async function readEvaluationSet(model: Model, settings: TrainSettings): Promise<
  EvaluationRecords & { readonly overlap: Overlap }
> {
  const { data, answers } = settings.evaluation!, overlap = new Overlap();
  const asking = new Questions(answers?.questions ?? 0);
  const store = await encodeRecords(model, data!, {
    settings,
    purpose: "evaluate",
    kept(record) {
      overlap.expect(record);
      asking.take(record, overlap.size);
    },
  });
  return {
    store,
    indices: Array.from({ length: store.size }, (_, i) => i),
    problems: asking.chosen(),
    overlap,
  };
}

/** Counts the evaluation set's records that the training set asks too. */
export class Overlap {
  readonly #expected = new Map<string, number>();
  #shared = 0;
  /** Records of the evaluation set. */
  size = 0;

  /** Takes a record of the evaluation set in. */
  expect(record: Problem): void {
    const asked = askedText(record);
    this.#expected.set(asked, (this.#expected.get(asked) ?? 0) + 1);
    this.size++;
  }

  /** Takes a record of the training set in. */
  meet(record: Problem): void {
    const asked = askedText(record);
    this.#shared += this.#expected.get(asked) ?? 0;
    this.#expected.delete(asked);
  }

  /** What a person should know; undefined where nothing is shared. */
  warning(): string | undefined {
    return this.#shared === 0
      ? undefined
      : `${this.#shared} of ${this.size} records of the evaluation set ask what the training set asks too: ` +
        "its figures flatter";
  }
}

/** The questions with an answer that come first by a number, each once. */
export class Questions {
  #chosen: { readonly place: number; readonly asked: string; readonly problem: Problem }[] = [];

  constructor(readonly count: number) {}

  /** Takes a record in. */
  take(problem: Problem, place: number): void {
    if (this.count === 0 || problem.answer === undefined) return;
    const last = this.#chosen.at(-1);
    if (this.#chosen.length === this.count && last !== undefined && last.place <= place) return;
    const asked = askedText(problem);
    if (this.#chosen.some((other) => other.asked === asked)) return;
    this.#chosen.push({ place, asked, problem });
    this.#chosen.sort((a, b) => a.place - b.place);
    this.#chosen.length = Math.min(this.#chosen.length, this.count);
  }

  /** The questions below a bound of their places. */
  chosen(bound = Infinity): Problem[] {
    return this.#chosen.filter(({ place }) => place < bound).map(({ problem }) => problem);
  }
}

/** Evaluates a model while it trains. */
export class Evaluation {
  readonly #every: number;

  /**
   * @param run `steps` of the run and `batches` an epoch
   * @throws {InputError} when answers are asked for and no question has one
   */
  constructor(
    readonly records: EvaluationRecords,
    readonly settings: TrainSettings,
    readonly run: { readonly steps: number; readonly batches: number },
  ) {
    const { every = run.batches, answers } = settings.evaluation!;
    this.#every = every;
    if (answers && records.problems.length === 0) {
      throw new InputError("Cannot measure answers: no record of the evaluation set has an answer");
    }
  }

  /** Whether the model is evaluated after that step: before the first, every so often, and after the last. */
  due(step: number): boolean {
    return step % this.#every === 0 || step === this.run.steps;
  }

  /** Measures the model as it is after that step. */
  async measure(model: Model, step: number): Promise<EvaluationLine> {
    const { settings, records: { store, indices, problems }, run } = this;
    const { loss: lossOptions, compute: { microBatchTokens }, signal, world } = settings;
    const byTokens = settings.objective.averages === "tokens";
    const groups: ScoredGroup[] = [], sums = { loss: 0, objectiveLoss: 0, vftLoss: 0 };
    let weight = 0, hasVft = false;
    chooseDropout(model.decoder); // the whole model is measured
    for (let at = 0; at < indices.length; at += BATCH) {
      if (world.size === 1) signal?.throwIfAborted();
      const batch: TrainingGroup[] = [];
      for (const index of indices.slice(at, at + BATCH)) batch.push(...groupsOf(await store.get(index)));
      const interrupted = signal?.aborted ?? false;
      const shared = { world, interrupted, microBatchTokens };
      const report = await measureTogether(model.decoder, batch, { ...lossOptions, ...shared });
      if (world.size > 1 && report.interrupted) throw new InterruptedError("Interrupted");
      // A batch's loss is a mean over what the objective averages over.
      const share = byTokens ? report.responseTokens : batch.length;
      sums.loss += report.loss! * share;
      sums.objectiveLoss += report.objectiveLoss! * share;
      if (report.vftLoss !== undefined) {
        hasVft = true;
        sums.vftLoss += report.vftLoss * share;
      }
      weight += share;
      groups.push(...report.groups);
    }
    const { positives, negatives, reference, margin, assessment_accuracy } = batchStatistics(
      { groups },
      boundaryOf(settings.loss),
    );
    const { answers } = settings.evaluation!;
    const asked = answers && await askTogether(model, problems, { answers, world, signal });
    return {
      step,
      steps: run.steps,
      epoch: Math.round(step / run.batches * 1000) / 1000,
      eval_records: indices.length,
      eval_loss: sums.loss / weight,
      eval_objective_loss: sums.objectiveLoss / weight,
      ...(hasVft && { eval_vft_loss: sums.vftLoss / weight }),
      ...defined({ positives, negatives, reference, margin, assessment_accuracy }),
      ...(asked && {
        eval_accuracy: asked.accuracy,
        eval_answers: problems.length,
        eval_samples: asked.samples.slice(0, SAMPLES),
      }),
    };
  }
}

/** Asks the model some questions, each by one of the ranks. */
async function askTogether(
  model: Model,
  problems: readonly Problem[],
  { answers, world, signal }: Pick<TrainSettings, "world" | "signal"> & { readonly answers: AnswerProbe },
): ReturnType<AnswerProbe["ask"]> {
  if (world.size === 1) return await answers.ask(model, problems, signal);
  const { rank, size } = world;
  const own = problems.filter((_, i) => i % size === rank);
  const asked = own.length === 0 ? { accuracy: 0, samples: [] } : await answers.ask(model, own, signal);
  const all = await gathered(world, { ...asked, count: own.length });
  const right = all.reduce((sum, { accuracy, count }) => sum + accuracy * count, 0);
  const samples = problems.map((_, i) => all[i % size]!.samples[Math.floor(i / size)]);
  return { accuracy: right / problems.length, samples: samples.filter((sample) => sample !== undefined) };
}

function defined(figures: Readonly<Record<string, number | undefined>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(figures).flatMap(([name, value]) => value === undefined ? [] : [[`eval_${name}`, value]]),
  );
}
