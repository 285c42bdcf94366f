import type { Group, Problem } from "../data/records.ts";
import type { Model } from "../model/model.ts";
import { InputError } from "../runtime/errors.ts";
import { RecordStore } from "./record_store.ts";
import type { TrainSettings } from "./settings.ts";
import type { TrainingGroup } from "./step.ts";
import { watchTeachable } from "./teachable.ts";
import { encodeGroup } from "./training_group.ts";

/** What the records are for. */
export interface EncodeRecordsOptions {
  /** What begins every message: "train", or "evaluate" for an evaluation set. */
  readonly purpose: "train" | "evaluate";
  /** Told of each record that is kept, in order. */
  readonly kept?: (record: Group | Problem) => void;
}

/**
 * The tokens and feedback of all records that can be trained on, on disk; warns of what is left out, or teaches nothing.
 *
 * @throws {InputError} when nothing is left, or a record lacks what the objective needs
 */
export async function encodeRecords(
  model: Model,
  records: AsyncIterable<Group | Problem> | Iterable<Group | Problem>,
  settings: TrainSettings,
  { purpose, kept }: EncodeRecordsOptions,
): Promise<RecordStore<TrainingGroup>> {
  const context = model.config.maxPositions, { objective, listener } = settings;
  const training = purpose === "train", of = training ? "" : "Evaluation set: ";
  const teachable = watchTeachable(objective);
  let seen = 0, skipped = 0;
  const encoded = async function* (): AsyncGenerator<TrainingGroup> {
    for await (const record of records) {
      settings.signal?.throwIfAborted();
      seen++;
      const encoded = encodeGroup(model, record, settings), { group, tooLong } = encoded;
      teachable.take(record.id, encoded);
      if (tooLong > 0 && settings.tooLong === "refuse") {
        throw new InputError(
          `Cannot ${purpose} on "${record.id}": prompt and response exceed the context of ${context} tokens`,
        );
      }
      skipped += tooLong;
      if (!group) continue;
      kept?.(record);
      yield group;
    }
  };
  const store = await RecordStore.from(encoded());
  if (skipped > 0) {
    listener?.warn?.(
      of +
        (skipped === 1
          ? `1 response is left out: with its prompt it exceeds the context of ${context} tokens`
          : `${skipped} responses are left out: with their prompts they exceed the context of ${context} tokens`),
    );
  }
  for (const line of teachable.warnings()) listener?.warn?.(of + line);
  const refusal = teachable.refusal();
  if (store.size > 0 && refusal === undefined) return store;
  await store[Symbol.asyncDispose]();
  const cannot = training
    ? `Cannot train ${objective.name}`
    : `Cannot evaluate while ${objective.name} trains`;
  const input = training ? "input" : "evaluation set";
  if (refusal !== undefined) throw new InputError(`${cannot}: ${refusal}`);
  throw new InputError(
    seen === 0
      ? `${training ? "Cannot train" : cannot}: the ${input} has no records`
      : skipped > 0
      ? `${
        training ? "Cannot train" : cannot
      }: all ${seen} records exceed the model's context of ${context} tokens`
      : `${cannot}: none of the ${seen} records has a response to train on`,
  );
}
