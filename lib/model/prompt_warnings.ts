/** What is said once of a model's prompts, whichever of training, sampling and scoring comes first. */

import type { PromptOptions } from "../data/prompts.ts";
import type { Problem } from "../data/records.ts";
import type { Listener } from "../runtime/listener.ts";
import { templateDoubts, watchMarks } from "../tokenizer/template_doubts.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Model } from "./model.ts";

const told = new WeakMap<Tokenizer, Set<string>>();

/**
 * Warns of options that the chat template never reads, and gives a function that warns of the first record that holds the
 * template's marks already (`watchMarks`). Each line is said once for a model, since an evaluation samples and scores.
 *
 * @throws {UsageError} for options of a chat template where prompts are no chats
 */
export function warnOfPrompts(
  { tokenizer }: Model,
  options: PromptOptions | undefined,
  listener: Listener | undefined,
): (problem: Problem) => void {
  const lines = told.get(tokenizer) ?? new Set<string>();
  told.set(tokenizer, lines);
  const warn = (line: string, kind = line) => {
    if (lines.has(kind)) return;
    lines.add(kind);
    listener?.warn?.(line);
  };
  for (const line of templateDoubts(tokenizer, options)) warn(line);
  const marks = watchMarks(tokenizer, options);
  return (problem) => {
    const line = marks.take(problem);
    if (line !== undefined) warn(line, "marks");
  };
}
