/**
 * One Markdown table of several runs of `align`: mean ± standard deviation over their seeds.
 *
 *   deno task table runs/seed0 runs/seed1 runs/seed2
 */
import { join } from "node:path";
import process from "node:process";
import type { Summary } from "../lib/evaluate/summary.ts";
import { summaryMarkdown } from "../lib/report/summary_table.ts";
import { InputError } from "../lib/runtime/errors.ts";
import { readJson } from "../lib/runtime/files.ts";
import { writeError, writeOutput } from "../lib/runtime/stdio.ts";

type Results = { readonly rows: readonly (Summary & { readonly name: string })[] };

const folders = process.argv.slice(2);
if (folders.length === 0 || folders[0].startsWith("-")) {
  writeError("table: expected folders of finished align runs: deno task table runs/seed0 runs/seed1");
  process.exit(folders[0] === "--help" ? 0 : 2);
}
try {
  const runs = await Promise.all(
    folders.map(async (folder) => await readJson(join(folder, "results.json")) as Results),
  );
  const models = runs[0].rows.map(({ name }) => ({
    name,
    summary: runs.map(({ rows }, i) => {
      const row = rows.find((r) => r.name === name);
      if (!row) throw new InputError(`Cannot join ${folders[i]}: it has no model "${name}"`);
      return row;
    }),
  }));
  await writeOutput(summaryMarkdown(models));
} catch (error) {
  if (!(error instanceof InputError)) throw error;
  writeError(`table: ${error.message}`);
  process.exit(error.exitCode);
}
