/** How many seeds and test problems a difference needs to be seen, before anything is run. */

import { checkNumbers } from "../runtime/check_numbers.ts";
import { UsageError } from "../runtime/errors.ts";
import { criticalT } from "./students_t.ts";

/** Variances of a paired difference of accuracies of one problem and seed, by where they come from. */
export interface DifferenceVariances {
  /** Between seeds. */
  readonly seed: number;
  /** Between problems, the same for all seeds. */
  readonly problem: number;
  /** Of what is left. */
  readonly rest: number;
}

/**
 * Assumed where nothing is known yet: seeds one point apart (standard deviation), and one answer in five that only one of
 * two models has right, a quarter of it because of the problem.
 */
export const assumedVariances: DifferenceVariances = { seed: 0.01 ** 2, problem: 0.05, rest: 0.15 };

/** Seconds of one core: a training question with 6 candidates, one with its reference alone, and a test answer. */
const SECONDS = { group: 0.032, reference: 0.008, answer: 0.008 } as const;

/** Share of studies that see a difference which is there. */
const POWER = 0.8;

/** What a study is planned for. */
export interface PlanOptions {
  /** The difference of accuracies to be seen: 0.015 is 1.5 points. */
  readonly difference: number;
  /** Assumed variances (default {@linkcode assumedVariances}). */
  readonly variances?: DifferenceVariances;
  /** Numbers of seeds to look at (default 3, 5, 8 and 12). */
  readonly seeds?: readonly number[];
  /** Training questions (default 320). */
  readonly limit?: number;
  /** Passes of a method over them (default 4). */
  readonly epochs?: number;
  /** How many methods beside VFT (default 6). */
  readonly methods?: number;
  /** Jobs that share the seeds out, each on a core of its own (default 1). */
  readonly jobs?: number;
}

/** What a number of seeds comes to. */
export interface PlannedSize {
  /** How many seeds. */
  readonly seeds: number;
  /** Fewest test problems; undefined where not even endlessly many would do. */
  readonly problems: number | undefined;
  /** About so many hours of one core, for all methods and one VFT model a seed. */
  readonly hours: number | undefined;
  /** About so many hours until it is done, by so many jobs: whole seeds are dealt. */
  readonly elapsed: number | undefined;
}

/**
 * Least difference that S seeds and P problems show in 80% of studies, as a two-sided test at 5%:
 *
 *   δ = (t_{0.975, ν} + t_{0.8, ν}) · √(σ²_seed/S + σ²_problem/P + σ²_rest/(S·P))
 *
 * ν are Satterthwaite's degrees of freedom of the three mean squares, as in {@linkcode pairedDifference}.
 */
export function leastDifference(
  seeds: number,
  problems: number,
  { seed, problem, rest }: DifferenceVariances = assumedVariances,
): number {
  const ofSeeds = rest + problems * seed, ofProblems = rest + seeds * problem;
  const total = ofSeeds + ofProblems - rest;
  const df = total ** 2 /
    (ofSeeds ** 2 / (seeds - 1) + ofProblems ** 2 / (problems - 1) +
      rest ** 2 / ((seeds - 1) * (problems - 1)));
  return (criticalT(0.05, df) + criticalT(2 * (1 - POWER), df)) * Math.sqrt(total / (seeds * problems));
}

/**
 * For each number of seeds the fewest test problems (up to a million) that show the difference, and the time of it.
 *
 * ```ts
 * import { planStudy } from "./lib/study/mod.ts";
 *
 * for (const { seeds, problems, hours } of planStudy({ difference: 0.015 })) console.log(seeds, problems, hours);
 * ```
 *
 * @throws {UsageError} for a difference outside 0 to 1, and for jobs that are no whole number of at least 1
 */
export function planStudy(
  { difference, variances, seeds = [3, 5, 8, 12], limit = 320, epochs = 4, methods = 6, jobs = 1 }:
    PlanOptions,
): PlannedSize[] {
  if (!(difference > 0 && difference < 1)) {
    throw new UsageError(`Option difference must be above 0 and below 1: got ${difference}`);
  }
  checkNumbers({ jobs }, { jobs: "count" }, "Option");
  return seeds.map((count) => {
    let low = 1, high = 1_000_000;
    if (leastDifference(count, high, variances) > difference) {
      return { seeds: count, problems: undefined, hours: undefined, elapsed: undefined };
    }
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (leastDifference(count, middle, variances) > difference) low = middle;
      else high = middle;
    }
    const training = limit * epochs * (SECONDS.reference + methods * SECONDS.group);
    const sampling = 6 * (limit + Math.min(high, 500)) * SECONDS.answer;
    const testing = (1 + methods) * high * SECONDS.answer;
    const hours = (training + sampling + testing) / 3600;
    return { seeds: count, problems: high, hours: count * hours, elapsed: Math.ceil(count / jobs) * hours };
  });
}
