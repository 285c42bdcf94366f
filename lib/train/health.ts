/** Signs in the metrics of a run that it goes wrong, as plain warnings. */

import type { Metrics } from "./metrics.ts";

/** What the watch needs of a line of metrics. */
export type HealthMetrics = Pick<Metrics, "step" | "gradient_norm"> & Partial<Metrics>;

/** When the watch speaks. */
export interface HealthOptions {
  /** Steps over which scores must fall (default 100). */
  readonly falling?: number;
  /** Steps without an active pair (default 50). */
  readonly inactive?: number;
  /** Nats per token by which scores must drop below their best (default 2). */
  readonly collapse?: number;
  /** Times the usual gradient norm (default 10). */
  readonly explosion?: number;
}

/** Fewest lines that a trend is read from: with less frequent lines the steps it covers are more. */
const FEWEST_LINES = 6;
/** Lines that a level is the mean of, so that one odd batch says nothing. */
const LEVEL_LINES = 3;
/** A fall counts when it is at least so large, in nats per token … */
const SMALLEST_FALL = 0.02;
/** … and its slope so many times its standard error: batches differ, and so do their scores. */
const SIGNIFICANCE = 4;
/** Lines that the usual gradient norm is the median of. */
const NORM_LINES = 50;

/** A line's step and one of its figures. */
interface Point {
  readonly step: number;
  readonly value: number;
}

/**
 * Watches a run: give it every line of metrics, in order, and it returns what a person should be told, one line a
 * cause and each cause once in a run. It keeps at most a window of numbers.
 *
 * - positives fall: the line fitted (least squares) to the mean score of positives over the last `falling` steps, or
 *   the last 6 lines if these are more, falls by at least 0.02 nats per token, at a slope of at least 4 standard errors;
 * - positives and negatives fall together: the same of both over the same steps;
 * - collapse: the mean of the last three scores of the references (or of the positives, where there is no reference)
 *   is `collapse` nats per token below the best such mean so far: each token has become e² times less likely;
 * - no active pair: `active_pairs` was 0 for `inactive` steps in at least 5 lines;
 * - no pair: the objective's loss was 0 and no batch had a pair for as long, so nothing but the likelihood term trains;
 * - gradient: the norm was over `explosion` times the median of the last 50 lines in three lines running, or once over
 *   ten times as much. (A norm that is no number ends a run by itself.)
 *
 * The thresholds are the project's own.
 */
export function watchHealth(options: HealthOptions = {}): (metrics: HealthMetrics) => string[] {
  const { falling = 100, inactive = 50, collapse = 2, explosion = 10 } = options;
  const told = new Set<string>();
  const positives = new Window(falling), negatives = new Window(falling);
  const levels = { scores: [] as number[], best: -Infinity };
  const norms: number[] = [];
  let high = 0;
  const idle = new Run(inactive), unpaired = new Run(inactive);

  return (metrics) => {
    const warnings: string[] = [];
    const { step } = metrics;
    const tell = (cause: string, line: string) => {
      if (told.has(cause)) return;
      told.add(cause);
      warnings.push(`Step ${step}: ${line}`);
    };

    positives.add(step, metrics.positives);
    negatives.add(step, metrics.negatives);
    const [fallOfPositives, fallOfNegatives] = [positives.fall(), negatives.fall()];
    if (fallOfPositives && fallOfNegatives) {
      told.add("positives fall"); // said with it
      tell(
        "both fall",
        `the scores of positives and negatives fall together (${nats(fallOfPositives.nats)} and ` +
          `${nats(fallOfNegatives.nats)} in ${fallOfPositives.steps} steps): the model unlearns both; ` +
          "option `constraint: dc` or bc, or a lower option `learningRate`, may help",
      );
    } else if (fallOfPositives) {
      const { steps } = fallOfPositives;
      tell(
        "positives fall",
        `the mean score of positives has fallen for ${steps} steps, by ${nats(fallOfPositives.nats)}`,
      );
    }

    const score = metrics.reference ?? metrics.positives;
    if (score !== undefined) {
      levels.scores.push(score);
      if (levels.scores.length > LEVEL_LINES) levels.scores.shift();
      if (levels.scores.length === LEVEL_LINES) {
        const level = levels.scores.reduce((sum, value) => sum + value, 0) / LEVEL_LINES;
        levels.best = Math.max(levels.best, level);
        if (level < levels.best - collapse) {
          const of = metrics.reference === undefined ? "positives" : "references";
          tell(
            "collapse",
            `scores have collapsed: the mean of ${of} is ${nats(levels.best - level)} below its best, ` +
              `${levels.best.toFixed(2)}; a lower option \`learningRate\` may help`,
          );
        }
      }
    }

    const { active_pairs: active, objective_loss: loss } = metrics;
    if (idle.add(step, active === undefined ? undefined : active === 0)) {
      tell(
        "no active pair",
        `no pair has been active for ${idle.steps} steps: the objective has nothing left to teach`,
      );
    }
    const withoutPair = active !== undefined ? false : loss === undefined ? undefined : loss === 0;
    if (unpaired.add(step, withoutPair)) {
      tell(
        "no pair",
        `no question has had both a better and a worse candidate for ${unpaired.steps} steps: the objective trains nothing`,
      );
    }

    const norm = metrics.gradient_norm;
    if (norms.length >= 10) {
      const usual = norms.toSorted((a, b) => a - b)[norms.length >> 1];
      high = usual > 0 && norm > explosion * usual ? high + 1 : 0;
      if (high >= 3 || high > 0 && norm > 10 * explosion * usual) {
        tell(
          "gradient",
          `the gradient norm explodes: ${norm.toPrecision(3)}, usually ${usual.toPrecision(3)}; a lower ` +
            "option `learningRate` may help",
        );
      }
    }
    // What explodes does not become usual while it is being judged.
    if (high === 0) norms.push(norm);
    if (norms.length > NORM_LINES) norms.shift();
    return warnings;
  };
}

function nats(value: number): string {
  return `${value.toFixed(2)} nats per token`;
}

/** The figures of the last steps. */
class Window {
  #points: Point[] = [];

  constructor(readonly steps: number) {}

  add(step: number, value: number | undefined): void {
    if (value === undefined) return;
    this.#points.push({ step, value });
    // The first point kept is the newest that still leaves a whole window behind it.
    while (this.#points.length > FEWEST_LINES && this.#points[1].step <= step - this.steps) {
      this.#points.shift();
    }
  }

  /** How far, and over how many steps, the fitted line falls; undefined when it does not, or for too short a time. */
  fall(): { readonly nats: number; readonly steps: number } | undefined {
    const count = this.#points.length;
    if (count < FEWEST_LINES) return undefined;
    const steps = this.#points[count - 1].step - this.#points[0].step;
    if (steps < this.steps) return undefined;
    const meanStep = this.#points.reduce((sum, { step }) => sum + step, 0) / count;
    const meanValue = this.#points.reduce((sum, { value }) => sum + value, 0) / count;
    let across = 0, squares = 0;
    for (const { step, value } of this.#points) {
      across += (step - meanStep) * (value - meanValue);
      squares += (step - meanStep) ** 2;
    }
    const slope = across / squares;
    let residuals = 0;
    for (const { step, value } of this.#points) {
      residuals += (value - meanValue - slope * (step - meanStep)) ** 2;
    }
    const error = Math.sqrt(residuals / (count - 2) / squares);
    const fallen = -slope * steps;
    return fallen >= SMALLEST_FALL && -slope >= SIGNIFICANCE * error ? { nats: fallen, steps } : undefined;
  }
}

/** How long something has been so, without a break. */
class Run {
  #since: number | undefined;
  #lines = 0;
  /** Steps that it has lasted. */
  steps = 0;

  constructor(readonly enough: number) {}

  /** Takes one line (undefined says nothing either way); true when it has been so for long enough. */
  add(step: number, so: boolean | undefined): boolean {
    if (so === undefined) return false;
    if (!so) {
      this.#since = undefined;
      this.#lines = 0;
      return false;
    }
    this.#since ??= step;
    this.#lines++;
    this.steps = step - this.#since;
    return this.steps >= this.enough && this.#lines >= 5;
  }
}
