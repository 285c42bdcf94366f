/** Why RFT gains: more passes over the same references, or more ways to the same answers. */

import { selectRejectionSamples } from "../data/equations.ts";
import { readRecords } from "../pipeline/stages.ts";
import type { Outcome } from "../report/study.ts";
import type { Row } from "../report/table.ts";
import type { Cell, StudyCells } from "./cells.ts";
import { bySeed, claimAbove, modelColumns, modelRow, numbersOf, overSeeds, sizeOf } from "./figures.ts";
import type { Method } from "./method.ts";

/** VFT with as many responses read as RFT has, by passes; and RFT with the first of the candidates. */
export async function budget(cells: StudyCells): Promise<Outcome> {
  const { data: [data], epochs, limit, samples, seeds } = cells.settings;
  const kept = new Map<number, number[]>();
  const counts = [...new Set([1, 2, samples])];
  for (const count of counts) {
    kept.set(count, await Promise.all(seeds.map((seed) => responsesOf(cells, { data: data!, seed, count }))));
  }
  const rows: Row[] = [], found = new Map<string, Awaited<ReturnType<typeof bySeed>>>();
  const add = async (
    name: string,
    responses: readonly number[],
    cell: (seed: number) => Promise<Cell>,
  ) => {
    const all = await bySeed(cells, data!, cell);
    found.set(name, all);
    rows.push({ ...modelRow(name, all), responses: overSeeds(responses) });
  };
  for (const times of [1, 2, 3]) {
    const read = seeds.map(() => times * epochs * limit);
    await add(
      `VFT, ${times * epochs} passes`,
      read,
      (seed) => cells.vft(data!, seed, { epochs: times * epochs }),
    );
  }
  for (const count of counts) {
    const method: Method = { objective: "rft", ...(count !== samples && { change: { first: count } }) };
    const read = kept.get(count)!.map((responses) => epochs * responses);
    await add(`RFT, k = ${count}`, read, (seed) => cells.aligned(data!, seed, { method }));
  }
  const solved = (name: string) => numbersOf(found.get(name)!, "accuracy");
  const most = `RFT, k = ${samples}`;
  return {
    name: "budget",
    title: "More passes or more ways",
    about:
      `On ${data}: VFT that passes over the references more often, and RFT with the first k candidates of each question, ` +
      "of which it keeps the right ones, one for each list of equations. All from the base, at one peak learning rate.",
    size: sizeOf(cells),
    claims: [1, 2, 3].map((times) =>
      claimAbove(solved(most), solved(`VFT, ${times * epochs} passes`), {
        claim: `RFT with ${samples} candidates is above VFT with ${times * epochs} passes`,
        theirs: "not asked",
      })
    ),
    tables: [{
      name: "budget",
      title: `Responses read, and what came out on ${data}`,
      columns: [
        modelColumns[0]!,
        { key: "responses", title: "Responses read", digits: 0 },
        ...modelColumns.slice(1),
      ],
      rows,
    }],
    plots: [],
  };
}

/** References and kept candidates of a pass of RFT over the first `count` candidates of each question. */
async function responsesOf(
  cells: StudyCells,
  { data, seed, count }: { readonly data: string; readonly seed: number; readonly count: number },
): Promise<number> {
  let responses = 0;
  for await (const group of readRecords(await cells.candidates(data, seed))) {
    responses += 1 + selectRejectionSamples(group.candidates.slice(0, count), group.reference).length;
  }
  return responses;
}
