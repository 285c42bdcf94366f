/** Whether a chain reaches its answer by steps that follow: what an answer alone cannot tell. */

import { findAnswer, isRight } from "../data/answers.ts";
import { equationHolds, evaluateArithmetic, listEquations } from "../data/equations.ts";
import type { Candidate, Problem } from "../data/records.ts";

/** Two numbers are the same when they differ by no more: RFT's tolerance of an equation. */
const TOLERANCE = 1e-3;

/**
 * Whether a chain's answer is right and follows from its equations: there is one at least, each holds, each number in
 * one stands in the question, is used uncomputed by the reference (the 2 of "twice"), or was computed before, and the last
 * value is the answer. For problems of arithmetic, whose references have equations; of others no chain is sound. A valid
 * way that needs a number which neither question nor reference writes down counts as unsound. [the project's own]
 */
export function isSound(problem: Problem, text: string): boolean {
  const answer = findAnswer(problem, text);
  if (!isRight(problem, answer)) return false;
  const equations = listEquations(text);
  const known = [...numbersIn(problem.question), ...implied(problem.reference ?? "")];
  for (const equation of equations) {
    if (!equationHolds(equation)) return false;
    if (!numbersIn(leftOf(equation)).every((number) => includes(known, number))) return false;
    known.push(valueOf(equation));
  }
  const last = equations.at(-1);
  return last !== undefined && includes(numbersIn(answer ?? ""), valueOf(last));
}

/** Candidates by what they are: right by sound steps, right by steps that do not follow, and wrong. */
export function bySoundness(
  problem: Problem,
  candidates: readonly Candidate[],
): { readonly sound: Candidate[]; readonly lucky: Candidate[]; readonly wrong: Candidate[] } {
  const sound: Candidate[] = [], lucky: Candidate[] = [], wrong: Candidate[] = [];
  for (const candidate of candidates) {
    const right = candidate.correct ?? isRight(problem, findAnswer(problem, candidate.text));
    (!right ? wrong : isSound(problem, candidate.text) ? sound : lucky).push(candidate);
  }
  return { sound, lucky, wrong };
}

/** Numbers that the reference uses and has not computed: those of the question, and what its words imply. */
function implied(reference: string): number[] {
  const computed: number[] = [], used: number[] = [];
  for (const equation of listEquations(reference)) {
    used.push(...numbersIn(leftOf(equation)).filter((number) => !includes(computed, number)));
    computed.push(valueOf(equation));
  }
  return used;
}

function leftOf(equation: string): string {
  return equation.slice(0, equation.lastIndexOf("="));
}

function valueOf(equation: string): number {
  return evaluateArithmetic(equation.slice(equation.lastIndexOf("=") + 1));
}

function numbersIn(text: string): number[] {
  return [...text.replaceAll(/(?<=\d),(?=\d{3})/g, "").matchAll(/\d+(?:\.\d+)?/g)].map(Number);
}

function includes(numbers: readonly number[], wanted: number): boolean {
  return numbers.some((number) => Math.abs(number - wanted) <= TOLERANCE);
}
