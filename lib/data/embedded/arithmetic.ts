/**
 * The embedded data set: arithmetic word problems from a seeded grammar of the project's own, so that a first run needs
 * nothing from outside. Each problem has at least two genuinely different chains to its answer.
 */

import { UsageError } from "../../runtime/errors.ts";
import { plotOf, type Sizes, splitOf, type Step, type Story, tellStory, writeSteps } from "./_grammar.ts";
import { longestStories, longStories } from "./_grammar_long_stories.ts";
import { shortStories } from "./_grammar_stories.ts";
import { Random } from "../random.ts";
import type { Problem } from "../records.ts";

export type { Operator, Step } from "./_grammar.ts";

/** Which problems of the embedded set, and how hard. */
export interface ArithmeticOptions {
  /** Half of the set; no problem of one is in the other, whatever seeds they are drawn with (default "train"). */
  readonly split?: "train" | "test";
  /** Number of problems (default 4,000 of train, 500 of test; from the 501st test problem on each has numbers of its own). */
  readonly count?: number;
  /** Seed of the draw (default 1). */
  readonly seed?: number;
  /** Fewest and most equations that a problem's plainest chain has, within 2 to 4 (default [2, 3]). */
  readonly steps?: readonly [number, number];
  /** Largest factor and divisor (default 6). */
  readonly largestFactor?: number;
  /** Largest number to be added or taken away, where it is no total (default 12). */
  readonly largestAmount?: number;
  /** Largest number of question, equations and answer (default 60). */
  readonly largestValue?: number;
}

/** A way to the answer: its equations, and its text as a reference or a candidate holds it. */
export interface ArithmeticChain {
  /** Equations in order; the last one's value is the answer. */
  readonly steps: readonly Step[];
  /** `3 + 4 = 7 pens. 7 * 2 = 14 dollars.`, a line break and `#### 14`. */
  readonly text: string;
}

/** A problem of the set as a record. */
export interface ArithmeticProblem extends Problem {
  /** One of its chains, each equally likely. */
  readonly reference: string;
  /** A whole number. */
  readonly answer: string;
}

/** A problem with every way to its answer that the grammar knows, two or more; the reference is one of them. */
export interface SolvedProblem {
  /** The problem as a record. */
  readonly problem: ArithmeticProblem;
  /** Its chains. Their lists of equations differ. */
  readonly chains: readonly ArithmeticChain[];
}

const usualCounts = { train: 4_000, test: 500 } as const;

const allKinds = [...shortStories, ...longStories, ...longestStories];

/**
 * Problems `{id, question, reference, answer, dataset}` in the order of the draw; no question comes twice.
 *
 * From the 501st test problem on each has a kind and numbers of its own. Kinds with few numbers run out first, so later
 * ones are harder, and about 10,000 are all there are.
 *
 * The same options give the same bytes. The split is decided by a hash of the story's kind and its numbers, so a test
 * problem is not even a training problem under other names. Throws UsageError for options out of range.
 */
export function* arithmeticProblems(options: ArithmeticOptions = {}): Generator<ArithmeticProblem> {
  for (const { problem } of arithmeticSolutions(options)) yield problem;
}

/** The same problems as {@linkcode arithmeticProblems}, each with all its chains. */
export function* arithmeticSolutions(options: ArithmeticOptions = {}): Generator<SolvedProblem> {
  const { split = "train", seed = 1 } = options;
  const count = options.count ?? (split === "train" ? usualCounts.train : usualCounts.test);
  if (!Number.isInteger(count) || count < 0) {
    throw new UsageError(`Count must be a whole number of problems: got ${count}`);
  }
  let number = 0;
  const stories = drawStories(new Random(seed, { stream: `arithmetic-${split}` }), options);
  while (number < count) {
    const { story, chains, reference } = stories.next().value;
    const problem = {
      id: `arithmetic-${split}-${number++}`,
      question: story.question,
      reference: reference.text,
      answer: String(story.answer),
      dataset: "arithmetic",
    };
    yield { problem, chains };
  }
}

/**
 * Plain text to pre-train a base model on, a document an item: facts (`7 + 5 = 12`), training stories alone, with their
 * answer, and solved in several layouts, none of them the layout of a reference.
 *
 * A document starts with a blank: its first word is then the token that it is behind `Question:` or `Answer:`.
 *
 * Never contains a story of the test split. `count` is the number of documents (default 20,000); `solved` the share of
 * stories that come with a chain (default 0.9): less makes a weaker base.
 */
export function* arithmeticCorpus(
  options: Omit<ArithmeticOptions, "split"> & { readonly solved?: number } = {},
): Generator<string> {
  const { seed = 1, count = 20_000, solved = 0.9 } = options;
  const { largestValue } = sizesOf(options);
  const random = new Random(seed, { stream: "arithmetic-corpus" });
  const stories = drawStories(new Random(seed, { stream: "arithmetic-corpus-stories" }), {
    ...options,
    split: "train",
  });
  for (let i = 0; i < count; i++) {
    if (random.integer(5) < 1) {
      yield ` ${Array.from({ length: 6 }, () => fact(random, largestValue)).join(" ")}`;
      continue;
    }
    const { story, reference } = stories.next().value;
    const question = ` ${story.question}`;
    const steps = ` ${writeSteps(reference.steps)}`;
    const bare = reference.steps.map((s) => ` ${s.left} ${s.operator} ${s.right} = ${s.value}.`).join("");
    const answer = ` The answer is ${story.answer}.`;
    yield random.next() < solved
      ? random.pick([question + steps + answer, question + bare + answer, question + steps, steps + answer])
      : random.pick([question, question + answer]);
  }
}

/** A true equation whose numbers are at most `largest`, as a chain writes it or in words. */
function fact(random: Random, largest: number): string {
  const product = random.integer(2) === 0;
  const a = 1 + random.integer(product ? Math.min(12, largest) : largest - 1);
  const b = 1 + random.integer(product ? Math.max(1, Math.floor(largest / a)) : largest - a);
  const whole = product ? a * b : a + b;
  const [join, part] = product ? ["*", "/"] : ["+", "-"];
  return random.pick([
    `${a} ${join} ${b} = ${whole}.`,
    `${whole} ${part} ${a} = ${b}.`,
    product ? `${a} times ${b} is ${whole}.` : `${a} and ${b} make ${whole}.`,
  ]);
}

/** A chain as a reference writes it. */
export function writeChain(steps: readonly Step[]): string {
  return `${writeSteps(steps)}\n#### ${steps[steps.length - 1].value}`;
}

interface Drawn {
  readonly story: Story;
  readonly chains: readonly ArithmeticChain[];
  readonly reference: ArithmeticChain;
}

/** Endless distinct stories of a split. */
function* drawStories(random: Random, options: ArithmeticOptions): Generator<Drawn, never> {
  const { split = "train", steps: [fewest, most] = [2, 3] } = options;
  if (split !== "train" && split !== "test") {
    throw new UsageError(`Split of arithmetic must be "train" or "test": got "${split}"`);
  }
  const sizes = sizesOf(options);
  const kinds = allKinds.filter(({ steps }) => steps >= fewest && steps <= most);
  if (kinds.length === 0) {
    throw new UsageError(`Steps of arithmetic must be a range within 2 to 4: got [${fewest}, ${most}]`);
  }
  const seen = new Set<string>(), plots = new Set<string>(); // of questions: some 100 bytes each
  for (let misses = 0; misses < 100_000; misses++) {
    const story = tellStory(random, kinds, sizes), plot = plotOf(story);
    if (splitOf(story) !== split || seen.has(story.question)) continue;
    // Many test problems are there to be counted: one more with known numbers would count a story twice.
    if (split === "test" && seen.size >= usualCounts.test && plots.has(plot)) continue;
    misses = 0;
    seen.add(story.question);
    plots.add(plot);
    const chains = story.chains.map((steps) => ({ steps, text: writeChain(steps) }));
    yield { story, chains, reference: random.pick(chains) };
  }
  throw new UsageError(
    `Cannot draw more than ${seen.size} different arithmetic problems with these options: expected larger sizes`,
  );
}

function sizesOf(options: ArithmeticOptions): Sizes {
  const { largestFactor = 6, largestAmount = 12, largestValue = 60 } = options;
  const sizes = { largestFactor, largestAmount, largestValue };
  for (const [name, value] of Object.entries(sizes)) {
    const least = name === "largestValue" ? 20 : 3;
    if (!Number.isInteger(value) || value < least || value > 1_000_000) {
      throw new UsageError(`Option ${name} must be an integer from ${least} to 1000000: got ${value}`);
    }
  }
  return sizes;
}
