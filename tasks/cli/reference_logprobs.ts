import type { Group } from "../../lib/data/records.ts";
import { score, type ScoreOptions } from "../../lib/evaluate/score.ts";
import type { Model } from "../../lib/model/model.ts";
import { gathered } from "../../lib/runtime/agreed.ts";
import type { TaskIo } from "./run_task.ts";

/** Groups that are scored at once: enough to fill micro-batches. */
const TOGETHER = 64;

/**
 * Groups with their reference log-probs: where a record lacks some, the model that is to be trained gives them, as it is
 * before the first step. `score` writes the same into a file, once for many trainings, and of another model where that
 * is to be the reference.
 */
export async function* withReferenceLogprobs(
  model: Model,
  groups: AsyncIterable<Group>,
  { io, ...options }: ScoreOptions & { readonly io: Pick<TaskIo, "listener" | "signal" | "world"> },
): AsyncGenerator<Group> {
  const { rank, size } = io.world;
  let waiting: Group[] = [], made = 0;
  const scored = async function* () {
    const ready = waiting;
    waiting = [];
    if (ready.length === 0) return;
    const own: Group[] = [], isOwn = (at: number) => at % size === rank;
    for await (
      const group of score(model, ready.filter((_, at) => isOwn(at)), { ...options, signal: io.signal })
    ) {
      own.push(group);
    }
    // Each rank scores some; what the model adds to a group is the same in all of them.
    const all = await gathered(io.world, own);
    for (const [at, { candidates: given }] of ready.entries()) {
      const { candidates, ...group } = all[at % size]![Math.floor(at / size)]!;
      // Log-probs alone: whether a candidate is right is for the record to say.
      yield { ...group, candidates: given.map((one, i) => ({ ...one, logprob: candidates[i]!.logprob })) };
    }
  };
  for await (const group of groups) {
    const lacks = group.candidates.some(({ logprob }) => logprob === undefined);
    if (!lacks) {
      yield* scored(); // in the order of the records
      yield group;
      continue;
    }
    if (made++ === 0) {
      io.listener.note("Records without reference log-probs get those of the model as it is before training");
    }
    waiting.push(group);
    if (waiting.length === TOGETHER) yield* scored();
  }
  yield* scored();
}
