/** MMLU (arXiv 2009.03300): questions of 57 subjects with four options and no chains. */

import type { DataSet } from "../dataset.ts";
import { optionEnding, optionsTemplate } from "../prompts.ts";

/** MMLU, as CSV (`choice0` … `choice3`) or as on the hub (`choices`); `answer` is an index, the subject is kept. */
export const mmlu: DataSet = {
  about: "four-option questions of 57 subjects, for evaluation",
  splits: ["test", "validation", "dev"],
  kind: "option",
  template: optionsTemplate,
  ending: optionEnding,
  hub: { repo: "cais/mmlu", folder: "all" },
  recognizes: (row) =>
    "question" in row && (
      "choice0" in row ||
      // Without a subject it may be anybody's, and what its index counts from is not known.
      Array.isArray(row.choices) && row.choices.length === 4 && "subject" in row
    ),
  read: ({ question, choice0, choice1, choice2, choice3, choices, answer, subject, ...rest }, where) => ({
    ...rest,
    question: typeof question === "string" ? question.trim() : question,
    choices: choices ?? [choice0, choice1, choice2, choice3],
    answer: /^[0-3]$/.test(String(answer)) ? "ABCD"[Number(answer)] : answer,
    subject: subject ?? where.source.match(/([^/\\]+?)(?:_(?:test|dev|val))?\.\w+$/)?.[1],
  }),
};
