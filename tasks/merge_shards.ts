/**
 * Joins what `--shard 1/N` to `N/N` of a task wrote, in the order of the records.
 *
 *   deno task merge-shards groups.*.jsonl > groups.jsonl
 */
import type { Evaluated } from "../lib/evaluate/evaluate.ts";
import { InputError } from "../lib/runtime/errors.ts";
import { summed } from "./cli/measured.ts";
import { findShards, mergedLines } from "./cli/merged_shards.ts";
import { runTask } from "./cli/run_task.ts";
import { pick } from "./cli/shared_options.ts";
import type { TaskConfiguration } from "./cli/task_configuration.ts";

await runTask({
  name: "merge-shards",
  summary: "Join the shards of generate, score or evaluate",
  description:
    "Reads all N files that --shard 1/N to N/N wrote, in any order, and writes what one run without --shard writes. " +
    "Of evaluate that is the summary, behind a line for each question where --details was given.",
  examples: [
    { does: "Four machines' candidates", command: "deno task merge-shards groups.*.jsonl > groups.jsonl" },
    {
      does: "One of the four, by its number in a job array",
      command: "deno task generate --model runs/vft --data gsm8k --shard 1/4 --output groups.1.jsonl",
    },
  ],
  words: { metavar: "FILE...", help: "What the shards wrote: all N files", min: 1 },
  options: pick("output", "overwrite"),
  feeds: true,
  async run(_, io) {
    const shards = await findShards(io.words, (line) => io.listener.warn(line));
    const { task, options } = shards[0]!.mark.asked.at(-1) as TaskConfiguration;
    const measured = task === "evaluate", results: Evaluated[] = [];
    let done = 0;
    for await (const line of mergedLines(shards)) {
      io.signal.throwIfAborted();
      if (measured) results.push(readResult(line));
      if (!measured || options.details === true) await io.output.write(line);
      io.listener.progress({ part: "merge", done: ++done });
    }
    if (!measured) return;
    if (results.length === 0) throw new InputError("Cannot evaluate: the shards have no records");
    await io.output.writeRecord(summed(results, String(options.model), io.listener));
  },
});

function readResult(line: string): Evaluated {
  try {
    return JSON.parse(line);
  } catch {
    throw new InputError(`Cannot merge: a line must be one JSON value: got ${line.slice(0, 40)}`);
  }
}
