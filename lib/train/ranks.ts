/**
 * Data-parallel training: every rank of a world has the whole model and computes a part of each batch. The sum of the
 * parts' gradients is the batch's, since a part's loss is divided by what the whole batch has; so each rank makes the
 * same update, and N ranks are one process but for the order in which numbers are added.
 */

import type { Tensor } from "../backend/device.ts";
import { groupRows } from "../model/packing.ts";
import type { Decoder } from "../model/state.ts";
import { fromFirst } from "../runtime/agreed.ts";
import { UsageError } from "../runtime/errors.ts";
import type { World } from "../runtime/world.ts";
import { sumTensors } from "./rank_tensors.ts";
import {
  accumulateGradients,
  type LossOptions,
  measureLoss,
  readsScores,
  type StepOptions,
  type StepReport,
  type TrainingGroup,
} from "./step.ts";

/** What a step of all ranks came to: the same in each of them. */
export interface WholeReport extends StepReport {
  /** Whether some rank was asked to stop. */
  readonly interrupted: boolean;
}

/** The world of a step, and whether this rank was asked to stop. */
export interface SharedStep {
  readonly world: World;
  readonly interrupted: boolean;
}

/**
 * Which items each rank takes, so that all have about the same to do: the dearest first, each to the rank with the least
 * so far (Graham's longest processing time first, at most 4/3 of the best). With fewer items than ranks some have none.
 *
 * @returns indices into `costs`, ascending, by rank
 */
export function dealByCost(costs: readonly number[], ranks: number): number[][] {
  const dealt = Array.from({ length: ranks }, (): number[] => []), load = new Array<number>(ranks).fill(0);
  const order = costs.map((_, i) => i).sort((a, b) => costs[b]! - costs[a]! || a - b);
  for (const item of order) {
    const least = load.indexOf(Math.min(...load));
    dealt[least]!.push(item);
    load[least]! += costs[item]!;
  }
  return dealt.map((items) => items.sort((a, b) => a - b));
}

/** The groups of a batch that this rank computes, by their places in it. */
function ownPart(groups: readonly TrainingGroup[], { rank, size }: World): number[] {
  return dealByCost(groups.map(({ tokens }) => groupRows(tokens)), size)[rank]!;
}

/** As {@linkcode accumulateGradients}, by all ranks: `gradients` becomes the sum of theirs. */
export async function accumulateTogether(
  decoder: Decoder,
  groups: readonly TrainingGroup[],
  options: LossOptions & StepOptions & SharedStep & { readonly gradients: ReadonlyMap<string, Tensor> },
): Promise<WholeReport> {
  const { world, gradients, interrupted } = options;
  if (world.size === 1) return { ...await accumulateGradients(decoder, groups, options), interrupted };
  const part = ownPart(groups, world);
  const report = await accumulateGradients(decoder, part.map((i) => groups[i]!), {
    ...options,
    batch: groups,
  });
  // The small sum is where ranks wait for each other, so the large ones need no meeting of their own: where a message takes
  // 10 ms, each would add as much to every step.
  const whole = await wholeReport(groups, { ...options, part, report, isRead: readsScores(options) });
  await sumTensors(world, gradients.values());
  return whole;
}

/** As {@linkcode measureLoss}, by all ranks. */
export async function measureTogether(
  decoder: Decoder,
  groups: readonly TrainingGroup[],
  options: LossOptions & Pick<StepOptions, "microBatchTokens"> & SharedStep,
): Promise<WholeReport> {
  const { world, interrupted } = options;
  if (world.size === 1) return { ...await measureLoss(decoder, groups, options), interrupted };
  const part = ownPart(groups, world);
  const report = await measureLoss(decoder, part.map((i) => groups[i]!), { ...options, batch: groups });
  return await wholeReport(groups, { ...options, part, report, isRead: true });
}

/** One sum of some numbers: of losses, rows and, each by the one rank that has it, scores. */
async function wholeReport(
  groups: readonly TrainingGroup[],
  { part, report, isRead, world, interrupted, objective }: SharedStep & LossOptions & {
    readonly part: readonly number[];
    readonly report: StepReport;
    readonly isRead: boolean;
  },
): Promise<WholeReport> {
  const { loss = 0, objectiveLoss = 0, vftLoss = 0, rows } = report;
  const counts = groups.map(({ tokens }) => isRead ? tokens.responses.length : 0);
  const scores = groups.map((_, i) => new Float64Array(counts[i]!));
  if (isRead) part.forEach((group, i) => scores[group]!.set(report.groups[i]!.scores));
  const numbers = Float64Array.from(
    [Number(interrupted), loss, objectiveLoss, vftLoss, rows, ...scores.flatMap((of) => [...of])],
  );
  await world.sum(numbers);
  const [stops, lossOfAll, objectiveOfAll, vftOfAll, rowsOfAll] = numbers as unknown as readonly [
    number,
    number,
    number,
    number,
    number,
  ];
  let at = 5;
  return {
    loss: isRead ? lossOfAll : undefined,
    objectiveLoss: isRead ? objectiveOfAll : undefined,
    vftLoss: isRead && objective.addsVft ? vftOfAll : undefined,
    groups: isRead
      ? groups.map(({ tokens, feedback }, i) => ({
        ...feedback,
        scores: numbers.slice(at, at += counts[i]!),
        lengths: tokens.responses.map((response) => response.length),
      }))
      : [],
    responseTokens: report.responseTokens,
    rows: rowsOfAll,
    interrupted: stops > 0,
  };
}

/**
 * Refuses ranks that would train something else than rank 0, before any work.
 *
 * @param run what decides the path of the training: settings by their names, records, the model
 * @throws {UsageError} in a rank that differs
 */
export async function compareRanks(world: World, run: Readonly<Record<string, unknown>>): Promise<void> {
  const shown = (value: unknown) => typeof value === "string" ? value : JSON.stringify(value) ?? "none";
  const own = Object.fromEntries(Object.entries(run).map(([name, value]) => [name, shown(value)]));
  const first = await fromFirst(world, own);
  for (const name of new Set([...Object.keys(first), ...Object.keys(own)])) {
    if (first[name] === own[name]) continue;
    throw new UsageError(
      `Cannot train together: ${name} is ${own[name] ?? "none"}, and ${first[name] ?? "none"} in rank 0`,
    );
  }
  await world.barrier(); // nobody begins before all have compared
}
