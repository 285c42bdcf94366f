/**
 * An embedded data set whose candidates carry ranks, from the arithmetic grammar: each problem with four to eight chains
 * from right to nonsense. For ranked feedback without people or a judge.
 */

import { compute, numbersOf, type Operator, type Step } from "./_grammar.ts";
import { type ArithmeticOptions, arithmeticSolutions, type SolvedProblem, writeChain } from "./arithmetic.ts";
import { Random } from "./random.ts";
import type { Candidate, Group } from "./records.ts";

/** A candidate with everything that ranking methods read. */
export type RankedCandidate = Candidate & {
  readonly answer: string;
  readonly correct: boolean;
  readonly rank: number;
  readonly reward: number;
  readonly grade: Grade;
};

/** A problem with its ranked candidates. */
export type RankedGroup = Group & SolvedProblem["problem"] & {
  readonly candidates: readonly RankedCandidate[];
};

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
  let number = 0;
  for (const { problem, chains } of arithmeticSolutions(drawn)) {
    const candidates = rank(makeCandidates(random, problem, chains));
    yield { ...problem, id: `ranked-${split}-${number++}`, dataset: "ranked", candidates };
  }
}

interface Graded {
  readonly grade: Grade;
  readonly text: string;
  readonly answer: number;
}

/** Candidates of a problem: right ones first one by one, then the other grades in turn, until there are enough. */
function makeCandidates(
  random: Random,
  problem: SolvedProblem["problem"],
  chains: SolvedProblem["chains"],
): Graded[] {
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
    const steps = spoil(random, random.pick(chains).steps, grade, problem.question);
    if (!steps) continue;
    const text = writeChain(steps);
    const answer = steps[steps.length - 1].value;
    if (answer === Number(problem.answer) || used.has(text)) continue;
    used.add(text);
    candidates.push({ grade, text, answer });
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

/** A chain spoilt to a grade; undefined when this draw gives no whole numbers of 0 or more. */
function spoil(random: Random, steps: readonly Step[], grade: Grade, question: string): Step[] | undefined {
  const last = steps.length - 1;
  let spoilt: Step[];
  if (grade === "late slip") {
    spoilt = steps.with(last, slip(random, steps[last]));
  } else if (grade === "early slip") {
    spoilt = carryOn(steps, 0, slip(random, steps[0]));
  } else if (grade === "wrong operation") {
    const at = random.integer(steps.length);
    const { left, right, operator } = steps[at];
    const other = random.pick((["+", "-", "*"] as const).filter((sign) => sign !== operator));
    spoilt = carryOn(steps, at, { ...steps[at], operator: other, value: compute(left, other, right) });
  } else {
    spoilt = babble(random, steps, question);
  }
  const sound = spoilt.every(({ value }) => Number.isInteger(value) && value >= 0 && value < 1_000);
  return sound ? spoilt : undefined;
}

/** The equation with a value that is off by 1, 2 or 10. */
function slip(random: Random, step: Step): Step {
  return { ...step, value: step.value + random.pick([-10, -2, -1, 1, 2, 10]) };
}

/** The chain with one equation replaced; later equations that use its value take the new one, and are worked out. */
function carryOn(steps: readonly Step[], at: number, replacement: Step): Step[] {
  const changed = steps.with(at, replacement);
  const carry = (operand: number, before: number) => {
    for (let i = before - 1; i >= at; i--) if (steps[i].value === operand) return changed[i].value;
    return operand;
  };
  for (let i = at + 1; i < steps.length; i++) {
    const [left, right] = [carry(steps[i].left, i), carry(steps[i].right, i)];
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
