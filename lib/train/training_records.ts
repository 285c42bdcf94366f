import type { Group, Problem } from "../data/records.ts";
import type { Model } from "../model/model.ts";
import { encodeRecords, type StoredRecord } from "./encode_records.ts";
import { type EvaluationRecords, Questions, readEvaluationSet } from "./evaluation.ts";
import type { RecordStore } from "./record_store.ts";
import type { TrainSettings } from "./settings.ts";
import { HoldingOut } from "./split.ts";

/** All that a training reads before its first step. */
export interface TrainingRecords extends AsyncDisposable {
  /** Every record that is trained or, of the same records, held out. */
  readonly store: RecordStore<StoredRecord>;
  /** The places of those that are trained on. */
  readonly trained: readonly number[];
  /** What is evaluated on, where something is. */
  readonly evaluation?: EvaluationRecords;
  /** Names of the data sets that the records come from. */
  readonly data: ReadonlySet<string>;
}

/**
 * Reads the evaluation set, where there is one of its own, then the records, and holds out a share of them where that is
 * asked for. Says how many records of the evaluation set ask what is trained on too.
 */
export async function readTrainingRecords(
  model: Model,
  records: AsyncIterable<Group | Problem> | Iterable<Group | Problem>,
  settings: TrainSettings,
): Promise<TrainingRecords> {
  const { evaluation, listener, seed } = settings, data = new Set<string>();
  const share = evaluation?.share, questions = new Questions(evaluation?.answers?.questions ?? 0);
  const holding = share === undefined ? undefined : new HoldingOut(share, evaluation!.seed ?? seed);
  const own = evaluation?.data === undefined ? undefined : await readEvaluationSet(model, settings);
  let store: RecordStore<StoredRecord> | undefined;
  const dispose = async () => {
    await store?.[Symbol.asyncDispose]();
    await own?.store[Symbol.asyncDispose]();
  };
  try {
    store = await encodeRecords(model, records, {
      settings,
      purpose: "train",
      kept(record) {
        if (record.dataset !== undefined) data.add(record.dataset);
        own?.overlap.meet(record);
        if (holding) questions.take(record, holding.take(record));
      },
    });
    const shared = own?.overlap.warning();
    if (shared !== undefined) listener?.warn?.(shared);
    if (!holding) {
      const trained = Array.from({ length: store.size }, (_, i) => i);
      return { store, trained, data, ...(own && { evaluation: own }), [Symbol.asyncDispose]: dispose };
    }
    const { trained, heldOut, bound } = holding.split();
    const held = { store, indices: heldOut, problems: questions.chosen(bound) };
    listener?.note?.(
      `Held out: ${heldOut.length} of ${store.size} records, to evaluate on; ${trained.length} are trained on`,
    );
    return { store, trained, data, evaluation: held, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}
