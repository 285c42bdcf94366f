import { meanOverRatioPairs } from "./_ratio_pairs.ts";
import { boundary, referenceBeta } from "./_shared_options.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Identity preference optimization (IPO, Azar et al. 2023, arXiv 2310.12036), mean over the pairs w ≻ l.
 *
 *   L = mean_{w≻l} (h_w − h_l − 1/(2β))²,   h = s − log π_ref(c) / |c|
 *
 * h in nats per token: the authors' own experiments, and TRL after them, average log-ratios over tokens, since sums of long
 * responses are far from 1/(2β) whatever the model says. With `perToken` 0, h = |c| s − log π_ref(c), in nats. A
 * constraint acts on s_l. No pair gives 0.
 *
 * @throws {InputError} when the group has no feedback, or lacks reference log-probs
 */
export const ipo: ObjectiveSpec<"beta" | "boundary" | "perToken"> = {
  name: "ipo",
  title: "Identity preference optimization",
  feedback: ["labels", "ranks", "rewards"],
  needsReferenceLogprobs: true,
  constraints: ["none", "dc", "bc"],
  options: {
    beta: referenceBeta,
    boundary,
    perToken: {
      default: 1,
      oneOf: [0, 1],
      help: "1: log-ratios are means over tokens, as published; 0: sums",
    },
  },
  loss(group, { constraint, beta, boundary, perToken }) {
    const options = { objective: ipo, constraint, boundary, perToken: perToken === 1 };
    return meanOverRatioPairs(group, options, (better, worse) => {
      const error = better - worse - 1 / (2 * beta);
      return { value: error * error, better: 2 * error, worse: -2 * error };
    });
  },
};
