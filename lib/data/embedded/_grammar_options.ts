/** Kinds of questions with five options: the right one, four wrong ones, and the rationale that finds it. */

import { compute, splitOf, type Story, tellStory, writeSteps } from "./_grammar.ts";
import { shortStories } from "./_grammar_stories.ts";
import { days, people } from "./_grammar_words.ts";
import type { Random } from "../random.ts";

/** A question before its options are put in order. */
export interface OptionQuestion {
  /** Its text, without the options. */
  readonly question: string;
  /** The right option. */
  readonly right: string;
  /** Four others. */
  readonly wrong: readonly string[];
  /** What leads to the right one; names no letter. */
  readonly rationale: string;
  /** The split of a question that other embedded sets may have too; the others' is decided by their text. */
  readonly split?: "train" | "test";
}

/** Every kind. */
export const optionKinds: readonly ((random: Random) => OptionQuestion)[] = [
  story,
  nextNumber,
  extremeNumber,
  ordering,
  laterDay,
  fact,
];

/** An arithmetic story; wrong options come from a wrong sign in its last equation, its middle results and slips. */
function story(random: Random): OptionQuestion {
  const told = tellStory(random, shortStories, { largestFactor: 9, largestAmount: 20, largestValue: 100 });
  const wrong = random.shuffle([...mistakes(told)]).slice(0, 4);
  return {
    question: told.question,
    right: String(told.answer),
    wrong: wrong.map(String),
    rationale: writeSteps(random.pick(told.chains)),
    split: splitOf(told),
  };
}

function mistakes({ chains, answer }: Story): Set<number> {
  const last = chains[0][chains[0].length - 1];
  const values = [
    ...chains[0].slice(0, -1).map(({ value }) => value),
    ...(["+", "-", "*"] as const).map((operator) => compute(last.left, operator, last.right)),
    ...[answer + 1, answer - 1, answer + 2, answer + 10, answer - 2],
  ];
  return new Set(values.filter((value) => value !== answer && value > 0 && value <= 200));
}

/** The next number of a row with equal steps. */
function nextNumber(random: Random): OptionQuestion {
  const [start, gap] = [1 + random.integer(20), 2 + random.integer(8)];
  const row = [0, 1, 2, 3].map((i) => start + i * gap);
  const next = start + 4 * gap;
  const offsets = random.shuffle([-2, -1, 1, 2, gap, 10]).filter((offset) => next + offset > row[3]);
  return {
    question: `Which number comes next: ${row.join(", ")}?`,
    right: String(next),
    wrong: [...new Set(offsets)].slice(0, 4).map((offset) => String(next + offset)),
    rationale: `${row[1]} - ${row[0]} = ${gap}. ${row[3]} + ${gap} = ${next}.`,
  };
}

/** The largest or the smallest of five numbers. */
function extremeNumber(random: Random): OptionQuestion {
  const numbers = random.shuffle(Array.from({ length: 99 }, (_, i) => i + 1)).slice(0, 5);
  const sorted = numbers.toSorted((a, b) => a - b);
  const largest = random.integer(2) === 0;
  const right = largest ? sorted[4] : sorted[0];
  return {
    question: `Which number is the ${largest ? "largest" : "smallest"}?`,
    right: String(right),
    wrong: numbers.filter((number) => number !== right).map(String),
    rationale: `In order: ${sorted.join(", ")}.`,
  };
}

/** Who is first or last of five, told in pairs. */
function ordering(random: Random): OptionQuestion {
  const order = random.shuffle([...people]).slice(0, 5).map(({ name }) => name);
  const [more, most, least] = random.pick([
    ["older", "oldest", "youngest"],
    ["taller", "tallest", "shortest"],
    ["faster", "fastest", "slowest"],
  ]);
  const pairs = [0, 1, 2, 3].map((i) => `${order[i]} is ${more} than ${order[i + 1]}.`);
  const first = random.integer(2) === 0;
  const right = first ? order[0] : order[4];
  return {
    question: `${random.shuffle(pairs).join(" ")} Who is the ${first ? most : least}?`,
    right,
    wrong: order.filter((name) => name !== right),
    rationale: `From the ${most} to the ${least}: ${order.join(", ")}.`,
  };
}

/** A day some days after another. */
function laterDay(random: Random): OptionQuestion {
  const [{ name, he }] = random.shuffle([...people]);
  const [start, later] = [random.integer(days.length), 2 + random.integer(5)];
  const passed = Array.from({ length: later }, (_, i) => days[(start + i + 1) % days.length]);
  const right = passed[later - 1];
  return {
    question: `${name} leaves on ${days[start]} and comes back ${later} days later. ` +
      `On which day does ${he} come back?`,
    right,
    wrong: random.shuffle(days.filter((day) => day !== right)).slice(0, 4),
    rationale: `The days after ${days[start]} are ${passed.join(", ")}.`,
  };
}

/** Groups whose members belong to no other group. */
const groups: readonly { readonly one: string; readonly members: readonly string[] }[] = [
  { one: "a fruit", members: ["apple", "banana", "grape", "lemon", "pear", "plum"] },
  { one: "an animal", members: ["cat", "cow", "dog", "goat", "horse", "sheep"] },
  { one: "a tool", members: ["axe", "hammer", "rake", "saw", "shovel", "wrench"] },
  { one: "a piece of clothing", members: ["coat", "glove", "hat", "scarf", "shirt", "sock"] },
  { one: "a piece of furniture", members: ["bed", "bench", "chair", "desk", "sofa", "table"] },
];

/** Which of five things belongs to a group, or which is the only one that does not. */
function fact(random: Random): OptionQuestion {
  const [group, other, ...rest] = random.shuffle([...groups]);
  if (random.integer(2) === 0) {
    const right = random.pick(group.members);
    const strangers = random.shuffle([other, ...rest].flatMap(({ members }) => members));
    return {
      question: `Which of these is ${group.one}?`,
      right,
      wrong: strangers.slice(0, 4),
      rationale: `${article(right)} ${right} is ${group.one}.`,
    };
  }
  const right = random.pick(other.members);
  return {
    question: `Which of these is not ${group.one}?`,
    right,
    wrong: random.shuffle([...group.members]).slice(0, 4),
    rationale: `${article(right)} ${right} is ${other.one}, not ${group.one}.`,
  };
}

function article(noun: string): string {
  return /^[aeiou]/.test(noun) ? "An" : "A";
}
