/** Self-consistency: the most frequent answer of k samples. */

import { majorityResult } from "../evaluate/evaluate.ts";
import type { Outcome } from "../report/study.ts";
import type { Row } from "../report/table.ts";
import { readRecords } from "../pipeline/stages.ts";
import type { StudyCells } from "./cells.ts";
import { claimAbove, mainMethod, mean, overSeeds, sizeOf } from "./figures.ts";

const methods = ["VFT", "RFT", "AFT-DC", "AFT-BC"];

/** maj@k for k = 1, 2, 4, … from one set of samples. */
export async function consistency(cells: StudyCells): Promise<Outcome> {
  const { data: [data], seeds, votes } = cells.settings;
  const counts = Array.from({ length: Math.floor(Math.log2(votes)) + 1 }, (_, i) => 2 ** i);
  const found = new Map<string, Map<number, number[][]>>();
  for (const name of methods) {
    const of = new Map(counts.map((k) => [k, [] as number[][]]));
    for (const seed of seeds) {
      const cell = await cells.aligned(data, seed, { method: mainMethod(cells, name) });
      const path = await cells.ballots(cell, data, seed);
      for (const k of counts) of.get(k)!.push(await majoritiesAt(path, k));
    }
    found.set(name, of);
  }
  const most = counts[counts.length - 1];
  return {
    name: "consistency",
    title: "Self-consistency",
    about:
      `maj@k: the most frequent final answer of k responses drawn at temperature 0.7. One set of ${votes} ` +
      "responses a question serves for every k: it is cut into blocks of k, and the share of right majorities is a " +
      "mean over blocks.",
    size: sizeOf(cells),
    claims: [
      ...["AFT-DC", "AFT-BC"].map((name) =>
        claimAbove(found.get(name)!.get(most)!, found.get("VFT")!.get(most)!, {
          claim: `${name} stays above VFT under self-consistency (maj@${most})`,
          theirs: "above",
        })
      ),
      claimAbove(found.get("AFT-BC")!.get(most)!, found.get("AFT-BC")!.get(1)!, {
        claim: `Votes help AFT-BC: maj@${most} is above maj@1`,
        theirs: "above",
      }),
    ],
    tables: [{
      name: "consistency",
      title: `maj@k on ${data}`,
      columns: [
        { key: "method", title: "Method" },
        ...counts.map((k) => ({
          key: `maj@${k}`,
          unit: "% ↑",
          percent: true,
          digits: 1,
          best: "highest" as const,
        })),
      ],
      rows: [...found].map(([method, of]): Row => ({
        method,
        ...Object.fromEntries(counts.map((k) => [`maj@${k}`, overSeeds(of.get(k)!.map(mean))])),
      })),
    }],
    plots: [{
      kind: "lines",
      title: "maj@k",
      x: "k",
      y: "accuracy",
      percent: true,
      doubling: true,
      series: [...found].map(([name, of]) => ({
        name,
        points: counts.map((k) => [k, overSeeds(of.get(k)!.map(mean))?.mean] as const),
      })),
    }],
  };
}

/** Of each question: the share of right majorities over the disjoint blocks of k of its responses. */
async function majoritiesAt(path: string, k: number): Promise<number[]> {
  const shares: number[] = [];
  for await (const group of readRecords(path)) {
    let right = 0, blocks = 0;
    for (let at = 0; at + k <= group.candidates.length; at += k, blocks++) {
      const { majority } = majorityResult(group, group.candidates.slice(at, at + k));
      if (majority?.correct) right++;
    }
    shares.push(blocks === 0 ? 0 : right / blocks);
  }
  return shares;
}
