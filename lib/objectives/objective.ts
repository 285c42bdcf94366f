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
  /**
   * Log-prob of every token of each candidate's response, in nats: what an objective that says `needsTokens` gets beside the
   * scores, which are their means.
   */
  readonly tokens?: readonly ArrayLike<number>[];
  /** Labels: whether each candidate reaches the answer. */
  readonly correct?: readonly boolean[] | undefined;
  /** Ranks: 1 is best, a higher number is worse, equal numbers are a tie. */
  readonly rank?: readonly number[] | undefined;
  /** Rewards: higher is better, equal numbers are a tie. */
  readonly reward?: readonly number[] | undefined;
  /** Summed log-prob of each candidate under the reference model, in nats (`logprob` in the JSONL). */
  readonly referenceLogprobs?: ArrayLike<number> | undefined;
  /**
   * Index of the reference response, if it is among the candidates. It counts as correct whatever `correct`
   * says, and leads a tie for the best.
   */
  readonly reference?: number | undefined;
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

/** A number that an objective may be given. */
export interface NumberOption {
  /** The value when none is given. */
  readonly default: number;
  /** The smallest value that has a meaning. */
  readonly min?: number;
  /** The value must be above this one. */
  readonly above?: number;
  /** The value must be below this one. */
  readonly below?: number;
  /** The only values that have a meaning: [0, 1] of a switch. */
  readonly oneOf?: readonly number[];
  /** Whether Infinity has a meaning: a boundary that lies infinitely far below never acts. */
  readonly infinite?: boolean;
  /** What it counts: "nats per token". */
  readonly unit?: string;
  /** What it does, in a few words: for `--help` and tables. */
  readonly help: string;
}

/** The loss of one question and its derivative with respect to each score. */
export interface ObjectiveResult {
  /** The loss; finite for every group of valid numbers. */
  readonly value: number;
  /** ∂value/∂scores, one entry a candidate. */
  readonly gradient: Float64Array;
  /**
   * ∂value/∂tokens, a list a candidate with one entry a token, from an objective that says `needsTokens`. It is added to what
   * the scores' derivatives give each token, so what a token acts by as part of a score must not be in it again.
   */
  readonly tokenGradient?: readonly Float64Array[];
}

/** A kind of feedback, and the field of a group that holds it: `correct`, `rank` or `reward`. */
export type Feedback = "labels" | "ranks" | "rewards";

/** An objective, whatever its options are: what `train` takes. {@linkcode ObjectiveSpec} types them. */
export interface Objective {
  /** The word that `--objective` takes. */
  readonly name: string;
  /** What it is, in one line. */
  readonly title: string;
  /**
   * The kinds of feedback that serve, in order of preference: the first that the group has is used, and a group
   * with none of them is refused. Empty where no feedback is needed.
   */
  readonly feedback: readonly Feedback[];
  /** Whether every candidate must carry its log-prob under the reference model (default false). */
  readonly needsReferenceLogprobs?: boolean;
  /** Whether it asks for the log-prob of each token, and may return a derivative for each (default false). */
  readonly needsTokens?: boolean;
  /** The constraints that have a meaning here (default "none" alone: it compares no candidates). */
  readonly constraints?: readonly Constraint[];
  /** The constraint that training uses unless told otherwise (default "none"). */
  readonly trainingConstraint?: Constraint;
  /** The option that is the boundary's distance with `bc` (default "boundary"). */
  readonly boundary?: string;
  /**
   * Whether `bc` changes anything (default true). Not where a pair acts only while the worse candidate is the likelier: it
   * is above every boundary then.
   */
  readonly boundaryActs?: boolean;
  /**
   * Whether the trainer adds the VFT term (−s of the reference), because the objective has no likelihood term; a number is
   * its weight.
   */
  readonly addsVft?: boolean | number;
  /**
   * What a batch's loss is averaged over (default "questions"). With "tokens" it is the likelihood of all tokens that are
   * trained on, and `loss` is not asked for in training.
   */
  readonly averages?: "questions" | "tokens";
  /**
   * Which responses of a record are trained on (default "candidates": all, and the reference among them): all without the
   * reference, which the model did not sample; the reference alone; or the reference and the right candidates whose equations
   * hold.
   */
  readonly trainsOn?: "candidates" | "samples" | "reference" | "rejection samples";
  /**
   * What a group must hold to teach anything (default "pair": a better and a worse candidate): a right one, a wrong one, or
   * any. A set of groups in which none does is refused.
   */
  readonly learnsFrom?: "pair" | "right" | "wrong" | "any";
  /** Its options by name; each has a flag of that name. */
  readonly options: Readonly<Record<string, NumberOption>>;
  /**
   * The loss of one question, with every option filled in. A group without candidates, and for an objective that
   * compares candidates a group without a pair to compare, gives 0 and a gradient of zeros.
   *
   * @throws {InputError} when the group lacks what the objective needs, or holds numbers that are none
   */
  loss(group: ScoredGroup, options: never): ObjectiveResult;
}

/**
 * An objective, all of it: what it needs, its options and its function. From it follow the choices, flags and help of the
 * command line, the checks of options, what a trainer puts into a group, and what a run directory keeps.
 *
 * A new one is one file with such an object and one line in the table of `objectives.ts`; `train` takes one that is in no
 * table, too:
 *
 * ```ts
 * import type { ObjectiveSpec } from "./mod.ts";
 *
 * const hinge: ObjectiveSpec<"margin"> = {
 *   name: "hinge",
 *   title: "Every right candidate above every wrong one by a margin",
 *   feedback: ["labels"],
 *   options: { margin: { default: 0.5, min: 0, unit: "nats per token", help: "Distance asked for" } },
 *   loss({ scores, correct = [] }, { margin }) {
 *     const gradient = new Float64Array(scores.length);
 *     let value = 0;
 *     for (let p = 0; p < scores.length; p++) {
 *       for (let n = 0; n < scores.length; n++) {
 *         const gap = margin - (scores[p] - scores[n]);
 *         if (!correct[p] || correct[n] || gap <= 0) continue;
 *         value += gap;
 *         gradient[p] -= 1;
 *         gradient[n] += 1;
 *       }
 *     }
 *     return { value, gradient };
 *   },
 * };
 * console.log(hinge.name);
 * ```
 *
 * @typeParam Option names of its options
 */
export interface ObjectiveSpec<Option extends string> extends Objective {
  /** Its options by name. */
  readonly options: { readonly [K in Option]: NumberOption };
  /** The loss of one question, with every option filled in. */
  loss(
    group: ScoredGroup,
    options: { readonly constraint: Constraint } & { readonly [K in Option]: number },
  ): ObjectiveResult;
}
