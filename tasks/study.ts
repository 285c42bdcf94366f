/**
 * The paper's experiments, side by side, at the size that the machine allows: tables, plots and one page.
 *
 *   deno task study
 *   deno task study --only pilot,main --seeds 1 --limit 320
 */
import { isBare, textTable } from "../lib/report/table.ts";
import { embeddedBase } from "../lib/pipeline/align_options.ts";
import { threadsToUse } from "../lib/backend/threads.ts";
import { runTask } from "./cli/run_task.ts";
import { integer, number, preset, text, toggle } from "./cli/option.ts";
import { evaluationOptions } from "./cli/evaluating.ts";
import { pick, shared, withoutCommon } from "./cli/shared_options.ts";
import type { EvaluationMetric } from "../lib/train/evaluation_figures.ts";
import { assumedVariances, planStudy } from "../lib/study/plan.ts";
import { experiments } from "../lib/study/experiments.ts";
import { study } from "../lib/study/run.ts";

/** Options of `align` for what is measured on the way; a study has several data sets, so each holds out a share. */
const { evalShare, evalEvery, evalGenerate, keepBest, patience } = evaluationOptions;

/** What `--plan` prints: a table, and where it comes from. */
function planLines(
  points: number,
  { jobs, ...sizes }: { readonly limit?: number; readonly epochs?: number; readonly jobs: number },
): string[] {
  const rows = planStudy({ ...sizes, difference: points / 100, jobs });
  const { seed, problem, rest } = assumedVariances;
  return [
    `To see a difference of ${points} points of accuracy in 8 of 10 studies (two-sided, 5%):`,
    ...textTable(
      [
        { key: "seeds", title: "seeds" },
        { key: "problems", title: "test problems" },
        { key: "hours", title: "hours of one core", digits: 1 },
        ...jobs > 1 ? [{ key: "elapsed", title: `hours by ${jobs} jobs`, digits: 1 }] : [],
      ],
      rows.map((row) => ({ ...row, problems: row.problems ?? "no number is enough" })),
    ).split("\n"),
    "δ = (t 97.5% + t 80%) · √(seed²/S + problem²/P + rest²/(S·P)), Satterthwaite's degrees of freedom; standard " +
    `deviations assumed: between seeds ${Math.sqrt(seed) * 100} points, between problems ${
      (Math.sqrt(problem) * 100).toFixed(0)
    }, the rest ${(Math.sqrt(rest) * 100).toFixed(0)}.`,
    "Time is that of six methods from the base on one data set, of a 2026 server core; greedy answers alone." +
    (jobs > 1 ? " Each job has a core, and whole seeds." : ""),
  ].filter((line) => line !== "");
}

await runTask({
  name: "study",
  summary: "Run the paper's experiments and compare the methods",
  description:
    "Writes results.json, study.md, study.html and tables/ to --out after each experiment. A study is made of cells " +
    "(a model, its candidates, its measurements), each in a folder of its own: what is there is not made again, so a " +
    `study that was stopped goes on with the same command. Experiments: ${
      Object.keys(experiments).join(", ")
    }.`,
  examples: [
    { does: "Everything, on the embedded data sets", command: "deno task study" },
    {
      does: "Every objective side by side, from the same candidates",
      command: "deno task study --only zoo --data arithmetic --seeds 1",
    },
    {
      does: "Beyond the paper: wrong labels, candidates of other models, right answers by wrong steps",
      command: "deno task study --only noise,origins,steps --data arithmetic --start base",
    },
    { does: "How much it takes to see a difference of 1.5 points", command: "deno task study --plan" },
    { does: "One experiment, smaller", command: "deno task study --only main --seeds 1 --limit 320" },
    {
      does: "Two processes, equal to one (docs/scale.md)",
      command: "mpirun --bind-to none -n 2 deno task study --only main --seeds 1",
    },
    {
      does: "A model and data of your own",
      command:
        "deno task study --model models/smol --data gsm8k,aqua --learning-rate 2e-5 --max-tokens 256 --out runs/gsm8k",
    },
  ],
  options: {
    model: preset(shared.model, embeddedBase(), "Model directory to start from"),
    out: preset(shared.out, "runs/study", "Directory of the study; one that is there is gone on with"),
    only: text("--only", {
      metavar: "A,B",
      help: "Experiments to run; default: the paper's, all but budget, noise, origins, steps, folds and zoo",
    }),
    data: preset(
      shared.data,
      "arithmetic,arithmetic-long",
      "Data sets, by name; the first serves where one is enough",
    ),
    rankedData: preset(text("--ranked-data", { metavar: "NAME", help: "Data set with ranks" }), "ranked"),
    groups: text("--groups", {
      metavar: "FILE",
      help: "Questions with labelled candidates, for the experiment folds: a fifth is held out a seed",
    }),
    dataDirectory: text("--data-directory", {
      metavar: "DIR",
      help: "Where named data sets lie; otherwise the hub",
    }),
    plan: toggle("--plan", {
      help: "Print how many seeds and test problems a difference needs, and the time, and do nothing",
    }),
    difference: preset(
      number("--difference", {
        above: 0,
        max: 99,
        help: "The difference to plan for, in points of accuracy",
      }),
      1.5,
    ),
    quick: toggle("--quick", { help: "The smallest sizes: to see that it runs" }),
    seeds: integer("--seeds", { help: "Seeds of every cell, from --first-seed on; default 3, quick 1" }),
    firstSeed: preset(
      integer("--first-seed", {
        min: 0,
        help: "The first of them: to share a study out over machines, see docs/study/README.md",
      }),
      0,
    ),
    limit: integer("--limit", { help: "Training problems of a data set; default 640, quick 6" }),
    start: preset(
      text("--start", {
        metavar: "base,vft",
        help:
          "What methods start from, one or both: base (with the joint loss, as long as VFT), vft (they go on from it)",
      }),
      "base,vft",
    ),
    methods: text("--methods", {
      metavar: "A,B",
      help:
        "Objectives to compare in main, ranked and constraints: VFT, RFT, RRHF, PRO, DPO, AFT; default: all",
    }),
    testSamples: preset(
      integer("--test-samples", { min: 0, help: "Samples of each test problem, for pass@1; 0 for none" }),
      0,
    ),
    testLimit: integer("--test-limit", { help: "Test problems of a data set; default 200, quick 4" }),
    samples: integer("--samples", { short: "-k", help: "Candidates per question; default 6, quick 2" }),
    maxTokens: integer("--max-tokens", { help: "Longest response, in tokens; default 96, quick 24" }),
    epochs: integer("--epochs", { help: "Passes of VFT; default 4, quick 1" }),
    alignEpochs: preset(integer("--align-epochs", { help: "Passes of every method" }), 1),
    learningRate: preset(shared.learningRate, 1e-3, "Peak learning rate of VFT"),
    alignLearningRate: number("--align-learning-rate", {
      above: 0,
      help: "Peak learning rate of every method; default: a third of VFT's",
    }),
    batchSize: integer("--batch-size", { help: "Questions per optimizer step; default 16, quick 2" }),
    evalShare: { ...evalShare, help: "Share of a data set's training questions to hold out: 0.05" },
    ...{ evalEvery, evalGenerate, keepBest, patience },
    ...pick("temperature", "backend", "overwrite"),
    beta: preset(shared.beta, 0.2),
    jobs: integer("--jobs", {
      max: 256,
      help:
        "Cells made at a time, each with its share of --threads; default: one a thread where a small model is computed on a CPU, otherwise 1",
    }),
    microBatch: preset(integer("--micro-batch", { help: "Tokens computed at once" }), 4096),
  },
  together: true,
  async run(options, io) {
    const { only, data, start, methods, plan, difference, ...others } = withoutCommon(options);
    const { evalShare: share, evalEvery: every, evalGenerate: generate, ...more } = others;
    const { keepBest, patience, ...sizes } = more;
    const evaluation = {
      share,
      every,
      generate,
      patience,
      keepBest: keepBest as EvaluationMetric | undefined,
    };
    const measures = Object.values(evaluation).some((value) => value !== undefined);
    if (plan) {
      const { limit, epochs, jobs } = sizes;
      const planned = { ...(limit && { limit }), ...(epochs && { epochs }), jobs: jobs ?? threadsToUse() };
      for (const line of planLines(difference, planned)) {
        await io.output.write(line);
      }
      return;
    }
    const named = (list: string) => list.split(",").map((name) => name.trim());
    const outcomes = await study({
      ...sizes,
      ...(only !== undefined && { only: named(only) }),
      data: named(data),
      ...(measures && { evaluation }),
      ...(methods !== undefined && { methods: named(methods) }),
      start: named(start) as ("base" | "vft")[],
      signal: io.signal,
      world: io.world,
    }, io.listener);
    for (const { tables: [first] } of outcomes) {
      if (!first) continue;
      const { title, columns, rows } = first;
      if (isBare(columns, rows)) {
        await io.output.write(`${title}: nothing to show, the runs are too small for it`);
        continue;
      }
      for (const line of [title, ...textTable(columns, rows).split("\n")]) await io.output.write(line);
    }
    io.listener.note(`Everything is in ${options.out}`);
  },
});
