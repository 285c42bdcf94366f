/** GSM8K (arXiv 2110.14168): grade-school word problems, chains with calculator marks, numbers as answers. */

import type { DataSet, RawRow } from "../dataset.ts";
import { markedEnding, questionTemplate } from "../prompts.ts";

/** GSM8K; reads its problems and the file of model solutions that its authors publish. */
export const gsm8k: DataSet = {
  about: "grade-school word problems with chains of thought (7,473 train, 1,319 test)",
  splits: ["train", "test"],
  kind: "number",
  template: questionTemplate,
  ending: markedEnding,
  hub: { repo: "openai/gsm8k", folder: "main" },
  recognizes: (row) =>
    hasSolutions(row) ||
    typeof row.question === "string" && typeof row.answer === "string" && row.reference === undefined &&
      /\n#### \S+\s*$/.test(row.answer),
  read: (row) => hasSolutions(row) ? readSolutions(row) : row,
};

/** Whether a row holds models' solutions; others have a `ground_truth` too. */
function hasSolutions({ question, ground_truth, ...models }: RawRow): boolean {
  const all = Object.values(models);
  return question !== undefined && ground_truth !== undefined && all.length > 0 &&
    all.every((model) =>
      typeof model === "object" && model !== null && "is_correct" in model && "solution" in model
    );
}

/** `{question, ground_truth, MODEL: {is_correct, solution}, …}` of `example_model_solutions.jsonl`. */
function readSolutions({ question, ground_truth, ...models }: RawRow): RawRow {
  const candidates = Object.entries(models).map(([source, model]) => {
    const { solution, is_correct } = model as { solution?: unknown; is_correct?: unknown };
    return { source, text: solution, correct: is_correct };
  });
  // Its chains end in "A: 18" in place of the data set's own "#### 18".
  const reference = typeof ground_truth === "string"
    ? ground_truth.replace(/(^|\n)A: (\S+)\s*$/, "$1#### $2")
    : ground_truth;
  return { question, reference, candidates };
}
