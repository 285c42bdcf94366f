/**
 * One table of several runs of `align`: mean ± standard deviation over their seeds.
 *
 *   deno task table runs/seed0 runs/seed1 runs/seed2
 */
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { type FinishedAlign, joinable } from "../lib/report/joined_runs.ts";
import { type NamedSummary, summaryCsv, summaryJson, summaryMarkdown } from "../lib/report/summary_table.ts";
import { InputError, UsageError } from "../lib/runtime/errors.ts";
import { exists, readJson } from "../lib/runtime/files.ts";
import { nearPath } from "../lib/runtime/near_path.ts";
import { choice, preset, toggle } from "./cli/option.ts";
import { runTask } from "./cli/run_task.ts";

const formats: Readonly<Record<"markdown" | "csv" | "json", (models: readonly NamedSummary[]) => string>> = {
  markdown: summaryMarkdown,
  csv: summaryCsv,
  json: summaryJson,
};

await runTask({
  name: "table",
  summary: "Join the results of several align runs",
  description:
    "Reads results.json in each folder and writes one table: mean ± standard deviation where there are several runs. " +
    "Runs must be alike but for their seeds; one that is named twice, or copied, counts once.",
  examples: [
    { does: "The same run with three seeds", command: "deno task table runs/seed0 runs/seed1 runs/seed2" },
    { does: "For a spreadsheet", command: "deno task table runs/seed* --format csv > table.csv" },
  ],
  words: { metavar: "DIR...", help: "Folders of finished align runs", min: 1 },
  options: {
    format: preset(
      choice("--format", { choices: ["markdown", "csv", "json"], help: "What to write" }),
      "markdown",
    ),
    mixed: toggle("--mixed", { help: "Join runs that differ in more than their seed, and say in what" }),
  },
  async run(options, io) {
    const folders = new Map<string, string>();
    for (const folder of io.words) {
      if (!await exists(folder)) {
        throw new UsageError(`Cannot read ${folder}: no such file or directory${await nearPath(folder)}`);
      }
      const real = await realpath(folder), before = folders.get(real);
      if (before === undefined) folders.set(real, folder);
      else io.listener.warn(`${folder} is the same run as ${before}: it counts once`);
    }
    const { runs, warnings } = joinable(await Promise.all([...folders.values()].map(readRun)), options);
    for (const line of warnings) io.listener.warn(line);
    const models = runs[0]!.rows.map(({ name }) => ({
      name,
      summary: runs.map((run) => run.rows.find((row) => row.name === name)!),
    }));
    await io.output.write(formats[options.format](models).trimEnd());
  },
});

async function readRun(folder: string): Promise<FinishedAlign> {
  const path = join(folder, "results.json"), asked = join(folder, "align.json");
  if (!await exists(path)) {
    const why = await exists(asked) ? "the run is not finished" : "is it the folder of an align run?";
    throw new InputError(`Cannot read ${path}: no such file or directory: ${why}`);
  }
  const { rows } = await readJson(path) as { rows?: unknown };
  const named = Array.isArray(rows) && rows.length > 0 && rows.every((row) => typeof row?.name === "string");
  if (!named) {
    throw new InputError(
      `Cannot read ${path}: field "rows" must be a list of models: is it of an align run?`,
    );
  }
  const { options } = await exists(asked) ? await readJson(asked) as { options?: unknown } : {};
  return { folder, rows, options: options as FinishedAlign["options"] };
}
