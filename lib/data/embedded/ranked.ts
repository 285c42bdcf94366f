/**
 * An embedded data set whose candidates carry ranks, from the arithmetic grammar: each problem with four to eight chains
 * from right to nonsense. For ranked feedback without people or a judge.
 */

import { compute, numbersOf, type Operator, type Step } from "./_grammar.ts";
import {
  type ArithmeticOptions,
  type ArithmeticProblem,
  arithmeticSolutions,
  type SolvedProblem,
  writeChain,
} from "./arithmetic.ts";
import { Random } from "../random.ts";
import type { Candidate } from "../records.ts";

/** A candidate with everything that ranking methods read. */
export interface RankedCandidate extends Candidate {
  /** What the text ends in. */
  readonly answer: string;
  /** Whether its grade is "right": no other grade reaches the problem's answer. */
  readonly correct: boolean;
  /** 1 is best; equal grades tie. */
  readonly rank: number;
  /** 1 for the best grade, 0 for the worst. */
  readonly reward: number;
  /** How it was made. */
  readonly grade: Grade;
}

/** A problem with its ranked candidates. */
export interface RankedGroup extends ArithmeticProblem {
  /** Four to eight, in random order. */
  readonly candidates: readonly RankedCandidate[];
}

/** How good a chain is; {@linkcode grades} lists them from best to worst. */
export type Grade = "right" | "late slip" | "early slip" | "wrong operation" | "nonsense";

/**
 * Grades, best first; a candidate's reward is 1, 0.75, 0.5, 0.25 or 0.
 *
 * - right: a valid chain.
 * - late slip: a valid chain but for the value of its last equation.
 * - early slip: the first equation's value is wrong, and what follows goes on with it.
 * - wrong operation: one equation has another sign, and all that follows is true to it.
 * - nonsense: true equations between numbers that the problem does not have.
 */
export const grades: readonly Grade[] = ["right", "late slip", "early slip", "wrong operation", "nonsense"];

/**
 * Groups `{id, question, reference, answer, dataset, candidates}`, each candidate with `text`, `answer`, `correct`,
 * `rank` (1 best, no gaps, equal grades tie), `reward` and `grade`; four to eight candidates, in random order, their
 * texts distinct. At least one is right, at least three grades occur, and nothing but a right chain reaches the answer.
 *
 * Options, defaults and the split are those of the arithmetic set, of whose seeds it draws other problems.
 */
export function* rankedGroups(options: ArithmeticOptions = {}): Generator<RankedGroup> {
  const { split = "train", seed = 1 } = options;
  const random = new Random(seed, { stream: `ranked-${split}` });
  const drawn = { ...options, seed: random.word() }; // not the stories of the arithmetic set with this seed
  const largest = 2 * (options.largestValue ?? 100); // wrong results may leave the set's range
  let number = 0;
  for (const { problem, chains } of arithmeticSolutions(drawn)) {
    const candidates = rank(makeCandidates(random, { problem, chains }, largest));
    yield { ...problem, id: `ranked-${split}-${number++}`, dataset: "ranked", candidates };
  }
}

interface Graded {
  readonly grade: Grade;
  readonly text: string;
  readonly answer: number;
}

/** Candidates of a problem: right ones first one by one, then the other grades in turn, until there are enough. */
function makeCandidates(random: Random, { problem, chains }: SolvedProblem, largest: number): Graded[] {
  const wanted = 4 + random.integer(5);
  const rightOnes = random.shuffle([...chains]).slice(0, 1 + random.integer(2));
  const candidates: Graded[] = rightOnes.map(({ text }) => ({
    grade: "right",
    text,
    answer: Number(problem.answer),
  }));
  const used = new Set(candidates.map(({ text }) => text));
  const others = random.shuffle(grades.slice(1));
  for (let turn = 0; candidates.length < wanted; turn++) {
    const grade = others[turn % others.length];
    for (let attempt = 0; attempt < 30; attempt++) { // a problem may have no chain to spoil in this way
      const steps = spoil(random, random.pick(chains).steps, { grade, question: problem.question, largest });
      if (!steps) continue;
      const text = writeChain(steps);
      const answer = steps[steps.length - 1].value;
      if (answer === Number(problem.answer) || used.has(text)) continue;
      used.add(text);
      candidates.push({ grade, text, answer });
      break;
    }
  }
  return random.shuffle(candidates);
}

function rank(candidates: readonly Graded[]): RankedCandidate[] {
  const worth = (grade: Grade) => grades.indexOf(grade);
  const present = grades.filter((grade) => candidates.some((candidate) => candidate.grade === grade));
  return candidates.map(({ grade, text, answer }) => ({
    text,
    finish: "stop",
    answer: String(answer),
    correct: grade === "right",
    rank: 1 + present.indexOf(grade),
    reward: 1 - worth(grade) / (grades.length - 1),
    grade,
  }));
}

interface Spoiling {
  readonly grade: Grade;
  readonly question: string;
  readonly largest: number;
}

/** A chain spoilt to a grade; undefined when this draw fails or leaves the whole numbers from 2 to `largest`. */
function spoil(
  random: Random,
  steps: readonly Step[],
  { grade, question, largest }: Spoiling,
): Step[] | undefined {
  const last = steps.length - 1;
  let spoilt: Step[] | undefined;
  if (grade === "late slip") {
    spoilt = steps.with(last, slip(random, steps[last]));
  } else if (grade === "early slip") {
    spoilt = carryOn(steps, 0, { replacement: slip(random, steps[0]), question });
  } else if (grade === "wrong operation") {
    const at = random.integer(steps.length);
    const { left, right, operator } = steps[at];
    const other = random.pick((["+", "-", "*"] as const).filter((sign) => sign !== operator));
    const replacement = { ...steps[at], operator: other, value: compute(left, other, right) };
    spoilt = carryOn(steps, at, { replacement, question });
  } else {
    spoilt = babble(random, steps, question);
  }
  const sound = spoilt?.every(({ value }) => Number.isInteger(value) && value >= 2 && value <= largest);
  return sound ? spoilt : undefined;
}

/** The equation with a value that is off by 1, 2 or 10. */
function slip(random: Random, step: Step): Step {
  return { ...step, value: step.value + random.pick([-10, -2, -1, 1, 2, 10]) };
}

/**
 * The chain with the equation at a place replaced, and later ones worked out with its value. Undefined where a number
 * could be both a value of the chain and one of the question, since then it is not known what to carry on.
 */
function carryOn(
  steps: readonly Step[],
  at: number,
  { replacement, question }: { readonly replacement: Step; readonly question: string },
): Step[] | undefined {
  const middle = steps.slice(0, -1).map(({ value }) => value);
  const known = new Set([1, 2, ...numbersOf(question), ...middle]); // bare 1 and 2 occur too
  if (known.size < new Set([1, 2, ...numbersOf(question)]).size + middle.length) return undefined;
  const changed = steps.with(at, replacement);
  const carry = (operand: number) => {
    const from = middle.indexOf(operand);
    return from < 0 ? operand : changed[from].value;
  };
  for (let i = at + 1; i < steps.length; i++) {
    const [left, right] = [carry(steps[i].left), carry(steps[i].right)];
    changed[i] = { ...steps[i], left, right, value: compute(left, steps[i].operator, right) };
  }
  return changed;
}

/** Equations that have nothing to do with the question: its numbers do not occur. */
function babble(random: Random, steps: readonly Step[], question: string): Step[] {
  const known = new Set(numbersOf(question));
  const strangers = Array.from({ length: 30 }, (_, i) => i + 2).filter((number) => !known.has(number));
  return steps.slice(0, 2 + random.integer(2)).map(({ unit }) => {
    const [left, right] = [random.pick(strangers), random.pick(strangers)];
    const operator: Operator = left > right ? random.pick(["+", "-"]) : random.pick(["+", "*"]);
    return { left, operator, right, value: compute(left, operator, right), unit };
  });
}
