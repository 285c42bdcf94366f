/** Labels without answers: a question's own candidates vote on what is right. */

import { answersEqual, endOfResponse, findAnswer } from "../data/answers.ts";
import type { Candidate, Group } from "../data/records.ts";
import { InputError } from "../runtime/errors.ts";
import type { Watched } from "../runtime/listener.ts";
import { withRewards } from "./rank.ts";
import { tallyVotes } from "./votes.ts";

/** How votes are counted. */
export interface MajorityOptions extends Watched {
  /** Only answers that are marked as such vote (default false). */
  readonly strict?: boolean;
}

/**
 * Marks candidates by the majority of their question's answers, in place of the record's own answer.
 *
 *   V(c) = candidates of the question that give c's answer,   reward = V(c) / k,   correct: V(c) is the largest
 *
 * over its k candidates; ranks follow the rewards. A candidate without an answer has no vote: it is wrong, and its reward
 * is 0. A question whose vote is tied, or in which nobody answers, teaches nothing and is left out; the listener is told how
 * many, and how often the majority is right where records have answers. Labels that records bring are replaced.
 *
 * Candidates of equal text were usually kept once, so that they have one vote: `generate` with `keepDuplicates` keeps all.
 *
 * ```ts
 * import { labelByMajority } from "./mod.ts";
 *
 * const candidates = ["#### 5", "It is 5. #### 5", "#### 6"].map((text) => ({ text }));
 * for await (const group of labelByMajority([{ id: "sum", question: "2 + 3?", candidates }])) {
 *   console.log(group.candidates.map(({ correct, reward }) => [correct, reward])); // [ [ true, 0.66… ], … [ false, 0.33… ] ]
 * }
 * ```
 *
 * @throws {InputError} at the end, when there were groups and not one of them has a majority
 */
export async function* labelByMajority(
  groups: AsyncIterable<Group> | Iterable<Group>,
  options: MajorityOptions = {},
): AsyncGenerator<Group> {
  const { strict = false, listener, signal } = options;
  const counts = { groups: 0, tied: 0, silent: 0, candidates: 0, unanswered: 0, known: 0, right: 0 };
  for await (const group of groups) {
    signal?.throwIfAborted();
    counts.groups++;
    const answers = group.candidates.map(({ text }) => findAnswer(group, text, { strict }));
    answers.forEach((answer, i) => {
      counts.candidates++;
      if (answer !== null) return;
      counts.unanswered++;
      listener?.detail?.(
        `No answer in candidate ${i + 1} of "${group.id}": ${endOfResponse(group.candidates[i]!.text)}`,
      );
    });
    const [first, second] = tallyVotes(answers);
    if (first === undefined) counts.silent++;
    else if (second?.votes === first.votes) counts.tied++;
    else {
      if (group.answer !== undefined) {
        counts.known++;
        if (answersEqual(first.answer, group.answer)) counts.right++;
      }
      yield marked(group, answers, first.answer);
    }
  }
  const { tied, silent } = counts, of = (count: number) => `${count} of ${counts.groups} questions`;
  if (counts.groups > 0 && tied + silent === counts.groups) {
    throw new InputError(
      `Cannot label by majority: none of ${counts.groups} questions has an answer with most votes (${tied} tied, ` +
        `${silent} without any answer)`,
    );
  }
  if (counts.unanswered > 0) {
    listener?.warn?.(
      `${counts.unanswered} of ${counts.candidates} candidates have no answer that could be found: they count as ` +
        "wrong and have no vote",
    );
  }
  if (tied > 0) listener?.warn?.(`${of(tied)} have several answers with most votes: they are left out`);
  if (silent > 0) listener?.warn?.(`${of(silent)} have no candidate with an answer: they are left out`);
  if (counts.known > 0) {
    listener?.note?.(
      `The majority is right in ${counts.right} of ${counts.known} questions that have an answer`,
    );
  }
}

/** The group with what the votes say of each candidate. */
function marked(group: Group, answers: readonly (string | null)[], majority: string): Group {
  const agreeing = (answer: string | null) => answers.filter((other) => answersEqual(other, answer)).length;
  const candidates = group.candidates.map((candidate, i): Candidate => ({
    ...candidate,
    answer: answers[i],
    correct: answersEqual(answers[i]!, majority),
  }));
  return withRewards({ ...group, candidates }, answers.map((answer) => agreeing(answer) / answers.length));
}
