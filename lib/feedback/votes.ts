/** Votes on an answer: what several responses to one question come to. */

import { answersEqual } from "../data/answers.ts";

/** An answer and the responses that give it. */
export interface Votes {
  /** As its first voter has it. */
  readonly answer: string;
  /** How many responses give it. */
  readonly votes: number;
}

/** The distinct answers with their votes, most first, of a tie the earlier first. A response without answer casts none. */
export function tallyVotes(answers: readonly (string | null)[]): Votes[] {
  const tally: { answer: string; votes: number }[] = [];
  for (const answer of answers) {
    if (answer === null) continue;
    const entry = tally.find((known) => answersEqual(known.answer, answer));
    if (entry) entry.votes++;
    else tally.push({ answer, votes: 1 });
  }
  return tally.sort((a, b) => b.votes - a.votes);
}
