/** Measurements on the way of a training, kept step by step, so that one that was stopped has none twice. */

import { dirname } from "node:path";
import { byFirst } from "../runtime/agreed.ts";
import { exists, makeDirectory, readJson, writeJson } from "../runtime/files.ts";
import type { World } from "../runtime/world.ts";
import type { Model } from "../model/model.ts";
import type { Probe } from "./cells.ts";

/** What was measured at a step; 0 is before the first. */
export interface ProbePoint {
  readonly step: number;
  readonly [figure: string]: number | undefined;
}

/** What to measure, in which ranks: each measures its part, rank 0 writes. */
export interface WatchOptions {
  readonly world: World;
  readonly measure: (model: Model) => Promise<Readonly<Record<string, number | undefined>>>;
}

/** A probe that measures at every line of metrics but the first step's, and keeps the points in a file. */
export function watch(path: string, { world, measure }: WatchOptions): Probe {
  return async (model, metrics) => {
    const step = metrics?.step ?? 0;
    if (step === 1 && metrics!.steps > 1) return; // logged always, and too near to 0
    const points = await readProbes(path, world);
    if (points.some((point) => point.step === step)) return;
    const point = { step, ...await measure(model) };
    await byFirst(world, async () => {
      await makeDirectory(dirname(path));
      await writeJson(path, [...points, point].sort((a, b) => a.step - b.step));
    });
  };
}

/** The points in a file, which rank 0 reads for all; none where there is no file. */
export async function readProbes(path: string, world: World): Promise<ProbePoint[]> {
  return await byFirst(world, async () => await exists(path) ? await readJson(path) as ProbePoint[] : []);
}
