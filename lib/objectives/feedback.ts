/** Kinds of feedback: which there are, where they stand, and which of several is used. */

import type { Feedback } from "./objective.ts";

/** The field of a candidate, and of a group, that holds each kind. */
export const feedbackFields = { labels: "correct", ranks: "rank", rewards: "reward" } as const;

/** Every kind. */
export const feedbackKinds: readonly Feedback[] = ["labels", "ranks", "rewards"];

/** The kind that is used: the first of those accepted that is there. */
export function kindUsed(
  accepted: readonly Feedback[],
  isThere: (kind: Feedback) => boolean,
): Feedback | undefined {
  return accepted.find(isThere);
}

/** A candidate's feedback of one kind as a number that is higher for better: 1 or 0, −rank, the reward. */
export function meritOf(
  kind: Feedback,
  candidate: {
    readonly correct?: boolean | undefined;
    readonly rank?: number | undefined;
    readonly reward?: number | undefined;
  },
): number | undefined {
  const value = candidate[feedbackFields[kind]];
  return value === undefined ? undefined : kind === "ranks" ? -Number(value) : Number(value);
}
