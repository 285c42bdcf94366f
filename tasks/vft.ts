/**
 * Trains a model on reference chains of thought (VFT): problems in, metrics out; writes a model directory.
 *
 *   deno task vft --model fixtures/base --data arithmetic --learning-rate 1e-3 --out runs/vft
 */
import { runTask } from "./cli/run_task.ts";
import { checkOut } from "../lib/pipeline/out_directory.ts";
import {
  checkData,
  dataOptions,
  inputOptions,
  problemsOf,
  promptOptions,
  promptsOf,
  turnOptions,
} from "./cli/records.ts";
import { planMemory } from "./cli/memory_plan.ts";
import { evaluationOf } from "./cli/evaluating.ts";
import { resolveSettings } from "../lib/train/settings.ts";
import { pick } from "./cli/shared_options.ts";
import { openTrainee, runTraining, trainerOptions, trainingOptions } from "./cli/training.ts";

await runTask({
  name: "vft",
  summary: "Train a model on reference chains of thought",
  description:
    "Reads problems with references (JSONL, or --data), writes metrics as JSONL and the model to --out. Of a " +
    "conversation every answer of the assistant is trained, behind all that was said before it.",
  examples: [
    {
      does: "Train the embedded base model on the embedded problems",
      command: "deno task vft --model fixtures/base --data arithmetic --learning-rate 1e-3 --out runs/vft",
    },
    {
      does: "Keep the best of the epochs by the loss on a twentieth of the questions, held out",
      command: "deno task vft --model fixtures/base --data arithmetic --learning-rate 1e-3 --epochs 20 " +
        "--eval-share 0.05 --keep-best loss --patience 3 --out runs/vft",
    },
    {
      does: "Train on two processes, equal to one (docs/scale.md)",
      command:
        "mpirun --bind-to none -n 2 deno task vft --model fixtures/base --data arithmetic --out runs/vft",
    },
    {
      does: "Train on GSM8K's own file",
      command: "deno task vft --model models/smol --input gsm8k/train.jsonl --out runs/vft > metrics.jsonl",
    },
  ],
  options: {
    ...trainingOptions,
    ...dataOptions,
    ...inputOptions,
    ...promptOptions,
    ...turnOptions,
    ...pick("input", "output", "data"),
  },
  resumes: "metrics",
  plan: (options) => planMemory("train", options),
  outlivesOutput: true,
  together: true,
  async run(options, io) {
    if (io.world.rank === 0) {
      await checkOut({
        ...options,
        mark: "run.json",
        sources: [options.model, options.data, options.input, options.evalData],
      });
    }
    const evaluation = await evaluationOf(options, io);
    resolveSettings({ ...trainerOptions(options), objective: "vft", trainTurns: options.trainTurns });
    await checkData(options, io);
    const prompt = await promptsOf(options);
    const model = await openTrainee(options, io);
    await runTraining(model, problemsOf(options, io), {
      ...trainerOptions(options),
      objective: "vft",
      evaluation: evaluation?.(prompt),
      trainTurns: options.trainTurns,
      prompt,
      io,
    });
  },
});
