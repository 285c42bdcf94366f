import { constraintAlignment } from "./_constraint_alignment.ts";
import { readMerits, readScores } from "./_group.ts";
import { alignmentBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Constraint-alignment loss of one question with ranked candidates (AFT, arXiv 2309.02144). Over the pairs i ≻ j,
 * candidate i of a better (lower) rank, or a higher reward, than j:
 *
 *   none   L = log(1 + Σ_{i≻j} exp(s_j − s_i))
 *   dc     L = log(1 + Σ_{i≻j} exp(D(s_j) − s_i))
 *   bc     L = log(1 + Σ_{i≻j} [exp(s_j − s_i) + exp(T_ij − s_j)]),   T_ij = 2B_j − s_i,   B_j = min_{i≻j} s_i − β
 *
 * D stops the gradient; B_j and T_ij are constants in the derivative. Equal ranks make no pair; two tiers give
 * `aft`. Scores and β are in nats per token. A group of one tier gives 0.
 *
 * @throws {InputError} when the group has neither ranks nor rewards
 */
export const aftRank: ObjectiveSpec<"beta"> = {
  name: "aft-rank",
  title: "Alignment fine-tuning, ranked",
  feedback: ["ranks", "rewards"],
  constraints: ["none", "dc", "bc"],
  boundary: "beta",
  trainingConstraint: "dc",
  addsVft: true,
  options: {
    beta: alignmentBeta,
  },
  loss(group, chosen) {
    const scores = readScores(group);
    const merits = readMerits(group, { objective: "aft-rank", accepted: aftRank.feedback });
    return constraintAlignment(scores, merits, chosen);
  },
};
