/** What becomes of candidates before a method learns from them: for the experiments about feedback that is not perfect. */

import { Random } from "../data/random.ts";
import type { Group } from "../data/records.ts";
import { withRewards } from "../feedback/rank.ts";
import { stepRewards } from "../feedback/rank_steps.ts";
import { isSound } from "./soundness.ts";

/** Which model a question's candidates are of: the seed's own VFT model, one of another seed, or another training. */
export type Sampler = "own" | "another seed" | "weaker" | "stronger";

/** How candidates differ from what the VFT model wrote and the answers say. */
export interface CandidateChange {
  /** Only so many of a question's candidates, the first. */
  readonly first?: number;
  /** Share of labels that are flipped. */
  readonly flipped?: number;
  /** What makes a candidate right: its answer (default), its answer by sound steps, or ranks by `score --rank steps`. */
  readonly labels?: "answers" | "sound steps" | "step ranks";
  /** Whose they are (default "own"). */
  readonly sampler?: Sampler;
  /** Share of the VFT model's own among those of a data set that brings candidates; all are ranked by their steps. */
  readonly own?: number;
}

/** Groups with their labels changed; each choice follows from the seed and the group's id alone. */
export async function* changed(
  groups: AsyncIterable<Group>,
  { first, flipped = 0, labels = "answers" }: CandidateChange,
  seed: number,
): AsyncGenerator<Group> {
  for await (const group of groups) {
    const random = new Random(seed, { stream: `flip ${group.id}` });
    const candidates = group.candidates.slice(0, first).map((candidate) => {
      const right = labels === "sound steps" ? isSound(group, candidate.text) : candidate.correct;
      const flip = random.next() < flipped;
      return { ...candidate, ...(right !== undefined && { correct: flip ? !right : right }) };
    });
    const relabelled = { ...group, candidates };
    yield labels === "step ranks" ? withRewards(relabelled, stepRewards(relabelled)) : relabelled;
  }
}

/**
 * Groups of `count` candidates, a share of them the model's own and the rest the first of those that the groups bring,
 * all ranked by their steps.
 *
 * @param own the model's own candidates of the same groups, in any order; a group that has too few takes more of the others
 */
export async function* mixed(
  groups: AsyncIterable<Group>,
  own: AsyncIterable<Group>,
  { share, count }: { readonly share: number; readonly count: number },
): AsyncGenerator<Group> {
  const written = new Map<string, Group["candidates"]>();
  for await (const { id, candidates } of own) written.set(id, candidates);
  for await (const group of groups) {
    const kept = (written.get(group.id) ?? []).slice(0, Math.round(share * count));
    const all = [...kept, ...group.candidates.slice(0, count - kept.length)];
    const together = { ...group, candidates: all };
    yield withRewards(together, stepRewards(together));
  }
}
