import type { Group } from "../../lib/data/records.ts";
import { score, type ScoreOptions } from "../../lib/evaluate/score.ts";
import type { Model } from "../../lib/model/model.ts";
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
  { io, ...options }: ScoreOptions & { readonly io: Pick<TaskIo, "listener" | "signal"> },
): AsyncGenerator<Group> {
  let waiting: Group[] = [], made = 0;
  const scored = async function* () {
    const ready = waiting;
    waiting = [];
    let next = 0;
    for await (const { candidates, ...group } of score(model, ready, { ...options, signal: io.signal })) {
      // Log-probs alone: whether a candidate is right is for the record to say.
      const given = ready[next++]!.candidates;
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
