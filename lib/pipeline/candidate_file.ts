/** The file that a stage's candidates are written to. */

import type { Group } from "../data/records.ts";
import { InputError } from "../runtime/errors.ts";
import { writeAtomic } from "../runtime/files.ts";

/** Right candidates, wrong ones, groups with both, and all groups. */
export interface CandidateCounts {
  readonly right: number;
  readonly wrong: number;
  readonly mixed: number;
  readonly all: number;
}

/** Writes candidates and counts them. */
export async function writeCandidates(
  path: string,
  groups: AsyncIterable<Group>,
): Promise<CandidateCounts> {
  let right = 0, wrong = 0, mixed = 0, all = 0;
  await writeAtomic(path, async (sink) => {
    for await (const group of groups) {
      const correct = group.candidates.filter((c) => c.correct).length;
      right += correct;
      wrong += group.candidates.length - correct;
      if (correct > 0 && correct < group.candidates.length) mixed++;
      all++;
      await sink.write(`${JSON.stringify(group)}\n`);
    }
    if (all === 0) throw new InputError("Cannot align: the data has no problems");
  });
  return { right, wrong, mixed, all };
}
