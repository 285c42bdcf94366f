/**
 * Trains a model with an objective that compares candidates: groups in, metrics out; writes a model directory.
 *
 *   deno task ca-align --model runs/vft --input scored.jsonl --constraint bc --out runs/aft
 */
import { checkFormats } from "../lib/evaluate/format_check.ts";
import { objectives, objectiveTraits } from "../lib/objectives/objectives.ts";
import { UsageError } from "../lib/runtime/errors.ts";
import { resolveSettings } from "../lib/train/settings.ts";
import { runTask } from "./_cli.ts";
import { choice, number, preset } from "./_option.ts";
import { checkOut } from "./_out.ts";
import { checkData, dataOptions, groupsOf, promptOptions, promptsOf } from "./_records.ts";
import { planMemory } from "./_memory.ts";
import { pick } from "./_shared_options.ts";
import { openTrainee, runTraining, trainerOptions, trainingOptions } from "./_training.ts";

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
    ...pick("input", "output", "data", "beta"),
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
    boundary: number("--boundary", {
      min: 0,
      help: "Width of bc's boundary for objectives other than aft, in nats per token",
    }),
    gamma: number("--gamma", { help: "simpo: target margin" }),
    lambda: number("--lambda", { min: 0, help: "orpo: weight of the odds-ratio term" }),
    sftWeight: number("--sft-weight", { min: 0, help: "pro, irpo: weight of the likelihood term" }),
    ...promptOptions,
  },
  plan: (options) => planMemory("train", options),
  async run(options, io) {
    const { objective, constraint, beta, boundary, gamma, lambda, sftWeight } = options;
    const given = { beta, boundary, gamma, lambda, sftWeight };
    for (const [name, value] of Object.entries(given)) {
      if (value !== undefined && !Object.hasOwn(objectiveTraits[objective].defaults, name)) {
        throw new UsageError(`Option --${name} has no meaning for the objective ${objective}`);
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
      warn: io.warn,
    });
    await runTraining(model, groups, {
      ...trainerOptions(options),
      objective,
      constraint,
      ...given,
      prompt,
      io,
      label: objective,
      quiet: options.quiet,
    });
  },
});
