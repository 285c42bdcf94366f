import { meanOverRatioPairs } from "./_ratio_pairs.ts";
import { smoothedLoss } from "./_stable.ts";
import { boundary, labelSmoothing } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Length-normalised direct preference optimization (Tülu 3, Lambert et al. 2024, arXiv 2411.15124; `sigmoid_norm` in TRL),
 * mean over the pairs w ≻ l.
 *
 *   L = mean_{w≻l} −(1 − ε) log σ(z) − ε log σ(−z),   z = β (h_w − h_l),   h = s − log π_ref(c) / |c|
 *
 * h in nats per token, so that a longer response is no stronger for its length, and β is 5 where DPO's is 0.1. ε is
 * `labelSmoothing`. A constraint acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const dpoNorm: ObjectiveSpec<"beta" | "boundary" | "labelSmoothing"> = {
  name: "dpo-norm",
  title: "Length-normalised direct preference optimization",
  feedback: ["labels", "ranks", "rewards"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  options: {
    beta: {
      default: 5,
      above: 0,
      unit: "per nat of mean log-prob",
      help: "Strength of the tie to the reference model",
    },
    boundary,
    labelSmoothing,
  },
  loss(group, { constraint, beta, boundary, labelSmoothing }) {
    const options = { objective: dpoNorm, constraint, boundary, perToken: true };
    return meanOverRatioPairs(group, options, (better, worse) => {
      const { value, slope } = smoothedLoss(beta * (better - worse), labelSmoothing);
      return { value, better: beta * slope, worse: -beta * slope };
    });
  },
};
