/**
 * The cells of a study: models, candidates and measurements, each in a folder of its own whose name ends in a digest of
 * all that decides it. A cell that is there is not made again, whichever experiment asks.
 */

import { basename, join } from "node:path";
import { loadDataset } from "../data/load_dataset.ts";
import type { Group, Problem } from "../data/records.ts";
import type { Model } from "../model/model.ts";
import { baseDigest } from "./base_model.ts";
import { type CandidateChange, mixed, type Sampler } from "./candidate_changes.ts";
import { evaluationOfTraining } from "../pipeline/align_evaluation.ts";
import { byFirst } from "../runtime/agreed.ts";
import { makeDirectory } from "../runtime/files.ts";
import { findObjective } from "../objectives/objectives.ts";
import type { Metrics } from "../train/metrics.ts";
import { type Measured, readRecords, type Source, type Stages } from "../pipeline/stages.ts";
import type { EvaluationOptions } from "../train/evaluation_options.ts";
import { digest, learned, type Method, trainOptions, withReferences } from "./method.ts";
import type { StudyEvaluation, StudySettings } from "./settings.ts";

/** A model of the study. */
export interface Cell {
  /** The model's directory. */
  readonly directory: string;
  /** What stands behind its name: a digest of everything that went into it. */
  readonly key: string;
}

/** Called on the way of a training; see `TrainStage`. */
export type Probe = (model: Model, metrics: Metrics | undefined) => Promise<void>;

/** Where data sets lie, and where the study does. */
export interface CellsOptions {
  readonly out: string;
  readonly dataDirectory?: string | undefined;
}

/** Makes and finds the cells of one study's settings. */
export class StudyCells {
  #baseDigest?: Promise<string>;

  constructor(readonly settings: StudySettings, readonly stages: Stages, readonly options: CellsOptions) {}

  /** The first problems of one data set, or of several: as many of each. `split` is train or test. */
  problems(
    data: string,
    split: "train" | "test",
    limit: number = split === "train" ? this.settings.limit : this.settings.testLimit,
  ): Source<Problem> {
    const directory = this.options.dataDirectory;
    const watched = { listener: this.stages.listener, signal: this.stages.options.signal };
    const each = data.split("+").map((name) => () =>
      loadDataset(`${name}:${split}`, { directory, limit, ...watched })
    );
    return async function* () {
      for (const source of each) yield* source();
    };
  }

  /** VFT of the base model on a data set's references (`a+b` for both); fewer passes or more problems make it another. */
  async vft(
    data: string,
    seed: number,
    { probe, epochs = this.settings.epochs, limit = this.settings.limit }: {
      readonly probe?: Probe;
      readonly epochs?: number;
      readonly limit?: number;
    } = {},
  ): Promise<Cell> {
    const { learningRate, batchSize, checkpoints } = this.settings;
    const from = await this.base();
    const settings = { objective: "vft", epochs, learningRate };
    // One that is watched is another cell: it is the same model, made again with measurements on the way.
    const logEvery = probe && Math.max(1, Math.round(epochs * limit / batchSize / checkpoints));
    const name = `${data}-s${seed}-${probe ? "pilot" : "vft"}`;
    return await this.train(name, {
      from,
      settings: { ...settings, ...(logEvery && { logEvery }) },
      data,
      seed,
      records: () => this.stages.problems(this.problems(data, "train", limit)),
      probe,
      ...(limit !== this.settings.limit && { more: { limit } }),
    });
  }

  /** The model that writes candidates for a seed. */
  #sampler(data: string, seed: number, sampler: Sampler): Promise<Cell> {
    switch (sampler) {
      case "own":
        return this.vft(data, seed);
      case "another seed":
        return this.vft(data, seed + 1000);
      case "weaker":
        return this.vft(data, seed, { epochs: 1 });
      case "stronger":
        return this.vft(data, seed, { limit: 4 * this.settings.limit });
    }
  }

  /** Labelled candidates of the VFT model (or of another) for its own training or test problems: the file they are in. */
  async candidates(
    data: string,
    seed: number,
    options: { readonly split?: "train" | "test"; readonly samples?: number; readonly sampler?: Sampler } =
      {},
  ): Promise<string> {
    const { split = "train", samples = this.settings.samples, sampler = "own" } = options;
    const { temperature, maxTokens } = this.settings, from = await this.#sampler(data, seed, sampler);
    const limit = split === "train" ? this.settings.limit : this.judgedLimit;
    const key = digest({ from: from.key, split, samples, temperature, maxTokens, limit });
    const folder = await this.#folder("candidates");
    const name = `${data}-s${seed}-${split}-k${samples}`;
    return await this.stages.candidates(join(folder, `${name}-${key}.jsonl`), {
      from: from.directory,
      problems: this.problems(data, split, limit),
      label: name,
      total: limit * data.split("+").length,
      samples,
      temperature,
      seed,
    });
  }

  /** Test problems that have candidates, and that are voted on: the first. */
  get judgedLimit(): number {
    return Math.min(this.settings.testLimit, this.settings.judged);
  }

  /**
   * A method's model: trained on candidates (sampled from the seed's VFT model, or those that the data set brings), from
   * that model on or from the base. From the base, VFT is the VFT model; and DPO, which nothing else would teach to write,
   * has a VFT term of weight 1 beside it.
   */
  async aligned(
    data: string,
    seed: number,
    { method, probe }: { readonly method: Method; readonly probe?: Probe | undefined },
  ): Promise<Cell> {
    const { limit, samples, temperature, maxTokens, rankedData, start } = this.settings;
    if (start === "base" && method.objective === "vft" && probe === undefined) {
      return await this.vft(data, seed);
    }
    const from = start === "base" ? await this.base() : await this.vft(data, seed);
    const { epochs, learningRate } = start === "base"
      ? this.settings
      : { epochs: this.settings.alignEpochs, learningRate: this.settings.alignLearningRate };
    const count = method.samples ?? samples, ranked = data === rankedData;
    const { objective, constraint, beta, logEvery, votes, change, epochs: passes = epochs } = start === "base"
      ? withReferences(method)
      : method;
    // A sweep of k takes the first of the most candidates, so that fewer are a part of more.
    const most = method.samples === undefined ? samples : Math.max(...this.settings.sampleCounts);
    const records = ranked
      ? await this.#brought(data, seed, change)
      : await this.#sampled(data, seed, { method, most, count });
    const kind = method.objective === "vft" ? "vft-again" : method.objective;
    const name = [data, `s${seed}`, ...(start === "base" ? ["base"] : []), kind, method.constraint]
      .filter((part) => part !== undefined).join("-");
    return await this.train(name, {
      from,
      settings: { epochs: passes, learningRate, objective, constraint, beta, logEvery, votes, change },
      data,
      seed,
      records,
      probe,
      more: ranked ? { limit } : { limit, most, count, temperature, maxTokens },
    });
  }

  /** The first of a model's candidates, as a method learns from them. */
  async #sampled(
    data: string,
    seed: number,
    { method, most, count }: { readonly method: Method; readonly most: number; readonly count: number },
  ): Promise<Source<Problem>> {
    const sampler = method.change?.sampler ?? "own";
    const path = await this.candidates(data, seed, { samples: most, sampler });
    return () => learned(readRecords(path), method, { count, seed });
  }

  /** The candidates that a data set brings, with a share of the VFT model's own among them where that is asked for. */
  async #brought(data: string, seed: number, change: CandidateChange | undefined): Promise<Source<Problem>> {
    const problems = this.problems(data, "train");
    if (change?.own === undefined) return problems;
    const path = await this.candidates(data, seed), count = this.settings.samples, share = change.own;
    return () => mixed(problems() as AsyncIterable<Group>, readRecords(path), { share, count });
  }

  /** What a model does on a data set's test problems, with the candidates of that set's VFT model (or its own). */
  async measured(cell: Cell, data: string, seed: number): Promise<Measured> {
    const { testLimit, maxTokens, testSamples } = this.settings;
    const records = await this.judged(data, seed);
    const key = digest({ data, seed, testLimit, maxTokens, testSamples, records: records.key });
    return await this.stages.measure(join(cell.directory, `evaluation-${data}-${key}.json`), {
      from: cell.directory,
      records: records.source,
      label: `evaluate ${basename(cell.directory)} on ${data}`,
      total: testLimit * data.split("+").length,
      options: "both",
      votes: testSamples,
      seed,
    });
  }

  /** The test problems of a data set, the first with labelled candidates. */
  async judged(data: string, seed: number): Promise<{ source: Source<Group | Problem>; key: string }> {
    if (data === this.settings.rankedData) return { source: this.problems(data, "test"), key: data };
    const path = await this.candidates(data, seed, { split: "test" });
    const problems = this.problems(data, "test"), first = this.judgedLimit;
    const source = async function* (): AsyncGenerator<Problem> {
      yield* readRecords(path);
      let at = 0;
      for await (const problem of problems()) if (at++ >= first) yield problem;
    };
    return { source, key: basename(path) };
  }

  /** Responses of a model to test problems, drawn at 0.7 as for maj@k, equal ones kept: the file they are in. */
  async ballots(cell: Cell, data: string, seed: number): Promise<string> {
    const { votes, maxTokens } = this.settings, limit = this.judgedLimit;
    const path = join(cell.directory, `votes-${data}-${digest({ votes, limit, maxTokens })}.jsonl`);
    return await this.stages.candidates(path, {
      from: cell.directory,
      problems: this.problems(data, "test", limit),
      label: `votes ${basename(cell.directory)}`,
      total: limit,
      samples: votes,
      temperature: 0.7,
      keepDuplicates: true,
      logprobs: false,
      seed,
    });
  }

  /** Trains a cell: its folder is named by what it is and by a digest of all that decides it. */
  async train(
    name: string,
    { from, settings, data, seed, records, probe, more }: {
      readonly from: Cell;
      readonly settings: Readonly<Record<string, unknown>>;
      readonly data: string;
      readonly seed: number;
      readonly records: Source<Problem>;
      readonly probe?: Probe | undefined;
      readonly more?: unknown;
    },
  ): Promise<Cell> {
    const { limit, batchSize } = this.settings;
    // What is watched on its way is measured there, whatever else is asked for.
    const evaluation = probe ? undefined : this.settings.evaluation;
    const key = digest({ from: from.key, settings, data, limit, seed, batchSize, more, evaluation });
    const folder = await this.#folder("cells"), label = `${name}-${key}`;
    const directory = await this.stages.train(join(folder, label), {
      from: from.directory,
      records,
      settings: {
        ...trainOptions(settings),
        seed,
        batchSize,
        ...(evaluation && { evaluation: this.#evaluated(evaluation, settings.objective as string) }),
      },
      label,
      probe,
    });
    return { directory, key };
  }

  /** The evaluation of a cell's training. */
  #evaluated(evaluation: StudyEvaluation, objective: string): EvaluationOptions {
    const { trainsOn = "candidates" } = findObjective(objective), { maxTokens } = this.settings;
    const compares = trainsOn === "candidates" || trainsOn === "samples";
    // The questions held out are the same in every cell of a data set, whatever its seed.
    return evaluationOfTraining(evaluation, { compares, data: undefined, seed: 0, maxTokens, prompt: {} });
  }

  /** A folder of the study, which is there then. */
  async #folder(name: string): Promise<string> {
    const folder = join(this.options.out, name);
    await byFirst(this.stages.world, () => makeDirectory(folder));
    return folder;
  }

  /** The base model as a cell. */
  async base(): Promise<Cell> {
    return { directory: this.settings.model, key: await this.#baseKey() };
  }

  /** {@linkcode baseDigest} of the base model. */
  #baseKey(): Promise<string> {
    const { stages: { world, listener, options: { signal } }, settings: { model } } = this;
    return this.#baseDigest ??= byFirst(world, () => baseDigest(model, { listener, signal }));
  }
}
