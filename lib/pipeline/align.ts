/** The stages of `align`: each writes its result to the run's folder, and is passed over when it is there already. */

import { join } from "node:path";
import type { Problem } from "../data/records.ts";
import { score } from "../evaluate/score.ts";
import { renderReport } from "../report/report.ts";
import { roundsTable } from "../report/rounds_table.ts";
import { summaryTable } from "../report/summary_table.ts";
import { machine, peakResidentBytes } from "../runtime/environment.ts";
import { byFirst } from "../runtime/agreed.ts";
import { UsageError } from "../runtime/errors.ts";
import { exists, readJson, removeTemporaries, writeJson, writeText } from "../runtime/files.ts";
import { findObjective } from "../objectives/objectives.ts";
import { takeFolder } from "../runtime/owned_files.ts";
import type { EvaluationOptions } from "../train/evaluation_options.ts";
import type { TrainOptions } from "../train/trainer.ts";
import { alignReport, exampleGroups, fileName, type Row } from "./align_report.ts";
import { type AlignOptions, type AlignSettings, resolveAlign } from "./align_options.ts";
import { alignFileNames } from "./align_file_names.ts";
import type { AlignResult } from "./align_result.ts";
import { evaluationOfTraining } from "./align_evaluation.ts";
import { countProblems, type ProblemCounts } from "./held_out.ts";
import { checkSources } from "./check_sources.ts";
import { evaluatedRecords, learnedRecords, tokensIn } from "./learned_records.ts";
import { checkOut, configurationDifference } from "./out_directory.ts";
import { hasControl, plannedStages } from "./planned_stages.ts";
import { TimeLeft } from "./time_left.ts";
import { readRecords, Stages } from "./stages.ts";
import type { Listener } from "../runtime/listener.ts";

/** A model of the run: its row's name, its folder, and the round that made it. */
interface Trained {
  readonly name: string;
  /** Its name without the round. */
  readonly kind: string;
  readonly directory: string;
  readonly round: number;
  /** Tokens of the candidates that it and those before it learned from. */
  readonly sampledTokens: number;
}

/**
 * All of Alignment Fine-Tuning: trains on chains of thought (VFT), samples several chains a question, splits them by
 * whether they reach the answer, calibrates the model's scores by the constraint-alignment loss, and measures every
 * model on test problems. Everything is written to `out`; a run that was stopped goes on with `resume`.
 *
 * ```ts
 * import { align } from "./mod.ts";
 *
 * const { rows } = await align(
 *   { limit: 8, testLimit: 4, epochs: 1, alignEpochs: 1, samples: 2, votes: 0, maxTokens: 16, constraints: "dc", out: "runs/example", overwrite: true },
 *   { metrics: (model, { step, loss }) => console.log(model, step, loss) },
 * );
 * for (const { name, summary } of rows) console.log(name, summary.accuracy);
 * ```
 *
 * @param listener told of progress, warnings, notes and every line of metrics
 * @throws {UsageError} for an option that has no meaning, and for an `out` that holds something else
 * @throws {InputError} when the model or the data cannot be read, before there is a folder
 */
export async function align(options: AlignOptions = {}, listener: Listener = {}): Promise<AlignResult> {
  const settings = resolveAlign(options, options.world?.rank ? {} : listener), { world } = settings;
  let lock: AsyncDisposable | undefined;
  try {
    await byFirst(world, async () => {
      lock = await takeOut(settings, listener);
      await removeTemporaries(settings.out);
      await writeJson(join(settings.out, "align.json"), settings.configuration);
    });
    return await new AlignRun(settings, listener).all();
  } finally {
    await lock?.[Symbol.asyncDispose]();
  }
}

/** Checks all that can be wrong, and takes the run's folder. */
async function takeOut(settings: AlignSettings, listener: Listener): Promise<AsyncDisposable> {
  const { out, resume, overwrite, configuration, sources } = settings;
  const taken = await checkOut({ out, resume, overwrite, mark: "align.json", sources });
  if (taken && resume) {
    const other = configurationDifference(await readJson(join(out, "align.json")), configuration);
    if (other) throw new UsageError(`Cannot resume ${out}: it was started with ${other}`);
  }
  await checkSources(settings, listener);
  const owned = alignFileNames(settings.methods.map(({ kind }) => kind));
  return await takeFolder(out, { owned, overwrite: taken && !resume });
}

/** A run of `align` in its folder. */
class AlignRun {
  readonly #started = performance.now();
  readonly #stages: Stages;
  /** Problems to train on, to test on, and to evaluate on meanwhile. */
  #counts: ProblemCounts = { trained: 0, tested: 0, evaluated: 0 };
  /** The file of VFT's candidates for the evaluation problems, once there is one. */
  #evaluated?: string | undefined;

  constructor(readonly options: AlignSettings, listener: Listener) {
    this.#stages = new Stages({ ...options, listener });
  }

  /** All stages, in order. */
  async all(): Promise<AlignResult> {
    const { options } = this, { out } = options, { listener, warnings, world } = this.#stages;
    this.#counts = await byFirst(world, () => countProblems(options, (line) => listener.warn?.(line)));
    this.#stages.timeLeft = new TimeLeft(plannedStages(options, this.#counts));
    const gradient = options.methods.find(({ objective }) =>
      objective.trainsOn === "samples" && !objective.needsReferenceLogprobs
    );
    if (gradient && options.alignEpochs > 1) {
      listener.warn?.(
        `${gradient.kind} is a gradient at the model that sampled, and ${options.alignEpochs} passes go on from it; ` +
          "option `alignEpochs: 1` makes one",
      );
    }
    const vft = await this.train("vft", {
      from: options.model,
      records: () => this.#stages.problems(options.train),
      settings: {
        objective: "vft",
        trainTurns: options.trainTurns,
        epochs: options.epochs,
        learningRate: options.learningRate,
        seed: options.seed,
      },
    });
    this.#evaluated = options.evaluationProblems &&
      await this.candidates("eval-candidates", { from: vft, problems: options.evaluationProblems });
    const judged = await this.candidates("test-candidates", {
      from: vft,
      problems: options.test,
      judged: true,
    });
    const models: Trained[] = [{ name: "vft", kind: "vft", directory: vft, round: 0, sampledTokens: 0 }];
    for (let round = 1; round <= options.rounds; round++) models.push(...await this.round(round, models));
    const rows: Row[] = [];
    for (const model of models) rows.push(await this.measure(model, judged));
    const report = join(out, "report.html");
    await byFirst(world, () => this.#write(rows, { report, judged }));
    const mib = Math.round(peakResidentBytes() / 2 ** 20);
    listener.note?.(
      `Done in ${Math.round(this.#seconds())} s, peak memory ${mib} MiB; everything is in ${out}`,
    );
    return {
      out,
      rows: rows.map(({ name, round, sampledTokens, summary }, i) => ({
        name,
        directory: models[i]!.directory,
        round,
        sampledTokens,
        summary,
      })),
      table: options.rounds > 1 ? `${summaryTable(rows)}\n${roundsTable(rows)}` : summaryTable(rows),
      report,
      warnings,
      seconds: this.#seconds(),
    };
  }

  /** Writes the page and the numbers. */
  async #write(
    rows: readonly Row[],
    { report, judged }: { readonly report: string; readonly judged: string },
  ): Promise<void> {
    const run = { options: this.options, stages: this.#stages, seconds: this.#seconds() };
    await writeText(report, renderReport(await alignReport(run, rows, judged)));
    await writeJson(join(run.options.out, "results.json"), {
      rows: rows.map(({ name, round, sampledTokens, summary }) => ({
        name,
        round,
        sampled_tokens: sampledTokens,
        ...summary,
      })),
      seconds: this.#seconds(),
      peak_resident_bytes: peakResidentBytes(),
      machine: machine(),
    });
  }

  /** Since the run began, to a tenth. */
  #seconds(): number {
    return Math.round((performance.now() - this.#started) / 100) / 10;
  }

  /**
   * One round: candidates of the newest models, and each kind of model trained on them once more. In the first, all share
   * the VFT model's candidates; later each has its own. From the base all start there in every round, otherwise from VFT
   * and then from themselves. The control has no candidates to use, and is trained on the same questions' references as
   * often as the others; where that would make the VFT model once more there is none.
   */
  async round(round: number, models: readonly Trained[]): Promise<Trained[]> {
    const { options } = this, last = round === 1 ? "" : ` round ${round}`;
    const settings = {
      epochs: options.alignEpochs,
      learningRate: options.alignLearningRate,
      seed: options.seed + round - 1, // other samples and another order in every round
    };
    const vft = models[0]!.directory, start = options.start === "base" ? options.model : vft;
    const newest = (kind: string) =>
      (models.findLast((model) => model.kind === kind) ?? models[0]!).directory;
    const startOf = (kind: string) => round === 1 || options.start === "base" ? start : newest(kind);
    const first = round === 1
      ? await this.candidates("candidates", { from: vft, problems: options.train })
      : undefined;
    const made: Trained[] = [];
    if (hasControl(options, round)) {
      const control = await this.train(fileName(`control${last}`), {
        from: startOf("control"),
        records: first === undefined ? () => this.#stages.problems(options.train) : () => readRecords(first),
        settings: { ...settings, objective: "vft", trainTurns: options.trainTurns },
      });
      made.push({ name: `control${last}`, kind: "control", directory: control, round, sampledTokens: 0 });
    }
    for (const { kind, settings: method } of options.methods) {
      const name = kind + last;
      const groups = first ??
        await this.candidates(fileName(`candidates ${name}`), {
          from: newest(kind),
          problems: options.train,
          seed: settings.seed,
        });
      const directory = await this.train(fileName(name), {
        from: startOf(kind),
        records: () => learnedRecords(groups, options.label),
        settings: { ...settings, ...method },
      });
      const before = models.findLast((model) => model.kind === kind)?.sampledTokens ?? 0;
      made.push({ name, kind, directory, round, sampledTokens: before + await tokensIn(groups) });
    }
    return made;
  }

  /** Trains `from` and returns the new model's directory. */
  async train(
    name: string,
    { from, records, settings }: {
      readonly from: string;
      readonly records: () => AsyncIterable<Problem>;
      readonly settings: TrainOptions;
    },
  ): Promise<string> {
    const { batchSize, out, logEvery, tensorboard } = this.options;
    return await this.#stages.train(join(out, name), {
      from,
      records,
      label: name,
      settings: {
        ...settings,
        batchSize,
        tensorboard,
        logEvery: logEvery(settings.epochs ?? 1),
        evaluation: this.#evaluationOf(settings),
      },
    });
  }

  /** What is measured while a model trains; undefined where nothing is. */
  #evaluationOf({ objective = "aft" }: TrainOptions): EvaluationOptions | undefined {
    const { evaluation, evaluationProblems: problems, label, seed, maxTokens, stop, prompt } = this.options;
    if (!evaluation) return undefined;
    const { trainsOn = "candidates" } = findObjective(objective);
    const data = trainsOn !== "reference" && this.#evaluated !== undefined
      ? evaluatedRecords(this.#evaluated, label)
      : problems && this.#stages.problems(problems);
    const compares = trainsOn === "candidates" || trainsOn === "samples";
    return evaluationOfTraining(evaluation, { compares, data, seed, maxTokens, stop, prompt });
  }

  /** Samples and labels candidates and returns the file they are in. */
  async candidates(
    name: string,
    { from, problems, seed = this.options.seed, judged = false }: {
      readonly from: string;
      readonly problems: () => AsyncIterable<Problem>;
      readonly seed?: number;
      readonly judged?: boolean;
    },
  ): Promise<string> {
    const { samples, temperature, topK, topP, out, label: labels, methods } = this.options;
    // A sample counts as often as it is drawn where it votes, or stands for the model's own distribution.
    const drawn = labels === "majority" || methods.some(({ objective }) => objective.trainsOn === "samples");
    return await this.#stages.candidates(join(out, `${name}.jsonl`), {
      from,
      problems,
      label: name,
      total: problems === this.options.train
        ? this.#counts.trained
        : problems === this.options.test
        ? this.#counts.tested
        : this.#counts.evaluated,
      samples,
      temperature,
      topK,
      topP,
      seed,
      ...(!judged && { labels, keepDuplicates: drawn }),
    });
  }

  /** Measures a model on the test problems and the labelled candidates for them. */
  async measure({ directory, ...model }: Trained, judged: string): Promise<Row> {
    const { votes, seed, prompt, microBatch } = this.options, stages = this.#stages;
    const { summary } = await stages.measure(join(directory, "evaluation.json"), {
      from: directory,
      records: () => readRecords(judged),
      label: `evaluate ${model.name}`,
      total: this.#counts.tested,
      votes,
      seed,
    });
    const path = join(directory, "examples.json");
    // A few groups: rank 0 scores them faster than it would deal them.
    const examples = await byFirst(stages.world, async () => {
      if (await exists(path)) return await readJson(path) as number[][];
      using opened = await stages.open(directory);
      const scored: number[][] = [];
      for await (
        const { candidates } of score(opened, await exampleGroups(judged), {
          microBatchTokens: microBatch,
          prompt,
          signal: this.options.signal,
        })
      ) scored.push(candidates.map((c) => c.score ?? NaN));
      await writeJson(path, scored);
      return scored;
    });
    return { ...model, summary, examples };
  }
}
