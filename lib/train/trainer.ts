import { turns } from "../runtime/turns.ts";
import { isAbsolute, relative, sep } from "node:path";
import { Random } from "../data/random.ts";
import type { Group, Problem } from "../data/records.ts";
import { chooseDropout } from "../model/adapter.ts";
import { endTokensOf, nothingEnds } from "../model/encode.ts";
import type { Device } from "../backend/device.ts";
import type { Model } from "../model/model.ts";
import { modelDigest } from "../model/digests.ts";
import { refuseFixed, refuseFrozen } from "../model/refuse_frozen.ts";
import { fromFirst } from "../runtime/agreed.ts";
import { UsageError } from "../runtime/errors.ts";
import { InterruptedError } from "../runtime/signals.ts";
import { EvaluationWatch } from "./evaluation_watch.ts";
import { watchHealth } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import { modelFiles } from "./model_files.ts";
import { Optimizer } from "./optimizer.ts";
import { broadcastTensors, compareTensors, trainedParameters } from "./rank_tensors.ts";
import { accumulateTogether, compareRanks } from "./ranks.ts";
import { RunDirectory, statefulTensors } from "./run_directory.ts";
import { checkRecord, computedBy, readRecord, recordResumed, type RunIdentity } from "./run_record.ts";
import type { RunState } from "./run_state.ts";
import { learningRateAt } from "./schedule.ts";
import { pathOf, plainSettings, resolveSettings, type TrainOptions } from "./settings.ts";
import { groupsOf } from "./encode_records.ts";
import type { TrainingGroup } from "./step.ts";
import { StepLog } from "./step_log.ts";
import { readTrainingRecords } from "./training_records.ts";

export { plainSettings, type TrainOptions };

/** Steps between two looks at whether all ranks still have the same parameters. */
const COMPARED = 50;

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
  const { signal, batchSize, saveEvery, out, world } = settings;
  refuseFixed(model.decoder.adapter?.lora);
  refuseFrozen(model.decoder.quantized, model.decoder.adapter !== undefined);
  if (settings.dtype !== undefined && model.decoder.adapter) {
    throw new UsageError("Cannot choose the dtype of an adapter, which is F32: choose it when it is merged");
  }
  const inside = out === undefined ? undefined : model.sources.find((source) => isWithin(source, out));
  if (settings.overwrite && inside !== undefined) {
    throw new UsageError(`Cannot overwrite ${out}: the model that is trained, ${inside}, lies in it`);
  }
  const endTokens = endTokensOf(model, settings.prompt);
  if (endTokens.length === 0) settings.listener?.warn?.(nothingEnds);
  await using read = await readTrainingRecords(model, records, settings);
  const { store, trained, data } = read;
  const batches = Math.ceil(trained.length / batchSize);
  const steps = settings.steps ?? batches * settings.epochs;
  const identity = {
    steps,
    records: { count: store.size, digest: store.digest },
    settings: {
      ...pathOf(settings, steps),
      ...(read.evaluation && read.evaluation.store !== store &&
        { "evaluation.data": `${read.evaluation.store.size} records, ${read.evaluation.store.digest}` }),
      ...(model.decoder.adapter && { lora: model.decoder.adapter.lora, base: model.adapter?.fingerprint }),
    },
  };
  const record = {
    configuration: settings.configuration ?? plainSettings(options),
    identity,
    computedBy: computedBy(model.device),
  };
  if (world.size > 1) {
    const { records, settings: path } = identity;
    const digest = `${records.count} records with checksum ${records.digest}`;
    await compareRanks(world, { ...path, records: digest, model: await modelDigest(model) });
  }
  const writes = out !== undefined && world.rank === 0;
  await using directory = !writes ? undefined : await RunDirectory.open(out, {
    record,
    resume: settings.resume,
    overwrite: settings.overwrite,
    keepLast: settings.keepLast,
    tensorboard: settings.tensorboard,
  });
  const check = (before: RunIdentity) => {
    const { base } = before.settings, { former, fingerprint } = model.adapter ?? {};
    // A run that was begun when a base was known by less.
    const same = base !== undefined && base === former
      ? { ...before.settings, base: fingerprint }
      : before.settings;
    checkSame({ ...before, settings: same }, identity, out!);
  };
  const before = settings.resume && writes ? await readRecord(out) : undefined;
  if (before && writes) checkRecord(out, before, check);
  const isFinished = before !== undefined && await directory!.isFinished();
  if (isFinished) {
    await directory!.removeCheckpoints(); // a process that was killed may have had no time for them
    settings.listener?.warn?.(`${out} is finished: nothing is left to resume`);
    await directory!.restoreFinished(model.decoder);
  }
  const trainedTensors = trainedParameters(model.decoder);
  if (await fromFirst(world, isFinished)) return await broadcastTensors(world, trainedTensors.values());
  const optimizer = new Optimizer(model.decoder, settings.optimizer);
  try {
    let step = 0, restored: RunState | undefined;
    if (before && directory && writes) {
      const keepsBest = settings.evaluation?.keepBest !== undefined;
      restored = await directory.restore(optimizer, { keepsBest, check });
      step = restored?.step ?? 0;
      settings.listener?.note?.(
        step === 0
          ? `Going on from the beginning: ${out} has no checkpoint yet`
          : `Going on from step ${step} of ${steps}`,
      );
      for (const line of await recordResumed(out, before, { step, now: record })) {
        settings.listener?.warn?.(line);
      }
    }
    restored = await fromFirst(world, restored);
    if (restored) {
      step = optimizer.updates = restored.step;
      await broadcastTensors(world, statefulTensors(optimizer).map(({ tensor }) => tensor));
    }
    const compare = () => compareTensors(world, trainedTensors, step);
    await compare();
    const log = new StepLog(settings, { steps, batches, endTokens });
    const signsOfTrouble = watchHealth();
    let order: number[] = [], orderOf = -1, last: Metrics | undefined = directory?.lastMetrics;
    let saved = step;
    const writeModel = async (folder: string, { kept, warn }: FinalModel = {}) => {
      const run = { settings, steps: step, records: trained.length, data: [...data], metrics: last, kept };
      const files = await modelFiles(model, run);
      await model.saveInto(folder, { files, dtype: settings.dtype, listener: { warn } });
    };
    const watch = read.evaluation &&
      new EvaluationWatch(model, read.evaluation, {
        ...{ settings, steps, batches, directory, writeModel },
        best: restored?.best,
        idle: (milliseconds) => log.idle(milliseconds),
      });
    const save = async (more: Pick<RunState, "unevaluated"> = {}) => {
      await directory!.save(optimizer, { ...identity, step, best: watch?.best, ...more }, writeModel);
      saved = step;
    };
    let interrupted = false;
    const isInterrupted = () => world.size === 1 ? signal?.aborted ?? false : interrupted;
    const keepAborted = async (more: Pick<RunState, "unevaluated"> = {}) => {
      if (!directory || saveEvery === 0 || step === 0) return;
      if (saved < step) await save(more);
      settings.listener?.warn?.(
        `Kept step ${step} of ${steps} in ${out}: option \`resume\` goes on from there`,
      );
    };
    const evaluate = async () => {
      try {
        await watch?.after(step);
      } catch (error) {
        if (signal?.aborted || error instanceof InterruptedError) {
          await keepAborted(watch?.isMade(step) ? {} : { unevaluated: true });
        }
        throw error;
      }
    };
    if (step === 0) await evaluate();
    if (restored?.unevaluated) {
      await evaluate();
      await save();
    }
    const turn = turns();
    while (step < steps && !watch?.spent) {
      await turn();
      if (isInterrupted()) {
        await keepAborted();
        await world.barrier(); // a rank that ended before would end rank 0 while it saves
        signal?.throwIfAborted();
        throw new InterruptedError("Interrupted");
      }
      const epoch = Math.floor(step / batches), at = step % batches;
      if (epoch !== orderOf) {
        order = new Random(settings.seed, { stream: `epoch-${epoch}` }).shuffle([...trained]);
        orderOf = epoch;
      }
      const groups: TrainingGroup[] = [];
      for (const index of order.slice(at * batchSize, (at + 1) * batchSize)) {
        groups.push(...groupsOf(await store.get(index)));
      }
      step++;
      chooseDropout(model.decoder, settings.seed, step);
      const report = await accumulateTogether(model.decoder, groups, {
        world,
        interrupted: signal?.aborted ?? false,
        ...settings.loss,
        ...settings.compute,
        report: log.due(step),
        gradients: optimizer.gradients,
      });
      ({ interrupted } = report);
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
      if (step % COMPARED === 0) await compare();
      await evaluate();
      const ended = step === steps || watch?.spent;
      if (directory && saveEvery > 0 && (ended ? settings.keepLast : step % saveEvery === 0)) await save();
    }
    await compare();
    await watch?.restoreBest();
    if (watch?.kept) await broadcastTensors(world, trainedTensors.values());
    if (directory && out) {
      await writeModel(out, { kept: watch?.kept, warn: settings.listener?.warn });
      await directory.removeCheckpoints();
    }
    await world.barrier(); // what rank 0 wrote is there for all
  } finally {
    chooseDropout(model.decoder);
    optimizer.dispose();
  }
}

/** What the last model of a run is written with, beside what every checkpoint's is. */
interface FinalModel {
  readonly kept?: EvaluationWatch["kept"];
  readonly warn?: ((line: string) => void) | undefined;
}

/** Refuses to go on with other records or settings than the run was started with. */
function checkSame(before: RunIdentity, now: RunIdentity, out: string): void {
  for (const name of new Set([...Object.keys(now.settings), ...Object.keys(before.settings)])) {
    const was = before.settings[name], value = now.settings[name];
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
  return value === undefined ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value);
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
