/** Test problems apart from the training problems: where they come from by default, and how many are not apart. */

import { askedText } from "../data/asked.ts";
import type { Problem } from "../data/records.ts";

/**
 * What to test on when training on `data`: the test split of every part, once each (a weight says how often to train).
 *
 *   gsm8k*2,aqua:train → gsm8k,aqua:test     (a name without split is read as its test split later)
 */
export function testSpecOf(data: string): string {
  return data.replace(/\*\d*\.?\d+(?=,|$)/g, "").replace(/:\w+(?=,|$)/g, ":test");
}

/** How many of the test problems ask a question that a training problem asks too, white space aside; and how many of each there are. */
export async function sharedProblems(
  train: AsyncIterable<Problem>,
  test: AsyncIterable<Problem>,
): Promise<{ readonly shared: number; readonly tested: number; readonly read: number }> {
  const trained = new Set<string>();
  let shared = 0, tested = 0, read = 0;
  for await (const problem of train) {
    trained.add(askedText(problem));
    read++;
  }
  for await (const problem of test) {
    tested++;
    if (trained.has(askedText(problem))) shared++;
  }
  return { shared, tested, read };
}

/** The problems that a run trains on, tests on, and evaluates on while it trains. */
export interface ProblemSets {
  readonly train: () => AsyncIterable<Problem>;
  readonly test: () => AsyncIterable<Problem>;
  readonly evaluationProblems: (() => AsyncIterable<Problem>) | undefined;
  readonly evaluation: { readonly keepBest?: unknown; readonly patience?: unknown } | undefined;
}

/** How many there are of each; 0 to evaluate on where that is a share of the others, or nothing. */
export interface ProblemCounts {
  readonly trained: number;
  readonly tested: number;
  readonly evaluated: number;
}

/** Counts them, and says where the test says little because they are not apart. */
export async function countProblems(
  { train, test, evaluationProblems, evaluation }: ProblemSets,
  warn: (line: string) => void,
): Promise<ProblemCounts> {
  const { shared, tested, read } = await sharedProblems(train(), test());
  if (shared > 0) {
    warn(
      `${shared} of ${tested} test problems are training problems too, so accuracy says little; option \`testData\` takes others`,
    );
  }
  const chosen = evaluation?.keepBest !== undefined || evaluation?.patience !== undefined;
  const { shared: flattering, read: evaluated } = evaluationProblems
    ? await sharedProblems(evaluationProblems(), test())
    : { shared: 0, read: 0 };
  if (chosen && flattering > 0) {
    warn(
      `${flattering} of ${tested} test problems are evaluation problems too: what is kept is chosen on them, so ` +
        "accuracy flatters; option `evaluation.data` takes others",
    );
  }
  return { trained: read, tested, evaluated };
}
