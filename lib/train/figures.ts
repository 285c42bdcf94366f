/**
 * The figures of a training, each declared once: what a line of metrics.jsonl has, and how pages call it, which way is
 * better and what it means.
 */
import type { GroupStatistics } from "../objectives/statistics.ts";
import type { Metrics } from "./metrics.ts";

/** A figure's field in a line of metrics. */
export type TrainingFigureKey = Exclude<keyof Metrics, "step" | "steps" | "epoch">;

/** A number that is measured at a step of training. */
export interface TrainingFigure {
  /** Its name on pages. */
  readonly title: string;
  /** Which way is better; absent where neither is. */
  readonly better?: "higher" | "lower";
  /** Whether it is a share, from 0 to 1, and shown as a percentage. */
  readonly percent?: boolean;
  /** What it is divided by before it is shown (default 1). */
  readonly per?: number;
  /** The statistic of a question's scores whose mean over the batch it is; absent for what the trainer measures. */
  readonly statistic?: keyof GroupStatistics;
  /** One or two sentences without jargon. */
  readonly meaning: string;
}

/** Every figure, in the order of a line of metrics. */
export const trainingFigures: Readonly<Record<TrainingFigureKey, TrainingFigure>> = {
  loss: {
    title: "Loss",
    better: "lower",
    meaning:
      "What training makes small; on held-out records, where it rises again, training has gone too far. Objectives have losses of their own, so compare a curve with itself, not " +
      "with another model's.",
  },
  objective_loss: { title: "Objective's loss", meaning: "What the objective adds to the loss." },
  vft_loss: { title: "VFT's loss", meaning: "What the likelihood of the references adds to the loss." },
  positives: {
    title: "Score of right candidates",
    statistic: "positives",
    meaning:
      "Mean score of the batch's right candidates, its reference solutions among them, in nats per token.",
  },
  negatives: {
    title: "Score of wrong candidates",
    statistic: "negatives",
    meaning: "Mean score of the batch's wrong candidates, in nats per token.",
  },
  reference: {
    title: "Score of references",
    statistic: "reference",
    meaning: "Mean score of the batch's reference solutions, in nats per token.",
  },
  margin: {
    title: "Margin",
    better: "higher",
    statistic: "margin",
    meaning:
      "The distance between those two. Below the dashed line at 0, wrong chains are the likelier ones.",
  },
  assessment_accuracy: {
    title: "Assessment accuracy",
    better: "higher",
    percent: true,
    statistic: "assessmentAccuracy",
    meaning:
      "Share of the batch's (right, wrong) pairs in order. The dashed line is guessing. It is measured on " +
      "training questions, so it runs ahead of the table's.",
  },
  active_pairs: {
    title: "Active pairs",
    percent: true,
    statistic: "activePairs",
    meaning:
      "Share of (right, wrong) pairs that still move the model. At 0% the objective has nothing left to teach.",
  },
  negatives_at_boundary: {
    title: "At the boundary",
    percent: true,
    statistic: "negativesAtBoundary",
    meaning:
      "Share of wrong candidates whose score is at or under the boundary, a little below the worst right one. The " +
      "boundary constraint lets go of those.",
  },
  response_length: {
    title: "Response length",
    meaning: "Mean tokens of a response of the batch, its end token included.",
  },
  no_end_token: {
    title: "No end token",
    percent: true,
    meaning:
      "Share of the batch's responses that broke off at the length limit. They teach the model not to stop.",
  },
  gradient_norm: {
    title: "Gradient norm",
    meaning:
      "Size of a step's gradient before clipping. It should settle; spikes or steady growth mean that the " +
      "learning rate is too high.",
  },
  learning_rate: {
    title: "Learning rate",
    meaning: "As scheduled: it rises during the warm-up, then falls.",
  },
  tokens_per_second: {
    title: "Response tokens/s",
    better: "higher",
    meaning: "Speed alone: says nothing about quality.",
  },
  allocated_bytes: {
    title: "Memory, MiB",
    better: "lower",
    per: 2 ** 20,
    meaning: "Tensors in use after a step. It must not grow from step to step.",
  },
};
