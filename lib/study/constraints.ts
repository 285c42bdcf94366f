/** What the lack of a constraint does: scores, repetition, missing end tokens and accuracy over the steps. */

import { basename, join } from "node:path";
import { findObjective } from "../objectives/objectives.ts";
import { summarize } from "../evaluate/summary.ts";
import { readRecords } from "../pipeline/stages.ts";
import type { Claim, Outcome, OutcomePlot } from "../report/study.ts";
import type { Row } from "../report/table.ts";
import type { Probe, StudyCells } from "./cells.ts";
import { digest, type Method } from "./method.ts";
import {
  type BySeed,
  bySeed,
  claimAbove,
  compares,
  mean,
  modelRow,
  numbersOf,
  pickColumns,
  repetitionOf,
  sizeOf,
} from "./figures.ts";
import { type ProbePoint, readProbes, watch } from "./probes.ts";

const curves = [
  { key: "positives", y: "nats per token", title: "score of right candidates", percent: false },
  { key: "negatives", y: "nats per token", title: "score of wrong candidates", percent: false },
  { key: "accuracy", y: "accuracy", title: "accuracy", percent: true },
  { key: "repetition", y: "repeated 4-grams", title: "repetition", percent: true },
  { key: "no_end_token", y: "missing end tokens", title: "answers without end", percent: true },
] as const;

/** Every method with and without a constraint; where it goes on from VFT, measured on the way. */
export async function constraintCurves(cells: StudyCells): Promise<Outcome> {
  const { data: [data], constraintMethods, limit, batchSize, beta, start } = cells.settings;
  // From the base they are the models of the main experiment.
  const constraintEpochs = start === "base" ? cells.settings.epochs : cells.settings.constraintEpochs;
  const steps = constraintEpochs * Math.ceil(limit / batchSize);
  const logEvery = Math.max(1, Math.round(steps / cells.settings.constraintProbes));
  const rows: Row[] = [], plots: OutcomePlot[] = [], claims: Claim[] = [];
  const vft = await bySeed(cells, data!, (seed) => cells.vft(data!, seed));
  for (const objective of constraintMethods.filter((one) => compares(cells, one.toUpperCase()))) {
    const curve = new Map<string, ProbePoint[][]>(), found = new Map<string, BySeed>();
    const spec = findObjective(objective), name = objective.toUpperCase();
    // Where the boundary never acts, bc is the same method as none.
    const constraints = (spec.constraints ?? []).filter((c) => c !== "bc" || spec.boundaryActs !== false);
    for (const constraint of constraints) {
      const width = constraint === "bc" && spec.boundary === "beta" ? { beta } : {};
      const method: Method = { objective, constraint, ...width };
      const runs: ProbePoint[][] = [];
      const all = await bySeed(cells, data!, async (seed) => {
        if (start === "base") return await cells.aligned(data!, seed, { method });
        const { path, probe } = await watched(method, seed);
        const longer = { ...method, epochs: constraintEpochs, logEvery };
        const cell = await cells.aligned(data!, seed, { method: longer, probe });
        runs.push(await readProbes(path, cells.stages.world));
        return cell;
      });
      found.set(constraint, all);
      curve.set(constraint, runs);
      rows.push(modelRow(`${name} ${constraint}`, all));
    }
    if (start === "vft") {
      plots.push(...curves.map(({ key, y, title, percent }): OutcomePlot => ({
        kind: "lines",
        title: `${name}: ${title}`,
        x: "step",
        y,
        percent,
        series: [...curve].map(([name, runs]) => ({ name, points: meanCurve(runs, key) })),
      })));
    }
    const ends = (constraint: string, key: "positives" | "accuracy") =>
      numbersOf(found.get(constraint)!, key);
    // The paper says it of the others: one with a constraint of its own is not trained without.
    if (spec.trainingConstraint === undefined) {
      claims.push(claimAbove(numbersOf(vft, "positives"), ends("none", "positives"), {
        claim: `${name} without a constraint lowers the scores of right candidates too`,
        theirs: "falls",
        unit: "nats per token",
      }));
    }
    claims.push(claimAbove(ends("dc", "accuracy"), ends("none", "accuracy"), {
      claim: `${name} with DC is above ${name} without a constraint`,
      theirs: "above",
    }));
  }
  return {
    name: "constraints",
    title: "With and without a constraint",
    about:
      `Every method makes ${constraintEpochs} passes over ${data}, without a constraint (none), with the detached ` +
      "(dc) and with the boundary constraint (bc): mean scores of right and wrong candidates for test problems, " +
      "accuracy, repetition and missing ends of greedy answers." +
      (start === "vft" ? ` The curves are of the first ${cells.judgedLimit} test problems.` : ""),
    size: sizeOf(cells),
    claims,
    tables: [{
      name: "constraints",
      title: "After the last step",
      columns: pickColumns(
        "method",
        "accuracy",
        "assessment_accuracy",
        "positives",
        "negatives",
        "repetition",
        "no_end_token",
      ),
      rows,
    }],
    plots,
  };

  /** Measures a training on its way, on the problems with candidates. */
  async function watched(method: Method, seed: number): Promise<{ path: string; probe: Probe }> {
    const candidates = await cells.candidates(data!, seed, { split: "test" }),
      { objective, constraint } = method;
    const key = digest([basename(candidates), method, constraintEpochs, logEvery]);
    const name = `constraint-${data}-s${seed}-${objective}-${constraint}`;
    const path = join(cells.options.out, "probes", `${name}-${key}.json`);
    const probe = watch(path, {
      world: cells.stages.world,
      measure: async (model) => {
        const records = () => readRecords(candidates);
        const results = await cells.stages.evaluated(model, records, { label: name, seed });
        const { accuracy, positives, negatives, no_end_token } = summarize(results);
        return { accuracy, positives, negatives, no_end_token, repetition: repetitionOf({ results }) };
      },
    });
    return { path, probe };
  }
}

/** Mean over the runs at every step. */
function meanCurve(runs: readonly ProbePoint[][], key: string): (readonly [number, number | undefined])[] {
  return (runs[0] ?? []).map(({ step }) =>
    [step, mean(runs.map((run) => run.find((point) => point.step === step)?.[key]))] as const
  );
}
