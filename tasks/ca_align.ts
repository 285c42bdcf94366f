/**
 * Trains a model with an objective that compares candidates: groups in, metrics out; writes a model directory.
 *
 *   deno task ca-align --model runs/vft --input scored.jsonl --constraint bc --out runs/aft
 */
import { checkFormats } from "../lib/feedback/format_check.ts";
import { findObjective, objectives } from "../lib/objectives/objectives.ts";
import { resolveSettings } from "../lib/train/settings.ts";
import { runTask } from "./cli/run_task.ts";
import {
  checkObjectiveFlags,
  objectiveOption,
  objectiveOptions,
  objectiveValues,
} from "./cli/objective_options.ts";
import { evaluationOf } from "./cli/evaluating.ts";
import { choice } from "./cli/option.ts";
import { withReferenceLogprobs } from "./cli/reference_logprobs.ts";
import { checkOut } from "../lib/pipeline/out_directory.ts";
import { checkData, dataOptions, groupsOf, inputOptions, promptOptions, promptsOf } from "./cli/records.ts";
import { planMemory } from "./cli/memory_plan.ts";
import { common, pick } from "./cli/shared_options.ts";
import { openTrainee, runTraining, trainerOptions, trainingOptions } from "./cli/training.ts";

/** Objectives that are trained with the detached constraint unless told otherwise. */
const detached = Object.values(objectives).filter(({ trainingConstraint }) => trainingConstraint === "dc")
  .map(({ name }) => name).join(" and ");

await runTask({
  name: "ca-align",
  summary: "Calibrate a model's scores with an alignment objective",
  description:
    "Reads groups that `score` wrote (or --data with candidates), writes metrics as JSONL and the model to --out. " +
    "Candidates, and the reference beside them, answer a conversation's last question. " +
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
    {
      does: "On two machines of a cluster, equal to one process (docs/scale.md)",
      command:
        "srun -N 2 -n 2 --mpi=pmi2 deno task ca-align --model runs/vft --input scored.jsonl --out runs/aft",
    },
    {
      does: "Two objectives added, each with its weight",
      command:
        "deno task ca-align --model runs/vft --input scored.jsonl --objective dpo-norm:1,aft:0.5 --out runs/sum",
    },
  ],
  options: {
    ...trainingOptions,
    ...pick("input", "output", "data"),
    ...dataOptions,
    ...inputOptions,
    objective: objectiveOption,
    constraint: choice("--constraint", {
      choices: ["none", "dc", "bc"],
      help:
        `What keeps worse candidates from falling without end: nothing, detached (default of ${detached}), boundary`,
    }),
    ...objectiveOptions,
    ...promptOptions,
    // An objective of the table cannot take a training's flag: it is refused below.
    ...trainingOptions,
  },
  outlivesOutput: true,
  together: true,
  resumes: "metrics",
  async plan(options) {
    const { objective, constraint } = options;
    resolveSettings({ ...trainerOptions(options), objective, constraint, options: objectiveValues(options) });
    return await planMemory("train", options);
  },
  async run(options, io) {
    const { objective, constraint } = options, given = objectiveValues(options);
    checkObjectiveFlags(findObjective(objective), { ...trainingOptions, ...common });
    // Before the model is loaded: what cannot be trained is said at once.
    const evaluation = await evaluationOf(options, io);
    resolveSettings({ ...trainerOptions(options), objective, constraint, options: given });
    await checkData(options, io);
    if (io.world.rank === 0) {
      await checkOut({
        ...options,
        mark: "run.json",
        sources: [options.model, options.input, options.evalData],
      });
    }
    const prompt = await promptsOf(options);
    const model = await openTrainee(options, io);
    const { feedback, needsReferenceLogprobs } = findObjective(objective);
    const groups = checkFormats(groupsOf(options, io), { feedback, listener: io.listener });
    const scoring = { prompt, microBatchTokens: options.microBatch, io };
    await runTraining(
      model,
      needsReferenceLogprobs ? withReferenceLogprobs(model, groups, scoring) : groups,
      {
        ...trainerOptions(options),
        objective,
        constraint,
        options: given,
        evaluation: evaluation?.(prompt),
        prompt,
        io,
      },
    );
  },
});
