/** How the learning rate moves after warm-up. */
export type Decay = "cosine" | "linear" | "constant";

/** A learning-rate schedule. */
export interface Schedule {
  /** Highest learning rate. */
  readonly learningRate: number;
  /** Optimizer steps of linear warm-up from 0. */
  readonly warmupSteps: number;
  /** All optimizer steps, warm-up included. */
  readonly totalSteps: number;
  readonly decay: Decay;
  /** Learning rate at the end, as a share of the highest (0 by default). */
  readonly floor?: number | undefined;
}

/**
 * Learning rate of one step.
 *
 *   warm-up: lr·(step + 1)/warmup;  then, with t from 0 to 1 over the remaining steps,
 *   cosine: lr·(f + (1 − f)(1 + cos πt)/2);  linear: lr·(f + (1 − f)(1 − t));  constant: lr
 *
 * @param step number of the step, from 0
 */
export function learningRateAt(step: number, schedule: Schedule): number {
  const { learningRate, warmupSteps, totalSteps, decay, floor = 0 } = schedule;
  if (step < warmupSteps) return learningRate * (step + 1) / warmupSteps;
  const t = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  if (decay === "constant") return learningRate;
  const left = decay === "cosine" ? (1 + Math.cos(Math.PI * t)) / 2 : 1 - t;
  return learningRate * (floor + (1 - floor) * left);
}
