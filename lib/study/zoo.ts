/** Zoo: every objective of the table from the same models and candidates, with its time a step. */

import { join } from "node:path";
import { objectives } from "../objectives/objectives.ts";
import type { Objective } from "../objectives/objective.ts";
import type { Outcome } from "../report/study.ts";
import type { Row } from "../report/table.ts";
import { InputError } from "../runtime/errors.ts";
import type { Cell, StudyCells } from "./cells.ts";
import { digest, type Method } from "./method.ts";
import { type BySeed, bySeed, figures, mean, modelColumns, modelRow, overSeeds, sizeOf } from "./figures.ts";
import { type ProbePoint, readProbes, watch } from "./probes.ts";

/** Each objective under the constraint that it is trained with; one that needs ranks or rewards has those of the votes. */
export function zooMethod(
  { name, feedback, trainingConstraint }: Objective,
): Method & { readonly name: string } {
  const votes = feedback.length > 0 && !feedback.includes("labels");
  return {
    name: votes ? `${name} (votes)` : name,
    objective: name,
    ...(trainingConstraint && { constraint: trainingConstraint }),
    ...(votes && { votes }),
    logEvery: 1,
  };
}

/**
 * Seconds a step: the median over the steps between two points, so that neither what a first step prepares nor a pause
 * between two runs counts. Undefined for fewer than two points.
 */
export function secondsPerStep(points: readonly ProbePoint[]): number | undefined {
  const each = points.slice(1).map(({ step, seconds }, i) =>
    (seconds! - points[i]!.seconds!) / (step - points[i]!.step)
  ).sort((a, b) => a - b);
  const half = each.length >> 1;
  return each.length % 2 === 1 ? each[half] : mean(each.slice(half - 1, half + 1));
}

/** All objectives on the first data set. */
export async function zoo(cells: StudyCells): Promise<Outcome> {
  const { data: [data], seeds } = cells.settings;
  const start = await bySeed(cells, data!, (seed) => cells.vft(data!, seed));
  const found: { readonly name: string; readonly all: BySeed; readonly time: (number | undefined)[] }[] = [];
  const left: string[] = [];
  for (const objective of Object.values(objectives)) {
    const method = zooMethod(objective), time: (number | undefined)[] = [];
    const train = async (seed: number): Promise<Cell> => {
      const name = `zoo-${data}-s${seed}-${method.objective}`;
      const key = digest([(await cells.judged(data!, seed)).key, method, cells.settings.alignEpochs]);
      const path = join(cells.options.out, "probes", `${name}-${key}.json`);
      const { world } = cells.stages;
      const clock = watch(path, { world, measure: () => Promise.resolve({ seconds: Date.now() / 1000 }) });
      const cell = await cells.aligned(data!, seed, { method, probe: clock });
      time.push(secondsPerStep(await readProbes(path, world)));
      return cell;
    };
    const trained = new Map<number, Cell>();
    try {
      for (const seed of seeds) trained.set(seed, await train(seed));
    } catch (error) {
      // Few candidates may hold nothing that one objective learns from; the others go on.
      if (!(error instanceof InputError)) throw error;
      left.push(`${method.name} (${error.message})`);
      cells.stages.listener.warn?.(`${method.name} is left out: ${error.message}`);
      continue;
    }
    const all = await bySeed(cells, data!, (seed) => Promise.resolve(trained.get(seed)!));
    found.push({ name: method.name, all, time });
  }
  const rows = [
    modelRow("start", start),
    ...found.map(({ name, all, time }): Row => ({
      ...modelRow(name, all),
      milliseconds: overSeeds(time.map((seconds) => seconds === undefined ? undefined : seconds * 1000)),
    })),
  ];
  return {
    name: "zoo",
    title: "All objectives side by side",
    about:
      `On ${data}: every objective goes on from the VFT model of its seed with the same candidates, as many passes ` +
      "and the same learning rate, under the constraint that it is trained with by default (AFT: dc). Candidates are " +
      "those of the VFT model, each text once; objectives that need ranks or rewards (votes) have them from the " +
      "majority, without answers. One learning rate for all favours some: the table says what each does, not which is " +
      "best. Time is of one optimizer step, the median of a run that logs every step." +
      (left.length > 0 ? ` Left out: ${left.join("; ")}.` : ""),
    size: sizeOf(cells),
    claims: [],
    tables: [{
      name: "zoo",
      title: `Every objective on ${data}. start: the VFT model that all go on from.`,
      columns: [
        ...modelColumns,
        { key: "milliseconds", title: "Time", unit: "ms a step ↓", digits: 0, best: "lowest" },
      ],
      rows,
    }],
    plots: [{
      kind: "dots",
      title: `Accuracy on ${data}`,
      x: "accuracy (further right is better)",
      percent: true,
      rule: overSeeds(figures(start, "accuracy"))?.mean,
      rows: found.map(({ name, all }) => ({ name, value: overSeeds(figures(all, "accuracy"))?.mean })),
      note: "Dot: mean over seeds. Dashed: the start.",
    }],
  };
}
