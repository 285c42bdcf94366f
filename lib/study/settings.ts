/** The sizes of a study: everything that decides what its cells are. */

import type { AlignEvaluation } from "../pipeline/align_evaluation.ts";

/** What a method starts from. */
export type Start = "vft" | "base";

/**
 * What is measured of every model of a study while it trains, on a share of its own training questions, and what is done
 * with it: `keepBest` and `patience` decide which model a cell has.
 */
export type StudyEvaluation = Omit<AlignEvaluation, "data" | "limit">;

/** What a study was asked to do. Two runs with the same settings share all cells. */
export interface StudySettings {
  /** Directory of the base model. */
  readonly model: string;
  /** The data sets of the binary experiments; the first serves where one is enough. */
  readonly data: readonly string[];
  /** The data set whose candidates carry ranks. */
  readonly rankedData: string;
  /** A file of questions with labelled candidates, for the experiment folds. */
  readonly groups?: string | undefined;
  /**
   * What methods start from: `vft`, the VFT model of the seed, which they go on training at the alignment's rate; `base`,
   * the base model, which they train as long and as fast as VFT does, references and candidates together (L_VFT + L_A).
   */
  readonly start: Start;
  /** Objectives, as tables have them, that are compared; without them all. */
  readonly methods: readonly string[];
  /** Every cell is made with each of them. */
  readonly seeds: readonly number[];
  /** Training and test problems of a data set. */
  readonly limit: number;
  readonly testLimit: number;
  /** Samples of every test problem for pass@1; 0 for none. */
  readonly testSamples: number;
  /** Candidates a question, their temperature, and their longest length in tokens. */
  readonly samples: number;
  readonly temperature: number;
  readonly maxTokens: number;
  /** Passes of VFT, and of every method after it. */
  readonly epochs: number;
  readonly alignEpochs: number;
  readonly learningRate: number;
  readonly alignLearningRate: number;
  readonly batchSize: number;
  /** What is measured of every model while it trains; absent for nothing. */
  readonly evaluation?: StudyEvaluation | undefined;
  /** Width of AFT-BC's boundary, in nats per token. */
  readonly beta: number;
  /** Checkpoints that the pilot measures. */
  readonly checkpoints: number;
  /** Experiment with and without constraints: methods, constraints, passes, measurements on the way. */
  readonly constraintMethods: readonly string[];
  readonly constraintEpochs: number;
  readonly constraintProbes: number;
  /** Test problems, the first, that have candidates to assess, and that are voted on. */
  readonly judged: number;
  /** Samples of maj@k; k are 1 and its doubles up to this. */
  readonly votes: number;
  /** The values that the sweeps go through. */
  readonly betas: readonly number[];
  readonly sampleCounts: readonly number[];
  /** Shares of flipped labels; shares of own candidates among ranked ones, and boundaries' widths there. */
  readonly flipped: readonly number[];
  readonly ownShares: readonly number[];
  readonly rankedBetas: readonly number[];
}

/** The objectives of the experiments main, ranked and constraints. */
export const comparedMethods: readonly string[] = ["VFT", "RFT", "RRHF", "PRO", "DPO", "AFT"];

/** Settings that `--quick` and the full study differ in beside the command line's options. */
export type StudyShape = Pick<
  StudySettings,
  | "checkpoints"
  | "constraintMethods"
  | "constraintEpochs"
  | "constraintProbes"
  | "judged"
  | "votes"
  | "betas"
  | "sampleCounts"
  | "flipped"
  | "ownShares"
  | "rankedBetas"
>;

/** The paper's experiments. */
export const fullShape: StudyShape = {
  checkpoints: 8,
  constraintMethods: ["aft", "rrhf", "pro", "dpo"],
  constraintEpochs: 3,
  constraintProbes: 6,
  judged: 500,
  votes: 16,
  betas: [0, 0.05, 0.1, 0.2, 0.4, 0.8],
  sampleCounts: [2, 4, 6, 8],
  flipped: [0, 0.1, 0.2, 0.3],
  ownShares: [0, 0.5, 1],
  rankedBetas: [0, 0.1, 0.2, 0.4, 0.8, 1.6],
};

/** The same experiments with the fewest cells that still make tables and plots: for tests. */
export const quickShape: StudyShape = {
  checkpoints: 3,
  constraintMethods: ["rrhf"],
  constraintEpochs: 2,
  constraintProbes: 2,
  judged: 500,
  votes: 2,
  betas: [0.1, 0.4],
  sampleCounts: [1, 2],
  flipped: [0, 0.3],
  ownShares: [0.5],
  rankedBetas: [0.2],
};
