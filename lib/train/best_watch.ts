import { InputError } from "../runtime/errors.ts";
import {
  evaluationFigures,
  type EvaluationLine,
  type EvaluationMetric,
  figureOf,
} from "./evaluation_figures.ts";

/** The best evaluation so far; a checkpoint keeps it. */
export interface Best {
  /** The step of it. */
  readonly step: number;
  /** Its figure. */
  readonly value: number;
  /** Evaluations since that were no better. */
  readonly waited: number;
}

/** Watches one figure: which evaluation is the best, and when too many in a row were no better. */
export class BestWatch {
  #best: Best | undefined;

  constructor(readonly metric: EvaluationMetric, readonly patience = Infinity, best?: Best) {
    this.#best = best;
  }

  /** The best so far. */
  get best(): Best | undefined {
    return this.#best;
  }

  /**
   * Takes an evaluation in.
   *
   * @returns whether it is the best so far (of equal ones the earliest is, the untrained model last), and whether patience is at its end
   * @throws {InputError} when it lacks the figure
   */
  take(line: EvaluationLine): { readonly isBest: boolean; readonly spent: boolean } {
    const value = figureOf(line, this.metric), before = this.#best;
    if (value === undefined) {
      const has = Object.entries(evaluationFigures)
        .filter(([name, { better }]) => better && figureOf(line, name as EvaluationMetric) !== undefined);
      throw new InputError(
        `Cannot go by ${this.metric}: the evaluation set does not give it; it gives ${
          has.map(([name]) => name).join(", ")
        }`,
      );
    }
    const { better } = evaluationFigures[this.metric];
    const gained = before !== undefined && (better === "lower" ? value < before.value : value > before.value);
    // Whoever trains wants the start back only where all training made it worse.
    const isBest = before === undefined || gained || before.step === 0 && value === before.value;
    this.#best = isBest ? { step: line.step, value, waited: 0 } : { ...before, waited: before.waited + 1 };
    return { isBest, spent: this.#best.waited >= this.patience };
  }
}
