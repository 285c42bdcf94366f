import { InputError } from "../runtime/errors.ts";
import { readScores } from "./_group.ts";
import type { ObjectiveSpec } from "./objective.ts";

/**
 * Vanilla fine-tuning: the likelihood of the reference response.
 *
 *   L = −s_ref
 *
 * in nats per token; the reference is the candidate at `reference`, or the only candidate. The average over the
 * tokens of a batch (Σ |c|·L / Σ |c|) is the trainer's. Source: AFT (arXiv 2309.02144), L_VFT.
 *
 * @throws {InputError} when several candidates are given and none is named as the reference
 */
export const vft: ObjectiveSpec<never> = {
  name: "vft",
  title: "Vanilla fine-tuning on the reference",
  feedback: [],
  averages: "tokens",
  trainsOn: "reference",
  options: {},
  loss(group) {
    const scores = readScores(group);
    const gradient = new Float64Array(scores.length);
    if (scores.length === 0) return { value: 0, gradient };
    const reference = group.reference ?? (scores.length === 1 ? 0 : undefined);
    if (reference === undefined) {
      throw new InputError(
        `Cannot use a group with objective vft: expected a reference: got ${scores.length} candidates and none named`,
      );
    }
    gradient[reference] = -1;
    return { value: -scores[reference], gradient };
  },
};
