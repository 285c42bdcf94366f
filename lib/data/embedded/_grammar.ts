/**
 * The grammar of arithmetic stories: draws a story kind, names, things and numbers, and keeps what is sound.
 *
 * A kind writes down its question and every way it knows to solve it, first the one that follows the story. The grammar
 * works each out and drops a way that leaves the whole numbers from 2 to `largestValue`, or that has the equations of
 * another in another order. It draws again unless the first way and one more are left. Two ways that end differently
 * are a defect of the kind, and throw.
 */

import { UsageError } from "../../runtime/errors.ts";
import { containers, people, type Person, things } from "./_grammar_words.ts";
import { Random } from "../random.ts";

/** Sign of an equation. */
export type Operator = "+" | "-" | "*" | "/";

/** One equation of a chain, `left operator right = value`, and what the value counts. */
export interface Step {
  /** A number of the question, an earlier value, or a bare 1 or 2. */
  readonly left: number;
  /** What is done. */
  readonly operator: Operator;
  /** As `left`. */
  readonly right: number;
  /** The result. */
  readonly value: number;
  /** What the value counts, as a plural. */
  readonly unit: string;
}

/** Sizes of the numbers. */
export interface Sizes {
  /** Largest factor and divisor. */
  readonly largestFactor: number;
  /** Largest number to be added or taken away, where it is no total. */
  readonly largestAmount: number;
  /** Largest number of all: of the question, of every equation, and the answer. */
  readonly largestValue: number;
}

/** A drawn question with its ways to the answer, two or more, the first the plainest. */
export interface Story {
  /** Name of its kind. */
  readonly kind: string;
  /** Its text. */
  readonly question: string;
  /** What every chain ends in. */
  readonly answer: number;
  /** The ways, each a list of equations. */
  readonly chains: readonly (readonly Step[])[];
}

/** What a kind draws from. People and things are distinct within a story. */
export interface Draw {
  /** The source of every choice. */
  readonly random: Random;
  /** Everybody, in random order. */
  readonly people: readonly Person[];
  /** All things, in random order. */
  readonly things: readonly string[];
  /** What holds them. */
  readonly container: string;
  /** A factor or divisor, from 2. */
  factor(): number;
  /** A number to add or take away, from 2. */
  amount(): number;
  /** A number to start from, 10 or more. */
  total(): number;
}

/** A way of telling stories. */
export interface Kind {
  /** Its name, which decides with the numbers on the split. */
  readonly name: string;
  /** Number of equations of its plainest chain. */
  readonly steps: number;
  /** Makes one, sound or not. */
  readonly tell: (draw: Draw) => { readonly question: string; readonly chains: readonly (readonly Step[])[] };
}

/** An equation; its value is worked out here and nowhere else. */
export function step(left: number, operator: Operator, right: number, unit: string): Step {
  return { left, operator, right, value: compute(left, operator, right), unit };
}

/** Value of `left operator right`; a quotient that is not whole stays a fraction. */
export function compute(left: number, operator: Operator, right: number): number {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return left / right;
  }
}

/** A story of one of the kinds, each equally likely. Throws UsageError when the sizes leave a kind no sound story. */
export function tellStory(random: Random, kinds: readonly Kind[], sizes: Sizes): Story {
  const kind = random.pick(kinds);
  const { largestFactor, largestAmount, largestValue } = sizes;
  const draw: Draw = {
    random,
    people: random.shuffle([...people]),
    things: random.shuffle([...things]),
    container: random.pick(containers),
    factor: () => 2 + random.integer(largestFactor - 1),
    amount: () => 2 + random.integer(largestAmount - 1),
    total: () => 10 + random.integer(largestValue - 9),
  };
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const { question, chains } = kind.tell(draw);
    if (Math.max(...numbersOf(question)) > largestValue) continue;
    const sound = chains.filter((chain) =>
      chain.every(({ value }) => Number.isInteger(value) && value >= 2 && value <= largestValue)
    );
    if (sound[0] !== chains[0]) continue; // the story itself would need a fraction, or less than nothing
    const different = [...new Map(sound.toReversed().map((chain) => [equationSet(chain), chain])).values()];
    if (different.length < 2) continue;
    const answers = new Set(sound.map((chain) => chain[chain.length - 1].value));
    if (answers.size > 1) throw new Error(`Chains of "${question}" end differently: ${[...answers]}`);
    return { kind: kind.name, question, answer: [...answers][0], chains: different.toReversed() };
  }
  throw new UsageError(
    `Cannot tell a story of kind "${kind.name}" with factors up to ${largestFactor}, amounts up to ` +
      `${largestAmount} and values up to ${largestValue}: expected larger sizes`,
  );
}

/** The equations of a chain, whatever their order and the order of sums and products: what makes chains different. */
export function equationSet(steps: readonly Step[]): string {
  const equations = steps.map(({ left, operator, right }) => {
    const commutes = operator === "+" || operator === "*";
    return commutes && left > right ? `${right} ${operator} ${left}` : `${left} ${operator} ${right}`;
  });
  return equations.sort().join(", ");
}

/** The whole numbers that a text mentions, in order. */
export function numbersOf(text: string): number[] {
  return (text.match(/\d+/g) ?? []).map(Number);
}

/** A chain as text, an equation a sentence: `3 + 4 = 7 pens. 7 * 2 = 14 dollars.` */
export function writeSteps(steps: readonly Step[]): string {
  return steps.map((s) => `${s.left} ${s.operator} ${s.right} = ${s.value} ${s.unit}.`).join(" ");
}

/** One story in so many belongs to the test split. */
const testShare = 8;

/** The split that a story belongs to in every embedded set, by its kind and numbers alone. */
export function splitOf(story: Pick<Story, "kind" | "question">): "train" | "test" {
  return splitOfKey(plotOf(story));
}

/** What a story is without its names and things: its kind and its numbers. */
export function plotOf({ kind, question }: Pick<Story, "kind" | "question">): string {
  return `${kind} ${numbersOf(question).join(" ")}`;
}

/** The split of whatever a text names. */
export function splitOfKey(key: string): "train" | "test" {
  return new Random(0, { stream: key }).word() % testShare === 0 ? "test" : "train";
}
