/** What is measured of a model while it trains: each figure declares its name, which way is better and how it is said. */

/** A figure of an evaluation. */
export interface EvaluationFigure {
  /** Which way is better; absent where neither is: a score can rise for good and for bad reasons. */
  readonly better?: "higher" | "lower";
  /** How a line on a terminal calls it; absent where it stays in metrics.jsonl. */
  readonly said?: string;
  /** Whether it is a share, from 0 to 1. */
  readonly percent?: boolean;
}

/** A figure's name. */
export type EvaluationMetric =
  | "loss"
  | "objective_loss"
  | "vft_loss"
  | "margin"
  | "assessment_accuracy"
  | "accuracy"
  | "positives"
  | "negatives"
  | "reference";

/** Every figure by its name; in metrics.jsonl it has `eval_` before it. */
export const evaluationFigures: Readonly<Record<EvaluationMetric, EvaluationFigure>> = {
  loss: { better: "lower", said: "held-out loss" },
  objective_loss: { better: "lower" },
  vft_loss: { better: "lower" },
  margin: { better: "higher", said: "margin" },
  assessment_accuracy: { better: "higher", said: "assessment accuracy", percent: true },
  accuracy: { better: "higher", said: "accuracy", percent: true },
  positives: {},
  negatives: {},
  reference: {},
};

/** One question's greedy answer, as a look at what the model says. */
export interface AnswerSample {
  /** The question's id. */
  readonly id: string;
  /** What was asked. */
  readonly question: string;
  /** What the model said. */
  readonly response: string;
  /** Whether its answer is right. */
  readonly correct: boolean;
}

/** One line of metrics.jsonl: an evaluation. It holds no times, so that the same run writes the same bytes. */
export type EvaluationLine =
  & {
    /** Optimizer steps done: 0 before the first. */
    readonly step: number;
    /** All optimizer steps of the run. */
    readonly steps: number;
    /** Epochs done, as a fraction. */
    readonly epoch: number;
    /** Records that the loss is the mean of. */
    readonly eval_records: number;
    /** Loss of the training's objective on the evaluation set. */
    readonly eval_loss: number;
    /** Questions that `eval_accuracy` is measured on. */
    readonly eval_answers?: number;
    /** The first of their answers. */
    readonly eval_samples?: readonly AnswerSample[];
  }
  & { readonly [K in Exclude<EvaluationMetric, "loss"> as `eval_${K}`]?: number };

/** One figure of a line. */
export function figureOf(line: EvaluationLine, metric: EvaluationMetric): number | undefined {
  return line[`eval_${metric}`];
}

/** Whether an object of metrics.jsonl is an evaluation's, and not a step's. */
export function isEvaluationLine(line: object): line is EvaluationLine {
  return "eval_loss" in line;
}

/** "loss (lower is better), margin (higher is better), …": the figures that have a better side. */
export function comparableFigures(): string {
  return Object.entries(evaluationFigures)
    .flatMap(([name, { better }]) => better ? [`${name} (${better} is better)`] : []).join(", ");
}

/** A line for people: "Step 40 of 160: held-out loss 0.3120, margin 0.120, accuracy 60.0% of 20". */
export function describeEvaluation(line: EvaluationLine): string {
  const parts = Object.entries(evaluationFigures)
    .flatMap(([name, { said, percent }]) => {
      const value = figureOf(line, name as EvaluationMetric);
      if (said === undefined || value === undefined) return [];
      return `${said} ${percent ? `${(100 * value).toFixed(1)}%` : Number(value.toPrecision(4))}`;
    });
  const of = line.eval_accuracy === undefined ? "" : ` of ${line.eval_answers}`;
  return `Step ${line.step} of ${line.steps}: ${parts.join(", ")}${of}`;
}
