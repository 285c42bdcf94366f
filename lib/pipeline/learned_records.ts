/** The candidates of a run of `align`, as its methods learn from them. */

import type { Problem } from "../data/records.ts";
import { readRecords } from "./stages.ts";

/** The groups in a file; where votes say what is right, without answers and references: nothing must tell of them. */
export async function* learnedRecords(path: string, label: "answer" | "majority"): AsyncGenerator<Problem> {
  for await (const group of readRecords(path)) {
    yield label === "answer" ? group : withoutAnswers(group);
  }
}

/** The groups in a file, to evaluate on what is learned from others: as those are, with the answers to ask for. */
export async function* evaluatedRecords(
  path: string,
  label: "answer" | "majority",
): AsyncGenerator<Problem> {
  for await (const group of readRecords(path)) {
    const { answer } = group;
    yield label === "answer" ? group : { ...withoutAnswers(group), ...(answer !== undefined && { answer }) };
  }
}

/** The problem with its candidates, and nothing that tells of the right answer. */
export function withoutAnswers(problem: Problem): Problem {
  const { answer: _, reference: __, reference_logprob: ___, ...asked } = problem;
  return asked;
}

/** Tokens of all candidates in a file. */
export async function tokensIn(path: string): Promise<number> {
  let sum = 0;
  for await (const { candidates } of readRecords(path)) {
    for (const { tokens = 0 } of candidates) sum += tokens;
  }
  return sum;
}
