/**
 * A group's fields, checked as they are read: everything behind this file may trust its numbers.
 */
import { InputError } from "../runtime/errors.ts";
import { feedbackFields, feedbackKinds, kindUsed } from "./feedback.ts";
import type { Feedback, ScoredGroup } from "./objective.ts";

/**
 * The lowest score, in nats per token. Far below what float32 log-softmax gives for any real model, and small
 * enough that its square, or its product with a length, is finite: so differences, sums and exponents of two
 * scores never are ∞ − ∞.
 */
const floor = -1e6;

function requireLength(field: string, found: number, expected: number): void {
  if (found === expected) return;
  throw new InputError(
    `Cannot use field "${field}" of a group: expected one entry for each of ${expected} scores: got ${found}`,
  );
}

function requireNumber(field: string, index: number, value: number): void {
  if (Number.isFinite(value)) return;
  throw new InputError(
    `Cannot use field "${field}" of candidate ${index}: expected a finite number: got ${value}`,
  );
}

/** The scores in nats per token, −∞ lifted to the floor; NaN and +∞, there or in the lengths, are refused. */
export function readScores(group: ScoredGroup): Float64Array {
  const scores = Float64Array.from(group.scores);
  requireLength("lengths", group.lengths.length, scores.length);
  for (let i = 0; i < scores.length; i++) {
    if (!(scores[i] < Infinity)) requireNumber("scores", i, scores[i]);
    requireNumber("lengths", i, group.lengths[i]);
    scores[i] = Math.max(scores[i], floor);
  }
  const { reference } = group;
  if (reference !== undefined && !(Number.isInteger(reference) && reference in scores)) {
    throw new InputError(
      `Cannot use field "reference" of a group: expected an index below ${scores.length}: got ${reference}`,
    );
  }
  return scores;
}

/** Which kinds of feedback a group carries. */
export function feedbackOf(group: ScoredGroup): Feedback[] {
  return feedbackKinds.filter((kind) => group[feedbackFields[kind]] !== undefined);
}

/**
 * One number a candidate, higher is better, from the first accepted kind of feedback that the group has: 1 or 0
 * for labels, −rank for ranks, the reward itself. Equal merits are a tie.
 *
 * @throws {InputError} when the group has none of the accepted kinds, or a value that is no number
 */
export function readMerits(
  group: ScoredGroup,
  options: { readonly objective: string; readonly accepted: readonly Feedback[] },
): Float64Array {
  const { objective, accepted } = options;
  const found = feedbackOf(group);
  const kind = kindUsed(accepted, (kind) => found.includes(kind));
  const count = group.scores.length;
  if (kind === undefined) {
    if (count === 0) return new Float64Array(0);
    const wanted = accepted.map((kind) => `${kind} ("${feedbackFields[kind]}")`).join(" or ");
    const got = found.map((kind) => `${kind} ("${feedbackFields[kind]}")`).join(" and ") || "no feedback";
    throw new InputError(
      `Cannot use a group with objective ${objective}: expected ${wanted} for every candidate: got ${got}`,
    );
  }
  const field = feedbackFields[kind];
  requireLength(field, group[field]!.length, count);
  const merits = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    if (kind === "labels") {
      merits[i] = group.correct![i] || i === group.reference ? 1 : 0;
    } else {
      merits[i] = kind === "ranks" ? -group.rank![i] : group.reward![i];
      requireNumber(field, i, merits[i]);
    }
  }
  return merits;
}

/**
 * The best candidate: of those with the highest merit the reference if it is one of them, otherwise the first.
 * −1 for an empty group.
 */
export function bestOf(merits: Float64Array, reference: number | undefined): number {
  let best = merits.length === 0 ? -1 : 0;
  for (let i = 1; i < merits.length; i++) if (merits[i] > merits[best]) best = i;
  return reference !== undefined && merits[reference] === merits[best] ? reference : best;
}

/**
 * The summed log-probs under the reference model, in nats, −∞ lifted to the floor a token.
 *
 * @throws {InputError} when they, or one of them, are missing
 */
export function readReferenceLogprobs(group: ScoredGroup, objective: string): Float64Array {
  const count = group.scores.length;
  const given = group.referenceLogprobs;
  // A null from JSON compares as 0, so the type is asked first; the comparison refuses NaN and +∞.
  const present = (i: number) => typeof given?.[i] === "number" && given[i] < Infinity;
  const result = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    if (!present(i)) {
      throw new InputError(
        `Cannot use a group with objective ${objective}: candidate ${i} has no field "logprob" from the ` +
          "reference model",
        { code: "no-reference-logprobs", fields: { objective } },
      );
    }
    result[i] = Math.max(given![i], floor * group.lengths[i]);
  }
  if (given !== undefined) requireLength("referenceLogprobs", given.length, count);
  return result;
}
