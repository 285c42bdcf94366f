/**
 * What an objective is: a pure function of one question's numbers. No tensor, no model.
 *
 * One question has n candidates; every array of a group has one entry a candidate, in the same order.
 */

/** The candidates of one question, as numbers. */
export interface ScoredGroup {
  /**
   * Score of each candidate: the mean log-prob of its response's tokens, in nats per token, end token included.
   * A score under −1e6 (−∞ too) counts as −1e6, so that no difference of two scores is NaN.
   */
  readonly scores: ArrayLike<number>;
  /** Tokens of each response, so that `scores[i] · lengths[i]` is its summed log-prob. */
  readonly lengths: ArrayLike<number>;
  /** Labels: whether each candidate reaches the answer. */
  readonly correct?: readonly boolean[];
  /** Ranks: 1 is best, a higher number is worse, equal numbers are a tie. */
  readonly rank?: readonly number[];
  /** Rewards: higher is better, equal numbers are a tie. */
  readonly reward?: readonly number[];
  /** Summed log-prob of each candidate under the reference model, in nats (`logprob` in the JSONL). */
  readonly referenceLogprobs?: ArrayLike<number>;
  /**
   * Index of the reference response, if it is among the candidates. It counts as correct whatever `correct`
   * says, and leads a tie for the best.
   */
  readonly reference?: number;
}

/**
 * What keeps an objective from pushing the worse candidates of its pairs down without end.
 *
 * - `none`: nothing does.
 * - `dc`, detached constraint: the worse candidate's score is a constant, so it gets no gradient.
 * - `bc`, boundary constraint: the worse candidate n is pushed down no further than the boundary
 *   B_n = min (scores of the candidates better than n) − β. AFT pulls it up again from below; every other
 *   objective replaces its score by max(s_n, B_n). B_n is a constant in the derivative.
 */
export type Constraint = "none" | "dc" | "bc";

/** What a user may choose. Each objective reads the options that stand in its traits' `defaults`, with those defaults. */
export interface ObjectiveOptions {
  /** Default `none`, for every objective. */
  readonly constraint?: Constraint;
  /**
   * The objective's own β. `aft` and `aft-rank`: the boundary's distance below the weakest better candidate, in
   * nats per token, used with `bc` (default 0.2). `dpo`, `ipo`, `kto`, `irpo`: strength of the tie to the
   * reference model, per nat of summed log-prob (default 0.1). `simpo`: scale of the margin (default 2.5).
   */
  readonly beta?: number;
  /** Every objective but `aft` and `aft-rank`: the boundary's distance with `bc`, in nats per token. Default 0.2. */
  readonly boundary?: number;
  /** `simpo`: target margin γ. Default 0.5. */
  readonly gamma?: number;
  /** `orpo`: weight λ of the odds-ratio term. Default 0.2. */
  readonly lambda?: number;
  /** `rrhf`: weight of the ranking term. Default 1. */
  readonly weight?: number;
  /** Weight of the likelihood term: `pro` −s of the best (default 0.05), `irpo` −s of the better one (default 1). */
  readonly sftWeight?: number;
  /** `kto`: weight λ_D of the correct candidates. Default 1. */
  readonly desirableWeight?: number;
  /** `kto`: weight λ_U of the wrong candidates. Default 1. */
  readonly undesirableWeight?: number;
}

/** The loss of one question and its derivative with respect to each score. */
export interface ObjectiveResult {
  /** The loss; finite for every group of valid numbers. */
  readonly value: number;
  /** ∂value/∂scores, one entry a candidate. */
  readonly gradient: Float64Array;
}

/**
 * The loss of one question. A group without candidates, and for an objective that compares candidates a group
 * without a pair to compare, gives 0 and a gradient of zeros (`rrhf` and `pro` keep their likelihood term).
 *
 * @throws {InputError} when the group lacks what the objective needs, or holds numbers that are none
 * @throws {UsageError} when an option has no meaning
 */
export type Objective = (group: ScoredGroup, options?: ObjectiveOptions) => ObjectiveResult;

/** A kind of feedback, and the field of a group that holds it: `correct`, `rank` or `reward`. */
export type Feedback = "labels" | "ranks" | "rewards";

/** What a trainer or a command line has to know of an objective. */
export interface ObjectiveTraits {
  /**
   * The kinds of feedback that serve, in order of preference: the first that the group has is used, and a group
   * with none of them is refused. Empty where no feedback is needed.
   */
  readonly feedback: readonly Feedback[];
  /** Whether every candidate must carry its log-prob under the reference model. */
  readonly needsReferenceLogprobs: boolean;
  /** The constraints that have a meaning here. */
  readonly constraints: readonly Constraint[];
  /** The constraint that training uses unless told otherwise. */
  readonly trainingConstraint: Constraint;
  /** Whether the trainer adds the VFT term (−s of the reference), because the objective has no likelihood term. */
  readonly addsVft: boolean;
  /** The options that the objective reads, with their defaults: any other option has no effect. */
  readonly defaults: ObjectiveOptions;
}
