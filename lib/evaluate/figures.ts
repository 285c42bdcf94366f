/**
 * The figures of a summary, each declared once: terminal tables, pages and the study read from here how it is called, in what
 * it is counted, which way is better and what it means.
 */
import type { Summary } from "./summary.ts";

/** A number that is measured of a model. */
export interface Figure {
  /** Its field in a {@linkcode Summary}. */
  readonly key: keyof Summary;
  /** Its name on pages. */
  readonly title: string;
  /** Its name in a table of many columns. */
  readonly short: string;
  /** What it is counted in, for a reader: "%" for a share. */
  readonly unit: string;
  /** Which way is better; absent where neither is. */
  readonly better?: "higher" | "lower";
  /** Digits after the point, of a percentage for a share. */
  readonly digits: number;
  /** Whether it is a share, from 0 to 1, and shown as a percentage. */
  readonly percent?: boolean;
  /** Whether it is left out of tables that compare models: it stands where one model is measured. */
  readonly single?: boolean;
  /** One or two sentences without jargon. */
  readonly meaning: string;
}

const share = { unit: "%", percent: true, digits: 1 } as const;
const score = { unit: "nats/token", digits: 3 } as const;

/** Every figure, in the order of tables. */
export const summaryFigures = {
  accuracy: {
    key: "accuracy",
    title: "Accuracy",
    short: "accuracy",
    ...share,
    better: "higher",
    meaning: "Share of questions whose greedy answer (always the likeliest next token) is right.",
  },
  strict_accuracy: {
    key: "strict_accuracy",
    title: "Strict accuracy",
    short: "strict",
    ...share,
    better: "higher",
    single: true,
    meaning:
      "The same where only an answer written as `#### 72` counts, and as a text: the strict-match of " +
      "lm-evaluation-harness.",
  },
  flexible_accuracy: {
    key: "flexible_accuracy",
    title: "Flexible accuracy",
    short: "flexible",
    ...share,
    better: "higher",
    single: true,
    meaning:
      "The same where the last number of the text counts: the flexible-extract of lm-evaluation-harness.",
  },
  majority_accuracy: {
    key: "majority_accuracy",
    title: "maj@k",
    short: "maj@k",
    ...share,
    better: "higher",
    meaning: "The same when the model answers k times at random and the most frequent answer counts.",
  },
  sampled_accuracy: {
    key: "sampled_accuracy",
    title: "pass@1",
    short: "pass@1",
    ...share,
    better: "higher",
    single: true,
    meaning:
      "Share of right answers when the model answers at random, as for maj@k, and every sample counts: less chance is in " +
      "it than in one greedy answer.",
  },
  option_accuracy: {
    key: "option_accuracy",
    title: "Letters",
    short: "options",
    ...share,
    better: "higher",
    meaning: "Share of questions with options whose right letter is the likeliest of the letters.",
  },
  assessment_accuracy: {
    key: "assessment_accuracy",
    title: "Assessment accuracy",
    short: "assessment",
    ...share,
    better: "higher",
    meaning:
      "How well the model tells right from wrong: the share of (right, wrong) pairs of candidates of one " +
      "question in which it finds the right one likelier. Guessing gives 50%.",
  },
  perplexity: {
    key: "perplexity",
    title: "Perplexity",
    short: "perplexity",
    unit: "of references",
    digits: 3,
    better: "lower",
    meaning:
      "How surprised the model is by the reference solutions: 1 is not at all; 2 is like a coin toss at " +
      "every token.",
  },
  positives: {
    key: "positives",
    title: "Right candidates",
    short: "score +",
    ...score,
    meaning:
      "Mean score of right candidates. A candidate's score is its mean log-prob per token: 0 is certain, more " +
      "negative is less likely.",
  },
  negatives: {
    key: "negatives",
    title: "Wrong candidates",
    short: "score −",
    ...score,
    meaning:
      "The same of wrong candidates. If both fall far, the model forgets how to write, however good the margin.",
  },
  margin: {
    key: "margin",
    title: "Margin",
    short: "margin",
    ...score,
    better: "higher",
    meaning:
      "Right candidates' mean score − wrong candidates' mean score. Above 0, right chains of thought are " +
      "the likelier ones on the whole.",
  },
  no_end_token: {
    key: "no_end_token",
    title: "Broke off",
    short: "broke off",
    ...share,
    better: "lower",
    meaning: "Share of greedy answers that reached the length limit without an end.",
  },
} as const satisfies { readonly [K in keyof Summary]?: Figure & { readonly key: K } };

/** A figure's name in {@linkcode summaryFigures}. */
export type FigureKey = keyof typeof summaryFigures;
