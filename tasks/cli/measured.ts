/** What `evaluate` says of the questions it measured, also when they were measured in shards. */

import { endOfResponse } from "../../lib/data/answers.ts";
import type { Evaluated } from "../../lib/evaluate/evaluate.ts";
import { summarize } from "../../lib/evaluate/summary.ts";
import { summaryTable } from "../../lib/report/summary_table.ts";
import type { TaskIo } from "./run_task.ts";

/** Shows a table on standard error, and tells which responses have no answer. Returns the line that sums up. */
export function summed(
  results: readonly Evaluated[],
  model: string,
  listener: TaskIo["listener"],
): object {
  const answered = results.filter(({ greedy }) => greedy !== undefined);
  const unanswered = answered.filter(({ greedy }) => greedy!.answer === null);
  for (const { id, greedy } of unanswered) {
    listener.detail(`No answer to "${id}": ${endOfResponse(greedy!.text)}`);
  }
  if (unanswered.length > 0) {
    listener.warn(
      `${unanswered.length} of ${answered.length} responses have no answer that could be found: they count as wrong`,
    );
  }
  const summary = summarize(results);
  listener.note(summaryTable([{ name: model, summary }], { single: true }).trimEnd());
  return { model, ...summary };
}
