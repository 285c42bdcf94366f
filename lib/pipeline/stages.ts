/**
 * The stages that `align` and `study` are made of: train, sample candidates, measure. Each writes its result to a path,
 * and is passed over when it is there already.
 *
 * In a world of several ranks all go through the same stages. A training is shared out by steps, the others by records.
 * Rank 0 alone looks at what is there and writes; a result is there for all when a stage ends.
 */

import { join } from "node:path";
import { readGroups } from "../data/jsonl.ts";
import { normalizeResponses, type PromptOptions } from "../data/prompts.ts";
import type { Group, Problem } from "../data/records.ts";
import { evaluate, type Evaluated, type EvaluateOptions } from "../evaluate/evaluate.ts";
import { score } from "../evaluate/score.ts";
import { labelByMajority } from "../feedback/majority.ts";
import { summarize, type Summary } from "../evaluate/summary.ts";
import { isAdapterDirectory } from "../checkpoint/adapter_config.ts";
import { generate, type GenerateOptions } from "../model/generate.ts";
import { loadModel } from "../model/load_model.ts";
import type { Lora } from "../checkpoint/lora.ts";
import type { Model } from "../model/model.ts";
import { resolveModel } from "../checkpoint/resolve_model.ts";
import type { BaseDtype } from "../checkpoint/stored_bytes.ts";
import { dealing } from "../evaluate/dealing.ts";
import { byFirst, fromFirst } from "../runtime/agreed.ts";
import { exists, readBytes, readJson, readText, writeJson } from "../runtime/files.ts";
import { type EvaluationLine, isEvaluationLine } from "../train/evaluation_figures.ts";
import type { Metrics } from "../train/metrics.ts";
import { tidyFinished } from "../train/checkpoint_folders.ts";
import { plainSettings, train, type TrainOptions } from "../train/trainer.ts";
import { type CandidateCounts, writeCandidates } from "./candidate_file.ts";
import type { TimeLeft } from "./time_left.ts";
import { memoryCheck } from "../model/needs.ts";
import { inStage, type Listener, type ProgressEvent, type Watched } from "../runtime/listener.ts";
import { overRanks } from "../runtime/over_ranks.ts";
import { alone, type World } from "../runtime/world.ts";

/** What all stages of a run share. */
export interface StagesOptions extends Watched {
  readonly backend: "auto" | "webgpu" | "wasm";
  /** The adapter that a whole model gets before it is trained. */
  readonly lora?: Lora | undefined;
  /** How the layers' frozen matrices are kept (default f32). */
  readonly baseDtype?: BaseDtype;
  /** What to do with tensors that a model's family has no use for (default refuse). */
  readonly unknownTensors?: "refuse" | "keep";
  /** Whether layers are computed again in the backward pass. */
  readonly recompute?: boolean;
  /** Longest response, in tokens. */
  readonly maxTokens: number;
  /** Texts that end a response (default: the next question of a plain template). */
  readonly stop?: readonly string[] | undefined;
  /** Tokens computed at once. */
  readonly microBatch: number;
  readonly prompt: PromptOptions;
  readonly calculator: "keep" | "drop";
  /** What was asked for as a whole: kept in each model's run.json. */
  readonly configuration?: unknown;
  /** The processes that go through the stages together (default: this one alone). */
  readonly world?: World | undefined;
  /** Where others make results of the same folder: takes a path until it is disposed of, waiting for whoever has it. */
  readonly take?: ((path: string) => Promise<TakenPath>) | undefined;
}

/** A path that nobody else has until it is disposed of. */
export interface TakenPath extends AsyncDisposable {
  /** Whether nobody had it before: what a killed run left there is nobody's then. */
  readonly first: boolean;
}

/** A source of records that can be read again. */
export type Source<T> = () => AsyncIterable<T>;

/** What to train, and on what. */
export interface TrainStage {
  /** Directory of the model to start from. */
  readonly from: string;
  readonly records: Source<Problem>;
  readonly settings: TrainOptions;
  /** What the progress bar says. */
  readonly label: string;
  /** Called with the model before the first step and after every line of metrics. */
  readonly probe?: ((model: Model, metrics: Metrics | undefined) => Promise<void>) | undefined;
}

/** What to sample, and from which model. */
export interface CandidateStage
  extends Pick<GenerateOptions, "samples" | "temperature" | "topK" | "topP" | "seed" | "keepDuplicates"> {
  /** Directory of the model. */
  readonly from: string;
  readonly problems: Source<Problem>;
  readonly label: string;
  /** How many problems there are, where that is known. */
  readonly total?: number | undefined;
  /** Whether candidates get log-probs beside their labels (default true). */
  readonly logprobs?: boolean;
  /** What marks them: the problems' answers (default), or the majority of a question's candidates. */
  readonly labels?: "answer" | "majority";
}

/** What to measure. */
export interface MeasureStage extends Pick<EvaluateOptions, "votes" | "seed" | "options"> {
  /** Directory of the model. */
  readonly from: string;
  /** Problems, or groups with labelled candidates. */
  readonly records: Source<Problem>;
  readonly label: string;
  /** How many records there are, where that is known. */
  readonly total?: number | undefined;
}

/** What was measured of a model. */
export interface Measured {
  readonly summary: Summary;
  readonly results: readonly Evaluated[];
}

/** The stages, with what they said. */
export class Stages {
  /** Every warning, once. */
  readonly warnings: string[] = [];
  /** Which backend serves and why, once a model was opened. */
  backend?: string;
  /** Hears of everything; remembers warnings. In another rank than 0 nobody does. */
  readonly listener: Listener;
  /** The processes that go through the stages together. */
  readonly world: World;
  /** What is left to do, where the stages to come are known: progress then says how long it is likely to take. */
  timeLeft?: TimeLeft | undefined;

  constructor(readonly options: StagesOptions) {
    const { world = alone } = options, listener = world.rank === 0 ? options.listener : undefined;
    this.world = world;
    this.listener = {
      ...listener,
      warn: (line) => {
        if (!this.warnings.includes(line)) this.warnings.push(line);
        listener?.warn?.(line);
      },
      ...(listener?.progress && {
        progress: (event: ProgressEvent) => {
          const { part, done, total } = event,
            left = this.timeLeft?.take(part, total ? done / total : undefined);
          listener.progress!(left === undefined ? event : { ...event, left });
        },
      }),
    };
  }

  /** Loads a model, with a new adapter where one is to be trained; says which backend serves once. */
  async open(
    directory: string,
    adapter?: { readonly lora: Lora; readonly seed?: number | undefined },
  ): Promise<Model> {
    const { backend, baseDtype = "f32", unknownTensors: unknown, microBatch, recompute, signal } =
      this.options;
    const model = await loadModel(directory, {
      ...{ backend, baseDtype, unknown, signal, ...adapter },
      check: memoryCheck("train", { baseDtype, microBatch, recompute }),
      listener: { ...this.listener, note: undefined },
    });
    const { reason } = model.device;
    if (reason !== this.backend) this.listener.note?.(`Backend: ${reason}`);
    this.backend = reason;
    return model;
  }

  /** Problems as a run uses them: with calculator marks or without. */
  async *problems(source: Source<Problem>): AsyncGenerator<Problem> {
    const { calculator } = this.options;
    for await (const problem of source()) {
      yield calculator === "keep" ? problem : normalizeResponses(problem, { calculator, endings: "keep" });
    }
  }

  /** Trains a model into the folder `out`; one that was stopped goes on from its last checkpoint. Returns `out`. */
  async train(out: string, { from, records, settings, label, probe }: TrainStage): Promise<string> {
    const { microBatch, prompt, signal, configuration, lora, recompute } = this.options, { world } = this;
    await using taken = await this.options.take?.(out);
    const { isThere, resume, adapter } = await byFirst(world, async () => {
      const isThere = await exists(join(out, "config.json")) || await isAdapterDirectory(out);
      if (isThere && taken?.first !== false) await tidyFinished(out);
      const whole = !isThere && lora !== undefined && !await isAdapterDirectory(await resolveModel(from));
      const adapter = whole ? { lora, seed: settings.seed } : undefined;
      return { isThere, resume: await exists(join(out, "run.json")), adapter };
    });
    if (isThere) return out;
    using model = await this.open(from, adapter);
    await probe?.(model, undefined);
    const lines = train(model, records(), {
      ...settings,
      microBatchTokens: microBatch,
      recompute,
      prompt,
      out,
      resume,
      overwrite: !resume, // what others keep in the folder of a model that is not there stays
      configuration: { ...configuration as object, run: label, training: plainSettings(settings) },
      listener: {
        ...inStage(this.listener, label),
        note: (line) => this.listener.note?.(`${label}: ${line}`),
        progress: (event) => this.listener.progress?.({ ...event, part: label }),
      },
      signal,
      world,
    });
    for await (const line of lines) {
      this.listener.metrics?.(label, line as unknown as Readonly<Record<string, unknown>>);
      await probe?.(model, line);
    }
    return out;
  }

  /** Samples and labels candidates into the file `path`, and returns it. */
  async candidates(
    path: string,
    { from, problems, label, total, logprobs = true, labels = "answer", ...sampling }: CandidateStage,
  ): Promise<string> {
    const { maxTokens, stop, prompt, microBatch, signal } = this.options, { world } = this;
    await using _taken = await this.options.take?.(path);
    if (await byFirst(world, () => exists(path))) return path;
    using model = await this.open(from);
    const listener: Listener = {
      ...inStage(this.listener, label),
      progress: (event) => this.listener.progress?.({ ...counted(event, total), part: label }),
    };
    const sample = overRanks(
      { world, listener },
      { part: label, ...dealing.generate },
      (problems: AsyncIterable<Problem>, listener) =>
        generate(model, problems, { ...sampling, maxTokens, stop, prompt, listener, signal }),
    );
    const scored = overRanks(
      { world, listener: { ...listener, progress: undefined } },
      { part: label, ...dealing.score },
      (groups: AsyncIterable<Group>, listener) =>
        score(logprobs ? model : undefined, groups, {
          microBatchTokens: microBatch,
          prompt,
          listener,
          signal,
        }),
    );
    const drawn = sample(this.problems(problems));
    // Ranks that score have ended sampling: what is dealt is dealt one after the other.
    const generated = world.size === 1 ? drawn : each(await Array.fromAsync(drawn));
    const groups = scored(labels === "answer" ? generated : labelByMajority(generated, { listener, signal }));
    let counts: CandidateCounts | undefined;
    if (world.rank === 0) counts = await writeCandidates(path, groups);
    else await Array.fromAsync(groups); // its part of them
    const { right, wrong, mixed, all } = (await fromFirst(world, counts))!;
    this.listener.note?.(
      `${label}: ${right} right and ${wrong} wrong candidates of ${all} questions, ${mixed} with both`,
    );
    return path;
  }

  /** Measures a model, into the file `path`. */
  async measure(path: string, { from, records, label, ...measuring }: MeasureStage): Promise<Measured> {
    const { world } = this;
    await using _taken = await this.options.take?.(path);
    const found = await byFirst(
      world,
      async () => await exists(path) ? await readJson(path) as Measured : null,
    );
    if (found) return found;
    using model = await this.open(from);
    const results = await this.evaluated(model, records, { ...measuring, label });
    const measured = { summary: summarize(results), results };
    await byFirst(world, () => writeJson(path, measured));
    return measured;
  }

  /** What is measured of each record with a model that is open: in every rank. */
  async evaluated(
    model: Model,
    records: Source<Problem>,
    options: EvaluateOptions & { readonly label: string; readonly total?: number | undefined },
  ): Promise<Evaluated[]> {
    const { maxTokens, stop, prompt, microBatch, signal } = this.options;
    const { label, total, ...measuring } = options;
    const { world } = this, { progress } = inStage(this.listener, label);
    const measure = overRanks(
      { world, listener: { progress: (event) => progress?.(counted(event, total)) } },
      { part: "records", ...dealing.evaluate },
      (records: AsyncIterable<Problem>, listener) =>
        evaluate(model, records, {
          maxTokens,
          stop,
          prompt,
          microBatchTokens: microBatch,
          signal,
          listener,
          ...measuring,
        }),
    );
    return await fromFirst(world, await Array.fromAsync(measure(records())));
  }
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** An event with its total, where it lacks one that is known. */
function counted(event: ProgressEvent, total: number | undefined): ProgressEvent {
  return event.total === undefined && total !== undefined ? { ...event, total } : event;
}

/** The groups in a file. */
export function readRecords(path: string): AsyncIterable<Group> {
  return readGroups(readBytes(path), { source: path });
}

/** The lines of a model directory's metrics.jsonl: a step's, and an evaluation's. */
export async function readMetrics(
  directory: string,
): Promise<{ readonly metrics: Metrics[]; readonly evaluations: EvaluationLine[] }> {
  const text = await readText(join(directory, "metrics.jsonl"));
  const lines = text.split("\n").filter(Boolean).map((line): Metrics | EvaluationLine => JSON.parse(line));
  return {
    metrics: lines.filter((line): line is Metrics => !isEvaluationLine(line)),
    evaluations: lines.filter(isEvaluationLine),
  };
}
