import { turns } from "../runtime/turns.ts";
import { isAbsolute, relative, sep } from "node:path";
import { Random } from "../data/random.ts";
import type { Group, Problem } from "../data/records.ts";
import { chooseDropout } from "../model/adapter.ts";
import { modelDigest } from "../model/digests.ts";
import { endTokensOf, nothingEnds } from "../model/encode.ts";
import type { Device } from "../backend/device.ts";
import { warnOfPrompts } from "../model/prompt_warnings.ts";
import type { Model } from "../model/model.ts";
import { refuseFrozen } from "../model/refuse_frozen.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import { watchHealth } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import { modelFiles } from "./model_files.ts";
import { Optimizer } from "./optimizer.ts";
import { RecordStore } from "./record_store.ts";
import { RunDirectory } from "./run_directory.ts";
import { checkRecord, computedBy, readRecord, recordResumed, type RunIdentity } from "./run_record.ts";
import { learningRateAt } from "./schedule.ts";
import { pathOf, resolveSettings, type TrainOptions, type TrainSettings } from "./settings.ts";
import { accumulateGradients, type TrainingGroup } from "./step.ts";
import { StepLog } from "./step_log.ts";
import { watchTeachable } from "./teachable.ts";
import { encodeTurns } from "./training_group.ts";

export type { TrainOptions };

/**
 * Trains a model in place, and yields a line of metrics every `logEvery` steps.
 *
 * All records are read and turned into tokens before the first step (they are kept in a temporary file), so that one
 * that cannot serve is found before any work, the number of steps is known and each epoch has an order of its own.
 *
 * ```ts
 * import { loadDataset, loadModel, train } from "./mod.ts";
 *
 * using model = await loadModel("fixtures/base");
 * const problems = loadDataset("arithmetic", { limit: 16 });
 * for await (const { step, loss } of train(model, problems, { objective: "vft", epochs: 1 })) console.log(step, loss);
 * await model.save("runs/trained", { overwrite: true });
 * ```
 *
 * @param records problems with references (vft), or groups with what the objective needs
 * @throws {InputError} when there are no records, one lacks what the objective needs, or a loss is not a number
 * @throws {UsageError} when an option has no meaning, or `out` is taken or belongs to another run
 */
export async function* train(
  model: Model,
  records: AsyncIterable<Group | Problem> | Iterable<Group | Problem>,
  options: TrainOptions = {},
): AsyncGenerator<Metrics> {
  const settings = resolveSettings(options);
  const { signal, batchSize, saveEvery, out } = settings;
  refuseFrozen(model.decoder.quantized, model.decoder.adapter !== undefined);
  if (settings.dtype !== undefined && model.decoder.adapter) {
    throw new UsageError("Cannot choose the dtype of an adapter, which is F32: choose it when it is merged");
  }
  const inside = out === undefined ? undefined : model.sources.find((source) => isWithin(source, out));
  if (settings.overwrite && inside !== undefined) {
    throw new UsageError(`Cannot overwrite ${out}: the model that is trained, ${inside}, lies in it`);
  }
  const data = new Set<string>(), endTokens = endTokensOf(model, settings.prompt);
  if (endTokens.length === 0) settings.listener?.warn?.(nothingEnds);
  await using store = await encodeAll(model, noting(records, data), settings);
  const batches = Math.ceil(store.size / batchSize);
  const steps = settings.steps ?? batches * settings.epochs;
  const identity = {
    steps,
    records: { count: store.size, digest: store.digest },
    settings: {
      ...pathOf(settings, steps),
      ...(model.decoder.adapter && { lora: model.decoder.adapter.lora, base: model.adapter?.fingerprint }),
    },
  };
  const record = {
    configuration: settings.configuration ?? plain(options),
    identity,
    computedBy: computedBy(model.device),
  };
  await using directory = out === undefined ? undefined : await RunDirectory.open(out, {
    record,
    resume: settings.resume,
    overwrite: settings.overwrite,
  });
  const check = (before: RunIdentity) => {
    const { base } = before.settings, { former, fingerprint } = model.adapter ?? {};
    // A run that was begun when a base was known by less.
    const same = base !== undefined && base === former
      ? { ...before.settings, base: fingerprint }
      : before.settings;
    checkSame({ ...before, settings: same }, identity, out!);
  };
  const before = settings.resume && out !== undefined ? await readRecord(out) : undefined;
  if (before && out !== undefined) checkRecord(out, before, check);
  if (before && await directory!.isFinished()) {
    await directory!.removeCheckpoints(); // a process that was killed may have had no time for them
    settings.listener?.warn?.(`${out} is finished: nothing is left to resume`);
    return await directory!.restoreFinished(model.decoder);
  }
  const optimizer = new Optimizer(model.decoder, settings.optimizer);
  try {
    let step = 0;
    if (before && directory && out !== undefined) {
      step = (await directory.restore(optimizer, check))?.step ?? 0;
      settings.listener?.note?.(
        step === 0
          ? `Going on from the beginning: ${out} has no checkpoint yet`
          : `Going on from step ${step} of ${steps}`,
      );
      for (const line of await recordResumed(out, before, { step, now: record })) {
        settings.listener?.warn?.(line);
      }
    }
    const log = new StepLog(settings, { steps, batches, endTokens });
    const signsOfTrouble = watchHealth();
    let order: number[] = [], orderOf = -1, last: Metrics | undefined;
    let saved = step;
    const turn = turns();
    while (step < steps) {
      await turn();
      if (signal?.aborted && directory && saveEvery > 0 && step > 0) {
        if (saved < step) await directory.save(optimizer, { ...identity, step });
        settings.listener?.warn?.(
          `Kept step ${step} of ${steps} in ${out}: option \`resume\` goes on from there`,
        );
      }
      signal?.throwIfAborted();
      const epoch = Math.floor(step / batches), at = step % batches;
      if (epoch !== orderOf) {
        order = new Random(settings.seed, { stream: `epoch-${epoch}` }).shuffle(
          Array.from({ length: store.size }, (_, i) => i),
        );
        orderOf = epoch;
      }
      const groups: TrainingGroup[] = [];
      for (const index of order.slice(at * batchSize, (at + 1) * batchSize)) {
        const { turns = [], ...group } = await store.get(index);
        groups.push(...turns, group);
      }
      step++;
      chooseDropout(model.decoder, settings.seed, step);
      const report = await accumulateGradients(model.decoder, groups, {
        ...settings.loss,
        ...settings.compute,
        report: log.due(step),
        gradients: optimizer.gradients,
      });
      chooseDropout(model.decoder); // whoever uses the model between two steps gets all of it
      const { warmup, ...schedule } = settings.schedule;
      const rate = learningRateAt(step - 1, {
        ...schedule,
        totalSteps: steps,
        warmupSteps: Math.ceil(warmup * steps),
      });
      const squares = optimizer.update(rate);
      const metrics = await log.step(step, { groups, report, squares, rate }).finally(() =>
        squares.dispose()
      );
      if (metrics) {
        last = metrics;
        await directory?.log(metrics);
        for (const line of signsOfTrouble(metrics)) settings.listener?.warn?.(line);
        yield metrics;
      }
      settings.listener?.progress?.({
        part: settings.objective.name,
        done: step,
        total: steps,
        tokens: report.responseTokens,
        ...(report.loss !== undefined && { values: { loss: report.loss } }),
      });
      trimWhenIdle(model.device);
      if (directory && saveEvery > 0 && step % saveEvery === 0 && step < steps) {
        await directory.save(optimizer, { ...identity, step });
        saved = step;
      }
    }
    if (directory && out) {
      const run = { settings, steps, records: store.size, data: [...data], metrics: last };
      const listener = { warn: settings.listener?.warn };
      await model.saveInto(out, { files: await modelFiles(model, run), dtype: settings.dtype, listener });
      await directory.removeCheckpoints();
    }
  } finally {
    chooseDropout(model.decoder);
    optimizer.dispose();
  }
}

/** The same records; notes which data sets they come from. */
async function* noting<T extends Problem>(
  records: AsyncIterable<T> | Iterable<T>,
  data: Set<string>,
): AsyncGenerator<T> {
  for await (const record of records) {
    if (record.dataset !== undefined) data.add(record.dataset);
    yield record;
  }
}

/** A record's last group, and those of its earlier turns: a step takes them together. */
interface StoredRecord extends TrainingGroup {
  readonly turns?: readonly TrainingGroup[];
}

/** The tokens and feedback of all records that can be trained on, on disk. */
async function encodeAll(
  model: Model,
  records: AsyncIterable<Group | Problem> | Iterable<Group | Problem>,
  settings: TrainSettings,
): Promise<RecordStore<StoredRecord>> {
  const context = model.config.maxPositions;
  const teachable = watchTeachable(settings.objective), models = new Map<string, number>();
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
          `Cannot train on "${record.id}": prompt and response exceed the context of ${context} tokens`,
        );
      }
      skipped += tooLong;
      const groups = turns.flatMap(({ group }) => group ?? []), group = groups.pop();
      if (group) yield groups.length > 0 ? { ...group, turns: groups } : group;
    }
  };
  const store = await RecordStore.from(encoded());
  if (skipped > 0) {
    settings.listener?.warn?.(
      skipped === 1
        ? `1 response is left out: with its prompt it exceeds the context of ${context} tokens`
        : `${skipped} responses are left out: with their prompts they exceed the context of ${context} tokens`,
    );
  }
  const strange = settings.objective.needsReferenceLogprobs ? await otherModels(model, models) : undefined;
  if (strange) settings.listener?.warn?.(strange);
  for (const line of teachable.warnings()) settings.listener?.warn?.(line);
  const refusal = teachable.refusal();
  if (store.size > 0 && refusal === undefined) return store;
  await store[Symbol.asyncDispose]();
  if (refusal !== undefined) throw new InputError(`Cannot train ${settings.objective.name}: ${refusal}`);
  throw new InputError(
    seen === 0
      ? "Cannot train: the input has no records"
      : skipped > 0
      ? `Cannot train: all ${seen} records exceed the model's context of ${context} tokens`
      : `Cannot train ${settings.objective.name}: none of the ${seen} records has a response to train on`,
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

/** Refuses to go on with other records or settings than the run was started with. */
function checkSame(before: RunIdentity, now: RunIdentity, out: string): void {
  for (const [name, value] of Object.entries(now.settings)) {
    const was = before.settings[name];
    if (JSON.stringify(was) !== JSON.stringify(value)) {
      throw new UsageError(
        `Cannot resume ${out}: it was started with ${name} ${show(was)}, not ${show(value)}`,
      );
    }
  }
  const { count, digest } = now.records;
  if (before.records.count !== count || before.records.digest !== digest) {
    throw new UsageError(
      `Cannot resume ${out}: it was trained on ${before.records.count} other records; the input has ${count}`,
    );
  }
}

function show(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Whether a path is the folder or lies in it. */
function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** A pool that holds three times what is in use has buffers of sizes that are gone. */
function trimWhenIdle(device: Device): void {
  const { used, held } = device.use();
  if (held > 256 * 2 ** 20 && held > 3 * used) device.trim();
}

function plain(options: TrainOptions): unknown {
  const { listener: _, signal: __, ...kept } = options;
  return JSON.parse(JSON.stringify(kept));
}
