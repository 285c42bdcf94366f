import type { Group, Problem } from "../data/records.ts";
import { modelDigest } from "../model/digests.ts";
import type { Model } from "../model/model.ts";
import { warnOfPrompts } from "../model/prompt_warnings.ts";
import { InputError } from "../runtime/errors.ts";
import { turns } from "../runtime/turns.ts";
import { RecordStore } from "./record_store.ts";
import type { TrainSettings } from "./settings.ts";
import type { TrainingGroup } from "./step.ts";
import { watchTeachable } from "./teachable.ts";
import { encodeTurns } from "./training_group.ts";

/** A record's last group, and those of its earlier turns: they are taken together. */
export interface StoredRecord extends TrainingGroup {
  readonly turns?: readonly TrainingGroup[];
}

/** A record's groups, one a turn that is trained on. */
export function groupsOf({ turns = [], ...last }: StoredRecord): TrainingGroup[] {
  return [...turns, last];
}

/** What the records are for. */
export interface EncodeRecordsOptions {
  readonly settings: TrainSettings;
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
  { settings, purpose, kept }: EncodeRecordsOptions,
): Promise<RecordStore<StoredRecord>> {
  const context = model.config.maxPositions, { objective } = settings;
  const training = purpose === "train", of = training ? "" : "Evaluation set: ";
  const warn = (line: string) => settings.listener?.warn?.(of + line);
  const teachable = watchTeachable(objective), models = new Map<string, number>();
  const look = warnOfPrompts(model, settings.prompt, settings.listener);
  let seen = 0, skipped = 0;
  const turn = turns();
  const encoded = async function* (): AsyncGenerator<StoredRecord> {
    for await (const record of records) {
      await turn();
      settings.signal?.throwIfAborted();
      seen++;
      look(record);
      const turns = encodeTurns(model, record, settings);
      const tooLong = turns.reduce((sum, turn) => sum + turn.tooLong, 0);
      for (const turn of turns) teachable.take({ ...record, id: turn.group?.id ?? record.id }, turn);
      const { model_digest: by } = record;
      if (by !== undefined) models.set(by, (models.get(by) ?? 0) + 1);
      if (tooLong > 0 && settings.tooLong === "refuse") {
        throw new InputError(
          `Cannot ${purpose} on "${record.id}": prompt and response exceed the context of ${context} tokens`,
        );
      }
      skipped += tooLong;
      const groups = turns.flatMap(({ group }) => group ?? []), group = groups.pop();
      if (!group) continue;
      kept?.(record);
      yield groups.length > 0 ? { ...group, turns: groups } : group;
    }
  };
  const store = await RecordStore.from(encoded());
  if (skipped > 0) {
    warn(
      skipped === 1
        ? `1 response is left out: with its prompt it exceeds the context of ${context} tokens`
        : `${skipped} responses are left out: with their prompts they exceed the context of ${context} tokens`,
    );
  }
  const strange = objective.needsReferenceLogprobs ? await otherModels(model, models) : undefined;
  if (strange) warn(strange);
  for (const line of teachable.warnings()) warn(line);
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

/** What is said of reference log-probs that another model made; undefined where none did. */
async function otherModels(model: Model, records: ReadonlyMap<string, number>): Promise<string | undefined> {
  if (records.size === 0) return undefined;
  const own = await modelDigest(model), others = [...records].filter(([digest]) => digest !== own);
  if (others.length === 0) return undefined;
  const count = others.reduce((sum, [, records]) => sum + records, 0);
  return `The reference log-probs of ${count} ${
    count === 1 ? "record" : "records"
  } were made by another model ` +
    `(model_digest ${
      others[0]![0]
    }) than the one that is trained (${own}): fine where that is the reference; else ` +
    "score them with the model as it is before training";
}
