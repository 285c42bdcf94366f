/**
 * One Markdown table of several runs of `align`: mean ± standard deviation over their seeds.
 *
 *   deno task table runs/seed0 runs/seed1 runs/seed2
 */
import { join } from "node:path";
import process from "node:process";
import type { Summary } from "../lib/evaluate/summary.ts";
import { summaryMarkdown } from "../lib/report/summary_table.ts";
import { InputError, UsageError } from "../lib/runtime/errors.ts";
import { readJson } from "../lib/runtime/files.ts";
import { ClosedOutputError, writeError, writeOutput } from "../lib/runtime/stdio.ts";
import { exitCodeOf, inWords } from "./cli/words.ts";

type Rows = readonly (Summary & { readonly name: string })[];

const page = `Join the results of several align runs

Usage: deno task table DIR...

Reads results.json in each folder and writes one Markdown table: mean ± standard
deviation where there are several runs.

Examples:
  The same run with three seeds:
    deno task table runs/seed0 runs/seed1 runs/seed2
`;

/** The table of finished runs. Throws InputError for a folder without results or without a model of the first one's. */
async function tableOf(folders: readonly string[]): Promise<string> {
  const option = folders.find((folder) => folder.startsWith("-"));
  if (option !== undefined) throw new UsageError(`Unknown option ${option}`);
  const runs = await Promise.all(folders.map(readRows)), [first] = runs;
  if (!first) throw new UsageError("Missing folders of finished align runs: see --help");
  return summaryMarkdown(first.map(({ name }) => ({
    name,
    summary: runs.map((rows, i) => {
      const row = rows.find((r) => r.name === name);
      if (!row) throw new InputError(`Cannot join ${folders[i]}: it has no model "${name}"`);
      return row;
    }),
  })));
}

async function readRows(folder: string): Promise<Rows> {
  const path = join(folder, "results.json");
  const { rows } = await readJson(path) as { rows?: unknown };
  if (!Array.isArray(rows)) {
    throw new InputError(`Cannot read ${path}: field "rows" must be a list: is it of an align run?`);
  }
  return rows;
}

const words = process.argv.slice(2);
try {
  await writeOutput(words.includes("--help") ? page : await tableOf(words));
} catch (error) {
  if (!(error instanceof ClosedOutputError)) {
    if (!(error instanceof InputError)) throw error;
    writeError(`table: ${inWords(error)}`);
    process.exit(exitCodeOf(error));
  }
}
