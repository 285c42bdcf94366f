/** Ranked feedback: rewards from any source become the candidates' `reward` and `rank`. */

import type { Candidate, Group } from "../data/records.ts";
import { InputError } from "../runtime/errors.ts";
import type { Watched } from "../runtime/listener.ts";

/** One reward a candidate, higher is better; undefined where nothing is known. */
export type Rewards = readonly (number | undefined)[];

/** Where rewards come from: `ratings`, `steps` or a judge. */
export interface RewardSource {
  /** Its name in messages, as in "Cannot rank by NAME". */
  readonly name: string;
  /** What a candidate without reward lacks, for messages. */
  readonly missing: string;
  /** Groups worked on at once (default 1). */
  readonly concurrency?: number;
  /** The rewards of a group's candidates, in their order; stops when the signal aborts. */
  rewards(group: Group, signal: AbortSignal): Rewards | Promise<Rewards>;
}

/** How groups are ranked. */
export interface RankOptions extends Watched {
  /** Where rewards come from. */
  readonly source: RewardSource;
  /**
   * What becomes of a candidate without reward: it stays without `rank` and `reward` (default "keep"), so that its
   * group can be ranked another time, or is left out ("drop"), so that methods that need ranks can use the others.
   */
  readonly unranked?: "keep" | "drop";
}

/**
 * Dense ranks of rewards: 1 is the highest reward, equal rewards share a rank, no rank is left out. Entries without
 * reward have no rank and take no place: [0.5, undefined, 1, 0.5] → [2, undefined, 1, 2].
 */
export function denseRanks(rewards: Rewards): (number | undefined)[] {
  const tiers = [...new Set(rewards.filter((reward) => reward !== undefined))].sort((a, b) => b - a);
  const places = new Map(tiers.map((reward, i) => [reward, i + 1]));
  return rewards.map((reward) => reward === undefined ? undefined : places.get(reward));
}

/** The group with `rank` and `reward` of each candidate set by these rewards; what it had of both before is gone. */
export function withRewards(group: Group, rewards: Rewards): Group {
  const ranks = denseRanks(rewards);
  const candidates = group.candidates.map((candidate, i): Candidate => {
    const { rank: _rank, reward: _reward, ...rest } = candidate;
    return rewards[i] === undefined
      ? rest as Candidate
      : { ...rest as Candidate, rank: ranks[i], reward: rewards[i] };
  });
  return { ...group, candidates };
}

/**
 * Ranks the candidates of each group, several groups at once where the source allows it; groups come out in the order
 * they came in. When a group or the input fails, every group before it is handed on first.
 *
 * ```ts
 * import { rank, steps } from "./mod.ts";
 *
 * const candidates = [{ text: "3 - 2 = 1. #### 1" }, { text: "2 + 3 = 5. #### 5" }];
 * const reference = "2 + 3 = 5. #### 5";
 * const group = { id: "sum", question: "2 + 3?", answer: "5", reference, candidates };
 * for await (const ranked of rank([group], { source: steps })) {
 *   console.log(ranked.candidates.map(({ rank, reward }) => [rank, reward])); // [ [ 2, 0 ], [ 1, 1 ] ]
 * }
 * ```
 *
 * @throws {InputError} at the end, when there were candidates and not one got a reward; and what the source throws
 */
export async function* rank(
  groups: AsyncIterable<Group> | Iterable<Group>,
  options: RankOptions,
): AsyncGenerator<Group> {
  const { source, unranked = "keep", listener, signal } = options;
  const stopped = new AbortController();
  const ending = signal ? AbortSignal.any([signal, stopped.signal]) : stopped.signal;
  const counts = { groups: 0, candidates: 0, without: 0 };
  const waiting: Promise<Group>[] = [];
  const next = async (): Promise<Group> => {
    const group = await waiting.shift()!;
    const kept = group.candidates.filter(({ reward }) => reward !== undefined);
    counts.candidates += group.candidates.length;
    counts.without += group.candidates.length - kept.length;
    listener?.progress?.({ part: "rank", done: ++counts.groups });
    return unranked === "drop" ? { ...group, candidates: kept } : group;
  };
  let failure: { readonly error: unknown } | undefined;
  async function* input() {
    try {
      yield* groups;
    } catch (error) {
      failure = { error };
    }
  }
  try {
    for await (const group of input()) {
      signal?.throwIfAborted();
      const work = (async () => withRewards(group, await source.rewards(group, ending)))();
      work.catch(() => {}); // a group behind the one that fails first has nobody to wait for it
      waiting.push(work);
      if (waiting.length >= (source.concurrency ?? 1)) yield await next();
    }
    while (waiting.length > 0) yield await next();
  } finally {
    stopped.abort();
  }
  if (failure) throw failure.error;
  const { candidates, without } = counts;
  if (candidates > 0 && without === candidates) {
    throw new InputError(
      `Cannot rank by ${source.name}: not one of ${candidates} candidates has ${source.missing}`,
    );
  }
  if (without > 0) {
    const fate = unranked === "drop" ? "they are left out" : "they have no rank";
    listener?.warn?.(`${without} of ${candidates} candidates are without ${source.missing}: ${fate}`);
  }
}
