/** SVAMP (arXiv 2103.07191): 1,000 short word problems without chains, for evaluation out of distribution. */

import type { DataSet } from "../dataset.ts";
import { markedEnding, questionTemplate } from "../prompts.ts";

/** SVAMP. Body and question are joined; the equation is kept. */
export const svamp: DataSet = {
  about: "1,000 short word problems without chains",
  splits: ["test", "train"],
  kind: "number",
  template: questionTemplate,
  ending: markedEnding,
  hub: { repo: "ChilleD/SVAMP", folder: "data" },
  recognizes: (row) => "Body" in row && "Question" in row && "Answer" in row,
  read: ({ ID, Body, Question, Answer, Equation, Type, question_concat: _, ...rest }) => {
    const body = typeof Body === "string" ? Body.trim() : Body;
    // Many bodies lack their full stop.
    const joint = typeof body === "string" && /[.?!,;:]$/.test(body) ? " " : ". ";
    return {
      ...rest,
      ...(ID !== undefined && { id: `svamp-${ID}` }),
      question: typeof body === "string" && typeof Question === "string"
        ? body + joint + Question.trim()
        : Question,
      answer: Answer,
      equation: Equation,
      type: Type,
    };
  },
};
