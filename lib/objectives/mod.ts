/**
 * The objectives alone: pure functions of one question's numbers. Importing this loads no TF.js and nothing of a model.
 *
 * ```ts
 * import { lossOf } from "./lib/objectives/mod.ts";
 *
 * const { value, gradient } = lossOf("aft", { scores: [-1, -2], lengths: [10, 10], correct: [true, false] });
 * console.log(value.toFixed(4), gradient.length); // 0.3133 2
 * ```
 *
 * @module
 */
export type {
  Constraint,
  Feedback,
  NumberOption,
  Objective,
  ObjectiveResult,
  ObjectiveSpec,
  ScoredGroup,
} from "./objective.ts";
export { combine, findObjective, lossOf, type ObjectiveOptions, objectives } from "./objectives.ts";
export type { ObjectivePart } from "./sum.ts";
export { assessmentAccuracy, type MeanScores, meanScores } from "./statistics.ts";
