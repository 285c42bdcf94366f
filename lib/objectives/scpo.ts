import { bestOf, readMerits, readReferenceLogprobs, readScores } from "./_group.ts";
import { constrainWorse } from "./_pairs.ts";
import { sigmoid, softplus } from "./_stable.ts";
import { boundary, referenceBeta, sftWeight } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Self-consistency preference optimization (ScPO, Prasad et al. 2024, arXiv 2411.04109): no answers are needed. The response
 * w with most votes against the one with fewest, l, weighted by how clear the vote is.
 *
 *   L = (v_w − v_l) [−log σ(β (h_w − h_l)) − α s_w],   h = |c| s − log π_ref(c)
 *
 * v, the reward, is the share of a question's samples that come to the same answer, as `score --label majority` writes it. h
 * in nats, summed over the response; s in nats per token; α is `sftWeight`. Of a tie w and l are
 * the first. A constraint acts on s_l. Equal shares give 0. The formula is from an account of the paper.
 *
 * @throws {InputError} when the group has no rewards, or lacks reference log-probs
 */
export const scpo: ObjectiveSpec<"beta" | "boundary" | "sftWeight"> = {
  name: "scpo",
  title: "Self-consistency preference optimization, weighted by votes",
  feedback: ["rewards"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  trainsOn: "samples",
  options: {
    beta: { ...referenceBeta, default: 0.5 },
    boundary,
    sftWeight,
  },
  loss(group, { constraint, beta, boundary, sftWeight }) {
    const scores = readScores(group);
    const shares = readMerits(group, { objective: "scpo", accepted: scpo.feedback });
    const reference = readReferenceLogprobs(group, "scpo");
    const gradient = new Float64Array(scores.length);
    const w = bestOf(shares, undefined);
    const l = bestOf(shares.map((share) => -share), undefined);
    if (w < 0 || shares[w] === shares[l]) return { value: 0, gradient };
    const worse = constrainWorse(scores, shares, { constraint, boundary });
    const weight = shares[w]! - shares[l]!;
    const margin = beta *
      (scores[w]! * group.lengths[w]! - reference[w]! -
        (worse.scores[l]! * group.lengths[l]! - reference[l]!));
    const slope = beta * sigmoid(-margin);
    gradient[w] = -weight * (slope * group.lengths[w]! + sftWeight);
    gradient[l] = weight * slope * group.lengths[l]! * worse.slopes[l]!;
    return { value: weight * (softplus(-margin) - sftWeight * scores[w]!), gradient };
  },
};
