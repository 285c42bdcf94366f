/** Data sets learned together, and questions of a kind that was not learned. */

import { summaryFigures } from "../evaluate/figures.ts";
import { pageColumn } from "../report/figure_column.ts";
import type { Claim, Outcome } from "../report/study.ts";
import type { Row } from "../report/table.ts";
import type { StudyCells } from "./cells.ts";
import {
  type BySeed,
  bySeed,
  claimAbove,
  figures,
  joined,
  mainMethod,
  numbersOf,
  overSeeds,
  sizeOf,
} from "./figures.ts";

const methods = ["VFT", "RFT", "AFT-DC", "AFT-BC"];
const share = { unit: "% ↑", percent: true, digits: 1, best: "highest" } as const;

/** One model for all data sets against a model for each. */
export async function multitask(cells: StudyCells): Promise<Outcome> {
  const { data: sets } = cells.settings, together = sets.join("+");
  const rows: Row[] = [], found = new Map<string, BySeed>();
  for (const name of methods) {
    for (const [kind, trainedOn] of [["apart", undefined], ["together", together]] as const) {
      const row: Record<string, Row[string]> = { method: `${name} ${kind}` };
      for (const data of sets) {
        const all = await bySeed(
          cells,
          data,
          (seed) => cells.aligned(trainedOn ?? data, seed, { method: mainMethod(cells, name) }),
        );
        found.set(`${name} ${kind} ${data}`, all);
        row[data] = overSeeds(figures(all, "accuracy"));
        row[`${data} assessment`] = overSeeds(figures(all, "assessment_accuracy"));
      }
      rows.push(row);
    }
  }
  const solved = (name: string) =>
    joined(sets.map((data) => numbersOf(found.get(`${name} ${data}`)!, "accuracy")));
  return {
    name: "multitask",
    title: "Several data sets together",
    about:
      `One model trained on ${
        sets.join(" and ")
      } together, as many problems of each as the models apart had, ` +
      "against a model for each.",
    size: sizeOf(cells),
    claims: ["AFT-DC", "AFT-BC"].map((name): Claim =>
      claimAbove(solved(`${name} together`), solved("VFT together"), {
        claim: `Trained together, ${name} is above VFT (average)`,
        theirs: "above",
      })
    ),
    tables: [{
      name: "multitask",
      title: "Accuracy and assessment accuracy on each set's test problems",
      columns: [
        { key: "method", title: "Method" },
        ...sets.map((data) => ({ key: data, title: `Accuracy on ${data}`, ...share })),
        ...sets.map((data) => ({ key: `${data} assessment`, title: `Assessment on ${data}`, ...share })),
      ],
      rows,
    }],
    plots: [],
  };
}

/** Models measured on the data set that they were not trained on. */
export async function transfer(cells: StudyCells): Promise<Outcome> {
  const { data: sets } = cells.settings;
  const rows: Row[] = [], claims: Claim[] = [];
  const ways = sets.flatMap((from) => sets.filter((to) => to !== from).map((to) => ({ from, to })));
  for (const { from, to } of ways) {
    const found = new Map<string, BySeed>();
    for (const name of methods) {
      const all = await bySeed(
        cells,
        to,
        (seed) => cells.aligned(from, seed, { method: mainMethod(cells, name) }),
      );
      found.set(name, all);
      rows.push({
        method: `${name} on ${from}`,
        to,
        accuracy: overSeeds(figures(all, "accuracy")),
        option_accuracy: overSeeds(figures(all, "option_accuracy")),
        assessment_accuracy: overSeeds(figures(all, "assessment_accuracy")),
      });
    }
    const solved = (name: string) => numbersOf(found.get(name)!, "accuracy");
    claims.push(...["AFT-DC", "AFT-BC"].map((name) =>
      claimAbove(solved(name), solved("VFT"), {
        claim: `${name} keeps or gains out of distribution: ${from} → ${to}`,
        theirs: "above (MMLU)",
      })
    ));
  }
  return {
    name: "ood",
    title: "Out of distribution",
    about:
      "Models trained on one data set, measured on the other. Letters: options answered by the log-probs of their " +
      "letters behind the prompt, without a chain; a fifth of five options is chance.",
    size: sizeOf(cells),
    claims,
    tables: [{
      name: "ood",
      title: "On the test problems of the other data set",
      columns: [
        { key: "method", title: "Trained" },
        { key: "to", title: "Measured on" },
        // Rows are measured on different sets, so none is the best.
        ...(["accuracy", "option_accuracy", "assessment_accuracy"] as const).map((key) => ({
          ...pageColumn(summaryFigures[key]),
          best: undefined,
        })),
      ],
      rows,
    }],
    plots: [],
  };
}
