/** ECQA (ACL 2021): common-sense questions with five options and free-text explanations. */

import type { DataSet, RawRow } from "../dataset.ts";
import { normalizeEnding, optionEnding, optionsTemplate } from "../prompts.ts";

/**
 * ECQA, as published (`q_text`, `q_op1` … `taskB`), or with explanations that people rated (`candidates` of the
 * sources `ecqa…` and `feb…`; the rating becomes `reward`). Explanations do not name their option: the answer's letter
 * is added to each, the references' and the candidates', all of which explain the right option.
 */
export const ecqa: DataSet = {
  about:
    "common-sense questions with five options and explanations (7,598 train, 1,090 validation, 2,194 test)",
  splits: ["train", "validation", "test"],
  kind: "option",
  template: optionsTemplate,
  ending: optionEnding,
  hub: { repo: "tasksource/ecqa", folder: "data" },
  recognizes: (row) => "q_text" in row && "q_op1" in row || isRated(row),
  read: (row) => isRated(row) ? readRated(row) : readPublished(row),
};

function isRated(row: RawRow): boolean {
  return Array.isArray(row.choices) && row.reference === undefined && Array.isArray(row.candidates) &&
    row.candidates.some((candidate) => /^(ecqa|feb)\b/.test(String(candidate?.source)));
}

function readRated({ candidates, ...row }: RawRow): RawRow {
  const explained = (candidates as RawRow[]).map((candidate) => ({
    ...candidate,
    text: close(candidate.text, row.answer),
  }));
  const gold = explained.find(({ source }: RawRow) => String(source).startsWith("ecqa"));
  return { ...row, ...(gold && { reference: gold.text }), candidates: explained };
}

function readPublished(row: RawRow): RawRow {
  const { q_no, q_text, q_op1, q_op2, q_op3, q_op4, q_op5, q_ans, taskB, ...rest } = row;
  const choices = [q_op1, q_op2, q_op3, q_op4, q_op5];
  const index = choices.indexOf(q_ans);
  const answer = index < 0 ? q_ans : "ABCDE"[index];
  return {
    ...rest,
    ...(q_no !== undefined && { id: `ecqa-${q_no}` }),
    question: q_text,
    choices,
    ...(typeof taskB === "string" && { reference: close(taskB.trim(), answer) }),
    answer,
  };
}

function close(text: unknown, answer: unknown): unknown {
  if (typeof text !== "string" || typeof answer !== "string") return text;
  return normalizeEnding(text, answer, { ending: optionEnding });
}
