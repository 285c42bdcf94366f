/** Rewards that the records bring: people's ratings. */

import type { RewardSource } from "./rank.ts";

/**
 * Ratings already in the record, as `reward` (`normalizeRecord` makes it of a candidate's `score` that comes without
 * `logprob`, and of `scores` beside `responses`). They stay as they are; only their order within a group counts.
 */
export const ratings: RewardSource = {
  name: "ratings",
  missing: 'a rating (field "reward", or "score" without "logprob")',
  rewards: (group) => group.candidates.map(({ reward }) => reward),
};
