import { constraintAlignment } from "./_constraint_alignment.ts";
import { readMerits, readScores } from "./_group.ts";
import { resolveOptions } from "./_options.ts";
import type { ObjectiveOptions, ObjectiveResult, ObjectiveTraits, ScoredGroup } from "./objective.ts";

/** What `aft` needs: labels. The trainer adds the VFT term. */
export const aftTraits: ObjectiveTraits = {
  feedback: ["labels"],
  needsReferenceLogprobs: false,
  constraints: ["none", "dc", "bc"],
  trainingConstraint: "dc",
  addsVft: true,
  defaults: { constraint: "none", beta: 0.2 },
};

/**
 * Constraint-alignment loss of one question with right and wrong candidates, p and n (AFT, arXiv 2309.02144).
 *
 *   none   L = log(1 + Σ_p Σ_n exp(s_n − s_p))
 *   dc     L = log(1 + Σ_p Σ_n exp(D(s_n) − s_p))
 *   bc     L = log(1 + Σ_p Σ_n [exp(s_n − s_p) + exp(T_p − s_n)]),   T_p = 2B − s_p,   B = min_p s_p − β
 *
 * D stops the gradient; B and T are constants in the derivative (with a live minimum the weakest positive would
 * be pushed down). With `bc` the derivative of s_n is 0 exactly at s_n = B, positive above and negative below;
 * β → ∞ gives `none`. Scores and β are in nats per token. The value is L_A alone, without the VFT term; a group
 * that lacks a positive or a negative gives 0.
 *
 * @throws {InputError} when the group has no labels
 */
export function aft(group: ScoredGroup, options: ObjectiveOptions = {}): ObjectiveResult {
  const chosen = resolveOptions("aft", aftTraits, options);
  const scores = readScores(group);
  const merits = readMerits(group, { objective: "aft", accepted: aftTraits.feedback });
  return constraintAlignment(scores, merits, chosen);
}
