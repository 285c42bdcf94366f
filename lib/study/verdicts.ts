/** What becomes of the claims of a study, all taken together. */

import type { Claim, Outcome } from "../report/study.ts";
import { holm } from "./holm.ts";

/**
 * Settles every claim that has an estimate. Held or not: where Holm's p over the family of all of them is at most 0.05, by
 * the sign. Otherwise it is smaller than d, the farther end of its 95% interval, where d is at most what matters; and
 * unclear where the interval leaves room for more.
 */
export function settle(outcomes: readonly Outcome[]): Outcome[] {
  const family = outcomes.flatMap(({ claims }) => claims.filter(({ estimate }) => estimate !== undefined));
  const adjusted = new Map(
    holm(family.map(({ estimate }) => estimate!.p)).map((p, i) => [family[i]!, p] as const),
  );
  return outcomes.map((outcome) => ({
    ...outcome,
    claims: outcome.claims.map((claim) => settled(claim, adjusted.get(claim))),
  }));
}

function settled(claim: Claim, p: number | undefined): Claim {
  const { estimate, matters } = claim;
  if (estimate === undefined || p === undefined) return claim;
  const { difference, low, high } = estimate;
  const below = Math.max(Math.abs(low), Math.abs(high));
  const held = p <= 0.05
    ? difference > 0 ? "yes" : "no"
    : matters !== undefined && below <= matters
    ? "smaller"
    : "unclear";
  return { ...claim, held, estimate: { ...estimate, adjusted: p } };
}
