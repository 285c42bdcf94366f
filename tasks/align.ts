/**
 * All of Alignment Fine-Tuning in one command: VFT, sampling, labelling, constraint alignment, and a table before and
 * after.
 *
 *   deno task align
 *   deno task align --model models/smol --data gsm8k --test-data gsm8k:test --learning-rate 2e-5 --out runs/smol
 */
import { relative } from "node:path";
import { embeddedBase } from "../lib/pipeline/align_options.ts";
import { align } from "../lib/pipeline/align.ts";
import { alignMethods } from "../lib/pipeline/align_methods.ts";
import { runTask } from "./cli/run_task.ts";
import {
  objectiveOption,
  objectiveOptions,
  objectiveValues,
  withoutObjectiveValues,
} from "./cli/objective_options.ts";
import { planMemory } from "./cli/memory_plan.ts";
import { choice, integer, number, preset, text } from "./cli/option.ts";
import {
  dataOptions,
  promptOptions,
  promptsOf,
  readingOf,
  recordOptions,
  turnOptions,
} from "./cli/records.ts";
import { evaluationOptions } from "./cli/evaluating.ts";
import type { EvaluationMetric } from "../lib/train/evaluation_figures.ts";
import { pick, shared, withoutCommon } from "./cli/shared_options.ts";
import { stopTexts } from "./cli/stop_texts.ts";

const { evalMaxTokens: _, ...evaluating } = evaluationOptions; // answers are as long as candidates

const base = relative(".", embeddedBase());

await runTask({
  name: "align",
  summary: "All of Alignment Fine-Tuning: train, sample, label, align, compare",
  description:
    "Without options: the embedded base model on the embedded arithmetic problems. Writes everything to --out: " +
    "models, candidates, results.json and report.html. With --resume it goes on where it stopped.",
  examples: [
    { does: "The embedded default", command: "deno task align" },
    {
      does: "A model and data of your own",
      command:
        "deno task align --model models/smol --data train.jsonl --test-data test.jsonl --learning-rate 2e-5 --out runs/mine",
    },
    {
      does: "A LoRA adapter on a model of the hub, its matrices kept in 8 bits",
      command: "deno task align --model Qwen/Qwen2.5-0.5B --data gsm8k --lora r=16 --base-dtype int8 " +
        "--learning-rate 2e-4 --max-tokens 256 --out runs/qwen",
    },
    {
      does:
        "Alignment that goes on from the VFT model, at a tenth of its rate, beside a control that does so too",
      command: "deno task align --start vft --out runs/from-vft",
    },
    {
      does: "Three rounds of sampling and alignment",
      command: "deno task align --rounds 3 --constraints dc --out runs/rounds",
    },
    {
      does: "Reinforcement on the model's own samples: three rounds of RLOO",
      command: "deno task align --objective rloo --align-epochs 1 --rounds 3 --out runs/rloo",
    },
    {
      does: "Two processes, equal to one (docs/scale.md)",
      command: "mpirun --bind-to none -n 2 deno task align --out runs/two",
    },
    {
      does: "No answers for training: the candidates vote",
      command: "deno task align --label majority --constraints dc --out runs/votes",
    },
  ],
  options: {
    model: preset(shared.model, base, "Model directory to start from"),
    out: preset(shared.out, "runs/align", "Directory for everything the run writes"),
    data: preset(shared.data, "arithmetic", "Training problems: a data set's name or a file"),
    testData: text("--test-data", {
      metavar: "NAME|FILE",
      help: "Test problems; default: the test split of --data (of a file, give another one)",
    }),
    limit: preset(integer("--limit", { help: "Training problems" }), 640),
    testLimit: preset(integer("--test-limit", { help: "Test problems" }), 200),
    ...pick("samples", "temperature", "topK", "topP", "seed", "backend", "resume", "overwrite"),
    maxTokens: preset(shared.maxTokens, 96),
    ...pick("stop"),
    votes: preset(integer("--votes", { min: 0, help: "Samples for the majority vote of maj@k" }), 8),
    epochs: preset(shared.epochs, 4, "Passes of VFT over the training problems"),
    start: choice("--start", {
      choices: ["vft", "base"],
      help:
        "What alignment starts from: --model itself, references and candidates together, or the VFT model; " +
        "default: base for AFT with answers as labels, otherwise vft",
    }),
    alignEpochs: integer("--align-epochs", {
      help: "Passes of alignment, and of the control; default: from the base those of VFT, otherwise 3",
    }),
    learningRate: preset(shared.learningRate, 1e-3, "Peak learning rate of VFT"),
    alignLearningRate: number("--align-learning-rate", {
      above: 0,
      help: "Peak learning rate of alignment; default: from the base VFT's, otherwise a tenth of it",
    }),
    batchSize: preset(shared.batchSize, 16),
    ...pick("microBatch", "recompute", "lora", "baseDtype", "unknownTensors"),
    objective: objectiveOption,
    constraints: choice("--constraints", {
      choices: ["all", "none", "dc", "bc"],
      help:
        "Which alignment runs to make; default: all for aft, the objective's own constraint for any other",
    }),
    label: preset(
      choice("--label", {
        choices: ["answer", "majority"],
        help:
          "What marks the candidates that are learned from: answers, or the vote of a question's candidates",
      }),
      "answer",
    ),
    rounds: preset(
      integer("--rounds", { help: "How often to sample and align, each time with the newest models" }),
      1,
    ),
    ...evaluating,
    ...pick("logEvery", "tensorboard"),
    ...dataOptions,
    ...recordOptions,
    ...promptOptions,
    ...turnOptions,
    ...objectiveOptions,
  },
  together: true,
  plan: async (options) => {
    const { objective, constraints, label: labels } = options;
    alignMethods({ objective, constraints, labels, options: objectiveValues(options) });
    return await planMemory("train", options);
  },
  async run(options, io) {
    const { template: _, chat: __, system: ___, fewShot: ____, ...given } = withoutCommon(options);
    const { templateVariables: _____, templateDate: ______, fields: _______, ...asked } = given;
    const { evalData: data, evalShare: share, evalLimit, evalEvery: every, evalGenerate, ...more } = asked;
    const { keepBest, patience, ...settings } = more;
    const evaluation = {
      ...{ data, share, every, patience },
      ...{ limit: evalLimit, generate: evalGenerate, keepBest: keepBest as EvaluationMetric | undefined },
    };
    const measures = Object.values(evaluation).some((value) => value !== undefined);
    const { table } = await align({
      ...withoutObjectiveValues(settings),
      ...readingOf(options),
      ...(measures && { evaluation }),
      options: objectiveValues(options),
      stop: stopTexts(options.stop, io.listener),
      prompt: await promptsOf(options),
      configuration: io.configuration,
      signal: io.signal,
      world: io.world,
    }, io.listener);
    for (const line of table.split("\n")) if (line !== "") await io.output.write(line);
  },
});
