/**
 * Trains a model with an objective that compares candidates: groups in, metrics out; writes a model directory.
 *
 *   deno task ca-align --model runs/vft --input scored.jsonl --constraint bc --out runs/aft
 */
import { checkFormats } from "../lib/feedback/format_check.ts";
import type { ObjectiveOptions } from "../lib/objectives/objective.ts";
import { objectives, objectiveTraits } from "../lib/objectives/objectives.ts";
import { UsageError } from "../lib/runtime/errors.ts";
import { resolveSettings } from "../lib/train/settings.ts";
import { runTask } from "./cli/run_task.ts";
import { choice, number, preset } from "./cli/option.ts";
import { checkOut } from "../lib/pipeline/out_directory.ts";
import { checkData, dataOptions, groupsOf, promptOptions, promptsOf } from "./cli/records.ts";
import { planMemory } from "./cli/memory_plan.ts";
import { pick } from "./cli/shared_options.ts";
import { openTrainee, runTraining, trainerOptions, trainingOptions } from "./cli/training.ts";

/** The defaults of an option that objectives read, as they state them: "0.2 for aft, aft-rank; 0.1 for dpo". */
function defaultsOf(name: keyof ObjectiveOptions): string {
  const readers = Object.entries(objectiveTraits).filter(([, { defaults }]) => defaults[name] !== undefined);
  const byValue = Object.groupBy(readers, ([, { defaults }]) => String(defaults[name]));
  return Object.entries(byValue).map(([value, of]) =>
    `${value} for ${of!.map(([reader]) => reader).join(", ")}`
  )
    .join("; ");
}

await runTask({
  name: "ca-align",
  summary: "Calibrate a model's scores with an alignment objective",
  description:
    "Reads groups that `score` wrote (or --data with candidates), writes metrics as JSONL and the model to --out. " +
    `Objectives: ${Object.keys(objectives).join(", ")}.`,
  examples: [
    {
      does: "AFT with the detached constraint",
      command: "deno task ca-align --model runs/vft --input scored.jsonl --out runs/aft",
    },
    {
      does: "AFT with the boundary constraint",
      command:
        "deno task ca-align --model runs/vft --input scored.jsonl --constraint bc --beta 0.2 --out runs/aft-bc",
    },
    {
      does: "Ranked candidates that a data set brings",
      command: "deno task ca-align --model runs/vft --data ranked --objective aft-rank --out runs/aft-rank",
    },
    {
      does: "DPO on the same data",
      command: "deno task ca-align --model runs/vft --input scored.jsonl --objective dpo --out runs/dpo",
    },
  ],
  options: {
    ...trainingOptions,
    ...pick("input", "output", "data"),
    ...dataOptions,
    objective: preset(
      choice("--objective", { choices: Object.keys(objectives), help: "What to train with" }),
      "aft",
    ),
    constraint: choice("--constraint", {
      choices: ["none", "dc", "bc"],
      help:
        "What keeps worse candidates from falling without end: nothing, detached (default of aft and aft-rank), boundary",
    }),
    beta: number("--beta", {
      min: 0,
      help: "aft and aft-rank: width of bc's boundary, in nats per token; others: β of their formula: " +
        defaultsOf("beta"),
    }),
    boundary: number("--boundary", {
      min: 0,
      help: "Width of bc's boundary for objectives other than aft and aft-rank, in nats per token: 0.2",
    }),
    gamma: number("--gamma", { help: `Target margin: ${defaultsOf("gamma")}` }),
    lambda: number("--lambda", { min: 0, help: `Weight of the odds-ratio term: ${defaultsOf("lambda")}` }),
    weight: number("--weight", { min: 0, help: `Weight of the ranking term: ${defaultsOf("weight")}` }),
    sftWeight: number("--sft-weight", {
      min: 0,
      help: `Weight of the likelihood term: ${defaultsOf("sftWeight")}`,
    }),
    desirableWeight: number("--desirable-weight", {
      min: 0,
      help: `Weight of right candidates: ${defaultsOf("desirableWeight")}`,
    }),
    undesirableWeight: number("--undesirable-weight", {
      min: 0,
      help: `Weight of wrong candidates: ${defaultsOf("undesirableWeight")}`,
    }),
    ...promptOptions,
  },
  plan: (options) => planMemory("train", options),
  async run(options, io) {
    const { objective, constraint, beta, boundary, gamma, lambda, weight, sftWeight } = options;
    const { desirableWeight, undesirableWeight } = options;
    const given = { beta, boundary, gamma, lambda, weight, sftWeight, desirableWeight, undesirableWeight };
    for (const [name, value] of Object.entries(given)) {
      if (value !== undefined && !Object.hasOwn(objectiveTraits[objective].defaults, name)) {
        const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
        throw new UsageError(`Option ${flag} has no meaning for the objective ${objective}`);
      }
    }
    // Before the model is loaded: what cannot be trained is said at once.
    resolveSettings({ ...trainerOptions(options), objective, constraint, ...given });
    await checkData(options);
    await checkOut({ ...options, mark: "run.json", sources: [options.model, options.input] });
    const prompt = await promptsOf(options);
    const model = await openTrainee(options, io);
    const groups = checkFormats(groupsOf(options, io), {
      feedback: objectiveTraits[objective].feedback,
      listener: io.listener,
    });
    await runTraining(model, groups, {
      ...trainerOptions(options),
      objective,
      constraint,
      ...given,
      prompt,
      io,
    });
  },
});
