/**
 * An embedded data set with five options a problem, from a grammar of the project's own: arithmetic stories, number
 * rows, orderings, days and small facts. For multi-task and out-of-distribution runs that need nothing from outside.
 */

import { UsageError } from "../../runtime/errors.ts";
import { splitOfKey } from "./_grammar.ts";
import { optionKinds } from "./_grammar_options.ts";
import { Random } from "../random.ts";
import type { Problem } from "../records.ts";

/** Which problems of the set. */
export interface OptionsOptions {
  /** Half of the set; no question with the same options is in both (default "train"). */
  readonly split?: "train" | "test";
  /** Number of problems (default 4,000 of train, 500 of test). */
  readonly count?: number;
  /** Seed of the draw (default 1). */
  readonly seed?: number;
}

/** A problem with five choices. */
export interface OptionsProblem extends Problem {
  /** Rationale and answer. */
  readonly reference: string;
  /** The letter of the right choice. */
  readonly answer: string;
  /** The choices' texts. */
  readonly choices: readonly string[];
}

const letters = ["A", "B", "C", "D", "E"];

/**
 * Problems `{id, question, choices, reference, answer, dataset}`; the reference is a rationale, a line break and
 * `The answer is C.`
 *
 * The right choice is there once, at a uniformly random place. The same options give the same bytes; a hash of the
 * question and its choices, whatever their order, decides the split, but a story is in the split that it has in the
 * arithmetic set. Throws UsageError for options out of range.
 */
export function* optionsProblems(options: OptionsOptions = {}): Generator<OptionsProblem> {
  const { split = "train", seed = 1, count = split === "train" ? 4_000 : 500 } = options;
  if (split !== "train" && split !== "test") {
    throw new UsageError(`Split of options must be "train" or "test": got "${split}"`);
  }
  if (!Number.isInteger(count) || count < 0) {
    throw new UsageError(`Count must be a whole number of problems: got ${count}`);
  }
  const seen = new Set<string>();
  let misses = 0;
  for (const drawn of drawQuestions(new Random(seed, { stream: `options-${split}` }), split)) {
    if (seen.size >= count) return;
    if (misses++ > 100_000) {
      throw new UsageError(
        `Cannot draw more than ${seen.size} different options problems: got count ${count}`,
      );
    }
    const { key, question, choices, answer, rationale } = drawn;
    if (seen.has(key)) continue;
    misses = 0;
    yield {
      id: `options-${split}-${seen.size}`,
      question,
      choices,
      reference: `${rationale}\nThe answer is ${answer}.`,
      answer,
      dataset: "options",
    };
    seen.add(key);
  }
}

interface DrawnQuestion {
  readonly key: string;
  readonly question: string;
  readonly choices: readonly string[];
  /** The right choice's letter. */
  readonly answer: string;
  readonly rationale: string;
}

/** Endless questions of a split; some come again. */
function* drawQuestions(random: Random, split: "train" | "test"): Generator<DrawnQuestion, never> {
  while (true) {
    const drawn = random.pick(optionKinds)(random), { question, right, wrong, rationale } = drawn;
    const choices = random.shuffle([right, ...wrong]);
    const key = `${question} ${choices.toSorted().join(", ")}`;
    if ((drawn.split ?? splitOfKey(key)) !== split) continue;
    yield { key, question, choices, answer: letters[choices.indexOf(right)], rationale };
  }
}
