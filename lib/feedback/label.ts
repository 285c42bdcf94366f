/** Candidates marked right or wrong by their answers. */

import { endOfResponse, findAnswer, isRight } from "../data/answers.ts";
import type { Candidate, Group } from "../data/records.ts";
import type { Watched } from "../runtime/listener.ts";

/** How labels are made. */
export interface LabelOptions extends Pick<Watched, "listener"> {
  /** Only answers that are marked as such count (default false). */
  readonly strict?: boolean;
  /** Labels (`correct`) that a record brings are made anew from the answers (default false: they stay). */
  readonly relabel?: boolean | undefined;
}

/** What labelling found, for a report. */
export interface LabelCounts {
  /** Candidates that have a label. */
  candidates: number;
  /** Those marked right. */
  correct: number;
  /** Candidates without an answer that could be found: they count as wrong. */
  unanswered: number;
}

/**
 * Extracts each candidate's final answer and marks it right or wrong.
 *
 * A label that the record brings stays, whatever the answer says: people, checkers and pairs of preferences know more.
 * Of the others a candidate whose answer cannot be found is wrong. A group without `answer` gets answers but no labels.
 *
 * ```ts
 * import { label } from "./mod.ts";
 *
 * const candidates = [{ text: "2 + 3 = 5. #### 5" }, { text: "2 + 3 = 6. #### 6" }];
 * const group = { id: "sum", question: "2 + 3?", answer: "5", candidates };
 * console.log(label(group).candidates.map(({ correct }) => correct)); // [ true, false ]
 * ```
 */
export function label(
  group: Group,
  options: LabelOptions & { readonly counts?: LabelCounts } = {},
): Group {
  const { strict = false, relabel = false, counts, listener } = options;
  const candidates = group.candidates.map((candidate, i): Candidate => {
    const answer = findAnswer(group, candidate.text, { strict });
    const kept = !relabel && candidate.correct !== undefined;
    const correct = kept
      ? candidate.correct
      : group.answer === undefined
      ? undefined
      : isRight(group, answer);
    const unanswered = correct !== undefined && answer === null && !kept;
    if (counts && correct !== undefined) {
      counts.candidates++;
      if (correct) counts.correct++;
      if (unanswered) counts.unanswered++;
    }
    if (unanswered) {
      listener?.detail?.(
        `No answer in candidate ${i + 1} of "${group.id}": ${endOfResponse(candidate.text)}`,
      );
    }
    return { ...candidate, answer, ...(correct !== undefined && { correct }) };
  });
  return { ...group, candidates };
}
