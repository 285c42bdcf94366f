/** What a person should know of how a model's chat template meets their options and records: said once, before the work. */

import type { PromptOptions } from "../data/prompts.ts";
import type { Problem } from "../data/records.ts";
import { UsageError } from "../runtime/errors.ts";
import { type ChatMarks, chatMarks, chatTurn } from "./chat_turn.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * Variables and a date that the template never reads: a line each.
 *
 * @throws {UsageError} where there are such and prompts are no chats
 */
export function templateDoubts(tokenizer: Tokenizer, options: PromptOptions = {}): string[] {
  const { chat = "auto", template: own, templateVariables: variables, templateDate: date } = options;
  const names = Object.keys(variables ?? {});
  if (names.length === 0 && date === undefined) return [];
  const option = names.length > 0 ? "templateVariables" : "templateDate";
  const plain = chat === "never"
    ? "option `chat: never` makes prompts plain text"
    : chat === "auto" && own !== undefined
    ? "option `template` makes prompts plain text"
    : chatTurn(tokenizer, options) === undefined
    ? "the model's tokenizer has no chat template"
    : undefined;
  if (plain !== undefined) throw new UsageError(`Cannot use option \`${option}\`: ${plain}`);
  const { template } = chatTurn(tokenizer, options)!;
  return [
    ...names.filter((name) => !new RegExp(`\\b${name}\\b`).test(template)).map((name) =>
      `The chat template never reads the variable ${name} of option \`templateVariables\`: it changes nothing`
    ),
    ...(date !== undefined && !template.includes("strftime_now")
      ? ["The chat template never asks for the date: option `templateDate` changes nothing"]
      : []),
  ];
}

/** Looks at records for prompts that somebody rendered already. */
export interface MarkWatch {
  /** The line for the first such record; undefined for all others. */
  take(problem: Problem): string | undefined;
}

/**
 * Watches for texts of records that already hold the marks of the model's chat template, such as `<|im_start|>`: as data
 * they are text, so the model would be given none of its own, or its own around them.
 */
export function watchMarks(tokenizer: Tokenizer, options: PromptOptions = {}): MarkWatch {
  let told = false;
  let marks: ChatMarks | undefined;
  return {
    take(problem) {
      if (told) return undefined;
      marks ??= chatMarks(tokenizer, options);
      for (const field of ["prompt", "question", "system", "reference"] as const) {
        const text = problem[field];
        const chat = options.chat === "always" ||
          options.chat !== "never" && options.template === undefined &&
            problem.prompt === undefined;
        const found = [...marks.controls, ...(chat ? marks.words : [])].find((mark) => text?.includes(mark));
        if (found === undefined) continue;
        told = true;
        const place = field === "question" && problem.prompt === text ? "prompt" : field;
        return `Field "${place}" of "${problem.id}" already holds ${
          JSON.stringify(found)
        }, a mark of the model's chat ` +
          "template: in a record it is text as any other; give what was said (question, system, messages), and the " +
          "template writes its marks";
      }
      return undefined;
    },
  };
}
