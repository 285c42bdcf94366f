/** What the lack of a constraint does: scores, repetition, missing end tokens and accuracy over the steps. */

import { join } from "node:path";
import type { Constraint } from "../objectives/objective.ts";
import { findObjective } from "../objectives/objectives.ts";
import { summarize } from "../evaluate/summary.ts";
import type { Claim, Outcome, OutcomePlot } from "../report/study.ts";
import type { Row } from "../report/table.ts";
import { digest, type StudyCells } from "./cells.ts";
import { claimAbove, mean, overSeeds, pickColumns, repetitionOf, sizeOf } from "./figures.ts";
import { type ProbePoint, readProbes, watch } from "./probes.ts";

const curves = [
  { key: "positives", y: "nats per token", title: "score of right candidates", percent: false },
  { key: "negatives", y: "nats per token", title: "score of wrong candidates", percent: false },
  { key: "accuracy", y: "accuracy", title: "accuracy", percent: true },
  { key: "repetition", y: "repeated 4-grams", title: "repetition", percent: true },
  { key: "no_end_token", y: "missing end tokens", title: "answers without end", percent: true },
] as const;

/** Every method with and without a constraint, measured on the way. */
export async function constraintCurves(cells: StudyCells): Promise<Outcome> {
  const { data: [data], seeds, constraintMethods, constraintEpochs, limit, batchSize, beta } = cells.settings;
  const steps = constraintEpochs * Math.ceil(limit / batchSize);
  const logEvery = Math.max(1, Math.round(steps / cells.settings.constraintProbes));
  const rows: Row[] = [], plots: OutcomePlot[] = [], claims: Claim[] = [];
  for (const objective of constraintMethods) {
    const found = new Map<string, ProbePoint[][]>(), spec = findObjective(objective);
    // Where the boundary never acts, bc is the same method as none.
    const constraints = (spec.constraints ?? []).filter((c) => c !== "bc" || spec.boundaryActs !== false);
    for (const constraint of constraints) {
      const runs: ProbePoint[][] = [];
      for (const seed of seeds) runs.push(await measure(objective, constraint, seed));
      found.set(constraint, runs);
      const last = (key: string) => overSeeds(runs.map((run) => run.at(-1)?.[key]));
      rows.push({
        method: `${objective.toUpperCase()} ${constraint}`,
        ...Object.fromEntries(curves.map(({ key }) => [key, last(key)])),
        assessment_accuracy: last("assessment_accuracy"),
      });
    }
    const ends = (constraint: string, key: string) => found.get(constraint)!.map((run) => run.at(-1)?.[key]);
    const starts = (constraint: string, key: string) => found.get(constraint)!.map((run) => run[0]?.[key]);
    plots.push(...curves.map(({ key, y, title, percent }): OutcomePlot => ({
      kind: "lines",
      title: `${objective.toUpperCase()}: ${title}`,
      x: "step",
      y,
      percent,
      series: [...found].map(([name, runs]) => ({ name, points: meanCurve(runs, key) })),
    })));
    // The paper says it of the others: one with a constraint of its own is not trained without.
    if (spec.trainingConstraint === undefined) {
      claims.push(claimAbove(starts("none", "positives"), ends("none", "positives"), {
        claim: `${objective.toUpperCase()} without a constraint lowers the scores of right candidates too`,
        theirs: "falls",
        unit: "nats per token",
      }));
    }
    claims.push(claimAbove(ends("dc", "accuracy"), ends("none", "accuracy"), {
      claim: `${objective.toUpperCase()} with DC is above ${objective.toUpperCase()} without a constraint`,
      theirs: "above",
    }));
  }
  return {
    name: "constraints",
    title: "With and without a constraint",
    about:
      `Every method goes on for ${constraintEpochs} passes over ${data}, without a constraint (none), with the ` +
      "detached (dc) and with the boundary constraint (bc), and is measured on the way: mean scores of right and wrong " +
      "candidates for test problems, accuracy, repetition and missing ends of greedy answers.",
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

  async function measure(
    objective: string,
    constraint: Constraint,
    seed: number,
  ): Promise<ProbePoint[]> {
    const judged = await cells.judged(data, seed);
    const width = constraint === "bc" && findObjective(objective).boundary === "beta" ? { beta } : {};
    const key = digest([judged.key, objective, constraint, width, constraintEpochs, logEvery]);
    const name = `constraint-${data}-s${seed}-${objective}-${constraint}`;
    const path = join(cells.options.out, "probes", `${name}-${key}.json`);
    const probe = watch(path, {
      measure: async (model) => {
        const results = await cells.stages.evaluated(model, judged.source, { label: name, seed });
        const { accuracy, assessment_accuracy, positives, negatives, no_end_token } = summarize(results);
        const repetition = repetitionOf({ results });
        return { accuracy, assessment_accuracy, positives, negatives, no_end_token, repetition };
      },
    });
    const method = { objective, constraint, epochs: constraintEpochs, logEvery, ...width };
    await cells.aligned(data, seed, { method, probe });
    return await readProbes(path);
  }
}

/** Mean over the runs at every step. */
function meanCurve(runs: readonly ProbePoint[][], key: string): (readonly [number, number | undefined])[] {
  return (runs[0] ?? []).map(({ step }) =>
    [step, mean(runs.map((run) => run.find((point) => point.step === step)?.[key]))] as const
  );
}
