/** The stages of `align`: each writes its result to the run's folder, and is passed over when it is there already. */

import { join } from "node:path";
import { readGroups } from "../lib/data/jsonl.ts";
import { normalizeResponses, type PromptOptions } from "../lib/data/prompts.ts";
import type { Group, Problem } from "../lib/data/records.ts";
import { evaluate, type Evaluated } from "../lib/evaluate/evaluate.ts";
import { score } from "../lib/evaluate/score.ts";
import { summarize, type Summary } from "../lib/evaluate/summary.ts";
import { generate } from "../lib/model/generate.ts";
import { loadModel, type Model } from "../lib/model/model.ts";
import { createProgress } from "../lib/report/progress.ts";
import { renderReport, type Report } from "../lib/report/report.ts";
import { summaryTable } from "../lib/report/summary_table.ts";
import { machine, peakResidentBytes } from "../lib/runtime/environment.ts";
import { InputError, UsageError } from "../lib/runtime/errors.ts";
import {
  exists,
  makeDirectory,
  readBytes,
  readJson,
  readText,
  remove,
  writeAtomic,
  writeJson,
  writeText,
} from "../lib/runtime/files.ts";
import type { Metrics } from "../lib/train/metrics.ts";
import { train, type TrainOptions } from "../lib/train/trainer.ts";
import type { TaskIo } from "./_cli.ts";

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
  readonly epochs: number;
  readonly alignEpochs: number;
  readonly learningRate: number;
  readonly alignLearningRate: number;
  readonly batchSize: number;
  readonly microBatch: number;
  readonly constraints: "all" | "none" | "dc" | "bc";
  readonly calculator: "keep" | "drop";
  readonly prompt: PromptOptions;
  readonly resume: boolean;
  readonly overwrite: boolean;
  readonly quiet: boolean;
  readonly io: TaskIo;
}

/** One line of the table. */
interface Row extends Measured {
  readonly name: string;
}

/** What was measured of a model, and its scores of the example candidates, question by question. */
interface Measured {
  readonly summary: Summary;
  readonly examples: readonly (readonly number[])[];
}

/** A run of `align` in its folder. */
export class AlignRun {
  readonly #started = performance.now();

  private constructor(readonly options: AlignOptions) {}

  /** Opens the folder; one that holds something is refused unless resumed or overwritten. */
  static async open(options: AlignOptions): Promise<AlignRun> {
    const { out, resume, overwrite, io } = options;
    if (await exists(join(out, "align.json")) || await exists(out)) {
      if (resume) {
        const before = await readJson(join(out, "align.json")).catch(() => undefined) as
          | { options?: unknown }
          | undefined;
        const same = (a: unknown) => JSON.stringify(withoutFlow(a));
        if (before && same(before) !== same(io.configuration)) {
          throw new UsageError(
            `Cannot resume ${out}: it was started with other options; see align.json there`,
          );
        }
      } else if (overwrite) await remove(out);
      else {throw new UsageError(
          `Cannot write ${out}: it already exists; use --resume, --overwrite or another --out`,
        );}
    }
    await makeDirectory(out);
    await writeJson(join(out, "align.json"), io.configuration);
    return new AlignRun(options);
  }

  /** All stages, in order. */
  async all(): Promise<void> {
    const { options } = this, { io, out } = options;
    const vft = await this.train("vft", options.model, () => this.problems(options.train), {
      objective: "vft",
      epochs: options.epochs,
      learningRate: options.learningRate,
    });
    const groups = await this.candidates("candidates", vft, options.train);
    const judged = await this.candidates("test-candidates", vft, options.test);
    const align = { epochs: options.alignEpochs, learningRate: options.alignLearningRate };
    const models: [string, string][] = [["vft", vft]];
    const records = () => readRecords(groups);
    models.push(["control", await this.train("control", vft, records, { ...align, objective: "vft" })]);
    const constraints = options.constraints === "all" ? ["none", "dc", "bc"] as const : [options.constraints];
    for (const constraint of constraints) {
      const name = `aft-${constraint}`, beta = constraint === "bc" ? options.beta : undefined;
      models.push([
        name,
        await this.train(name, vft, records, { ...align, objective: "aft", constraint, beta }),
      ]);
    }
    const rows: Row[] = [];
    for (const [name, directory] of models) {
      rows.push({ name, ...await this.measure(name, directory, judged) });
    }
    const table = summaryTable(rows);
    await writeText(join(out, "report.html"), renderReport(await this.report(rows, judged)));
    await writeJson(join(out, "results.json"), {
      rows: rows.map(({ name, summary }) => ({ name, ...summary })),
      seconds: Math.round((performance.now() - this.#started) / 100) / 10,
      peak_resident_bytes: peakResidentBytes(),
      machine: machine(),
    });
    for (const line of table.split("\n")) if (line !== "") await io.output.write(line);
    const seconds = Math.round((performance.now() - this.#started) / 1000);
    io.log(
      `Done in ${seconds} s, peak memory ${
        Math.round(peakResidentBytes() / 2 ** 20)
      } MiB; everything is in ${out}`,
    );
  }

  async *problems(source: () => AsyncIterable<Problem>): AsyncGenerator<Problem> {
    const { calculator } = this.options;
    for await (const problem of source()) {
      yield calculator === "keep" ? problem : normalizeResponses(problem, { calculator });
    }
  }

  async open(directory: string): Promise<Model> {
    return await loadModel(directory, { backend: this.options.backend, log: this.#once });
  }

  readonly #said = new Set<string>();
  readonly #once = (line: string) => {
    if (!this.#said.has(line)) this.options.io.log(line);
    this.#said.add(line);
  };

  /** Trains `from` and returns the new model's directory. */
  async train(
    name: string,
    from: string,
    records: () => AsyncIterable<Problem>,
    settings: TrainOptions,
  ): Promise<string> {
    const { options } = this, { io, quiet, seed, batchSize, microBatch, prompt } = options;
    const out = join(options.out, name);
    if (await exists(join(out, "config.json"))) return out;
    const model = await this.open(from);
    let progress: ReturnType<typeof createProgress> | undefined;
    try {
      const lines = train(model, records(), {
        ...settings,
        seed,
        batchSize,
        microBatchTokens: microBatch,
        prompt,
        out,
        resume: await exists(join(out, "run.json")),
        configuration: { ...io.configuration, run: name, training: settings },
        warn: this.#warn,
        signal: io.signal,
        onStep: (done, total, tokens, loss) => {
          progress ??= createProgress(name, { total, quiet });
          progress.update(done, { tokens, ...(loss !== undefined && { loss }) });
        },
      });
      for await (const _ of lines);
    } finally {
      progress?.stop();
      model.dispose();
    }
    return out;
  }

  /** Samples and labels candidates and returns the file they are in. */
  async candidates(name: string, directory: string, source: () => AsyncIterable<Problem>): Promise<string> {
    const { options } = this,
      { io, samples, temperature, topK, topP, maxTokens, seed, prompt, microBatch } = options;
    const path = join(options.out, `${name}.jsonl`);
    if (await exists(path)) return path;
    const model = await this.open(directory);
    using progress = createProgress(name, { quiet: options.quiet });
    const generated = generate(model, this.problems(source), {
      samples,
      temperature,
      topK,
      topP,
      maxTokens,
      seed,
      prompt,
      warn: this.#warn,
      signal: io.signal,
      onProgress: (done, tokens) => progress.update(done, { tokens }),
    });
    let right = 0, wrong = 0, mixed = 0, all = 0;
    await writeAtomic(path, async (sink) => {
      for await (
        const group of score(model, generated, {
          microBatchTokens: microBatch,
          prompt,
          warn: this.#warn,
          signal: io.signal,
        })
      ) {
        const correct = group.candidates.filter((c) => c.correct).length;
        right += correct;
        wrong += group.candidates.length - correct;
        if (correct > 0 && correct < group.candidates.length) mixed++;
        all++;
        await sink.write(`${JSON.stringify(group)}\n`);
      }
    });
    progress.stop();
    model.dispose();
    io.log(`${name}: ${right} right and ${wrong} wrong candidates of ${all} questions, ${mixed} with both`);
    if (all === 0) throw new InputError("Cannot align: the data has no problems");
    return path;
  }

  /** Measures a model on the test problems and the labelled candidates for them. */
  async measure(name: string, directory: string, judged: string): Promise<Measured> {
    const { options } = this, { io, votes, maxTokens, seed, prompt, microBatch } = options;
    const path = join(options.out, name, "evaluation.json");
    if (await exists(path)) return await readJson(path) as Measured;
    const model = await this.open(directory), results: Evaluated[] = [];
    using progress = createProgress(`evaluate ${name}`, { quiet: options.quiet });
    let done = 0;
    for await (
      const result of evaluate(model, readRecords(judged), {
        votes,
        maxTokens,
        seed,
        prompt,
        microBatchTokens: microBatch,
        signal: io.signal,
        onProgress: (_, __, tokens) => progress.update(done++, { tokens }),
      })
    ) results.push(result);
    progress.stop();
    const examples: number[][] = [];
    for await (
      const { candidates } of score(model, await exampleGroups(judged), {
        microBatchTokens: microBatch,
        prompt,
      })
    ) {
      examples.push(candidates.map((c) => c.score ?? NaN));
    }
    model.dispose();
    const summary = summarize(results);
    await writeJson(path, { summary, examples, results });
    return { summary, examples };
  }

  /** Everything the HTML page shows. */
  async report(rows: readonly Row[], judged: string): Promise<Report> {
    const { options } = this, { io, out } = options;
    const { processor, system, cores } = machine();
    const models = await Promise.all(rows.map(async ({ name, summary }) => ({
      name,
      summary,
      metrics: (await readText(join(out, name, "metrics.jsonl"))).split("\n").filter(Boolean).map((line) =>
        JSON.parse(line) as Metrics
      ),
    })));
    const groups = await exampleGroups(judged);
    const named = io.configuration.options;
    return {
      title: "Alignment Fine-Tuning",
      about: [
        ["Model", options.model],
        ["Data", String(named["data"])],
        ["Problems", `${named["limit"]} to train, ${rows[0].summary.questions} to test`],
        ["Candidates", `${options.samples} a question, temperature ${options.temperature}`],
        ["Seed", String(options.seed)],
        [
          "Backend",
          [...this.#said].find((line) => line.startsWith("Backend: "))?.slice(9) ?? options.backend,
        ],
        ["Machine", `${processor}, ${system}, ${cores} cores; ${io.configuration.runtime}`],
        ["Time", `${Math.round((performance.now() - this.#started) / 1000)} s`],
      ],
      models,
      examples: groups.map((group, g) => ({
        question: group.question,
        answer: group.answer,
        reference: group.reference,
        candidates: group.candidates.map((candidate, c) => ({
          text: candidate.text,
          correct: candidate.correct,
          scores: Object.fromEntries(rows.map(({ name, examples }) => [name, examples[g]?.[c] ?? NaN])),
        })),
      })),
      warnings: this.#warnings,
    };
  }

  readonly #warnings: string[] = [];
  readonly #warn = (line: string) => {
    if (!this.#warnings.includes(line)) this.#warnings.push(line);
    this.options.io.warn(line);
  };
}

function readRecords(path: string): AsyncIterable<Group> {
  return readGroups(readBytes(path), { source: path });
}

/** The first questions with right and wrong candidates: what the report shows one by one. */
async function exampleGroups(judged: string): Promise<Group[]> {
  const found: Group[] = [];
  for await (const group of readRecords(judged)) {
    if (new Set(group.candidates.map((c) => c.correct)).size === 2) found.push(group);
    if (found.length === 6) break;
  }
  return found;
}

/** A configuration without what only says how to go about it. */
function withoutFlow(configuration: unknown): unknown {
  const { options, task } = configuration as { options: Record<string, unknown>; task: string };
  const { resume: _, overwrite: __, quiet: ___, debug: ____, profile: _____, ...kept } = options;
  return { task, kept };
}
