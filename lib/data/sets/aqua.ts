/** AQuA-RAT (arXiv 1705.04146): algebra with five options and a rationale. */

import type { DataSet } from "../dataset.ts";
import { normalizeEnding, optionEnding, optionsTemplate } from "../prompts.ts";

/** AQuA-RAT. Options lose their letters, the rationale ends in one form. */
export const aqua: DataSet = {
  about: "algebra with five options and rationales (97,467 train, 254 validation, 254 test)",
  splits: ["train", "validation", "test"],
  kind: "option",
  template: optionsTemplate,
  ending: optionEnding,
  hub: { repo: "deepmind/aqua_rat", folder: "raw" },
  recognizes: (row) => Array.isArray(row.options) && "correct" in row && "rationale" in row,
  read: ({ question, options, rationale, correct, ...rest }) => {
    const choices = (options as unknown[]).map((option) =>
      typeof option === "string" ? option.replace(/^\s*\(?[A-Z]\s*[).:]\s*/, "") : option
    );
    const texts = choices.every((choice) => typeof choice === "string") ? choices as string[] : [];
    return {
      ...rest,
      question,
      choices,
      // With the options' texts an ending that states one ("Answer : 15") is seen for what it is, and replaced.
      reference: typeof rationale === "string" && typeof correct === "string"
        ? normalizeEnding(rationale, correct, { ending: optionEnding, choices: texts })
        : rationale,
      answer: correct,
    };
  },
};
