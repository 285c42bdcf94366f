/** An embedded data set of harder problems of the arithmetic grammar: kinds of stories that the arithmetic set lacks. */

import { type ArithmeticOptions, type ArithmeticProblem, arithmeticProblems } from "./arithmetic.ts";

/**
 * Problems of the kinds whose plainest chain has four equations, where the arithmetic set has two or three: a second data
 * set for multi-task training, and one that is out of distribution for a model of the first. Options and split are those
 * of {@linkcode arithmeticProblems}.
 */
export function* longArithmeticProblems(
  options: Omit<ArithmeticOptions, "steps"> = {},
): Generator<ArithmeticProblem> {
  let number = 0;
  for (const problem of arithmeticProblems({ ...options, steps: [4, 4] })) {
    const id = `arithmetic-long-${options.split ?? "train"}-${number++}`;
    yield { ...problem, id, dataset: "arithmetic-long" };
  }
}
