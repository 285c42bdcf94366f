import { constraintAlignment } from "./_constraint_alignment.ts";
import { readMerits, readScores } from "./_group.ts";
import { alignmentBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

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
export const aft: ObjectiveSpec<"beta"> = {
  name: "aft",
  title: "Alignment fine-tuning, right against wrong",
  feedback: ["labels"],
  constraints: ["none", "dc", "bc"],
  boundary: "beta",
  trainingConstraint: "dc",
  addsVft: true,
  options: {
    beta: alignmentBeta,
  },
  loss(group, chosen) {
    const scores = readScores(group);
    const merits = readMerits(group, { objective: "aft", accepted: aft.feedback });
    return constraintAlignment(scores, merits, chosen);
  },
};
