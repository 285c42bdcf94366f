/**
 * Prints the problems of a data set as JSONL: what the other tasks read, and a file to start one's own from.
 *
 *   deno task data arithmetic > train.jsonl
 */
import { datasets } from "../lib/data/datasets.ts";
import { loadDataset } from "../lib/data/load_dataset.ts";
import { normalizeResponses } from "../lib/data/prompts.ts";
import { UsageError } from "../lib/runtime/errors.ts";
import { exists } from "../lib/runtime/files.ts";
import { text } from "./cli/option.ts";
import { dataOptions, readingOf, recordOptions } from "./cli/records.ts";
import { runTask } from "./cli/run_task.ts";
import { pick } from "./cli/shared_options.ts";

await runTask({
  name: "data",
  summary: "Print a data set as JSONL",
  description:
    `A data set is a name with or without its split, a file or a directory, or several of them with commas and ` +
    `weights. Names: ${Object.keys(datasets).join(", ")}.`,
  examples: [
    { does: "The embedded training problems, as a file", command: "deno task data arithmetic > train.jsonl" },
    { does: "A look at GSM8K's test problems", command: "deno task data gsm8k --split test --limit 3" },
    {
      does: "A table of one's own as records",
      command: "deno task data problems.csv --fields question=task,answer=solution > problems.jsonl",
    },
  ],
  words: { metavar: "NAME|FILE", help: "The data set", min: 1, max: 1, choices: Object.keys(datasets) },
  options: {
    split: text("--split", { metavar: "NAME", help: "Its split; default: train" }),
    ...pick("limit", "output", "seed", "overwrite"),
    ...dataOptions,
    ...recordOptions,
  },
  async run(options, io) {
    const { split, limit, seed, dataDirectory, calculator } = options, [name] = io.words as [string];
    if (split !== undefined && /[,*:]/.test(name) && !await exists(name)) {
      throw new UsageError(`Cannot use --split with ${name}: the split stands behind each name, NAME:SPLIT`);
    }
    const problems = loadDataset(split === undefined ? name : `${name}:${split}`, {
      ...readingOf(options),
      ...(limit !== undefined && { limit }),
      ...(dataDirectory !== undefined && { directory: dataDirectory }),
      seed,
      listener: io.listener,
      signal: io.signal,
    });
    for await (const problem of problems) {
      const drop = calculator === "drop";
      await io.output.writeRecord(
        drop ? normalizeResponses(problem, { calculator, endings: "keep" }) : problem,
      );
    }
  },
});
