/**
 * The objectives alone: pure functions of one question's numbers. Importing this loads no TF.js and nothing of a model.
 *
 * ```ts
 * import { objectives } from "./lib/objectives/mod.ts";
 *
 * const { value, gradient } = objectives.aft({ scores: [-1, -2], lengths: [10, 10], correct: [true, false] });
 * console.log(value.toFixed(4), gradient.length); // 0.3133 2
 * ```
 *
 * @module
 */
export type {
  Constraint,
  Feedback,
  Objective,
  ObjectiveOptions,
  ObjectiveResult,
  ObjectiveTraits,
  ScoredGroup,
} from "./objective.ts";
export { objectives, objectiveTraits } from "./objectives.ts";
export { assessmentAccuracy, type MeanScores, meanScores } from "./statistics.ts";
