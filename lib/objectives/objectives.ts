/**
 * The table of objectives: a new method is one file beside this one and one line in either table.
 */
import { aft, aftTraits } from "./aft.ts";
import { aftRank, aftRankTraits } from "./aft_rank.ts";
import { dpo, dpoTraits } from "./dpo.ts";
import { ipo, ipoTraits } from "./ipo.ts";
import { irpo, irpoTraits } from "./irpo.ts";
import { kto, ktoTraits } from "./kto.ts";
import type { Objective, ObjectiveTraits } from "./objective.ts";
import { orpo, orpoTraits } from "./orpo.ts";
import { pro, proTraits } from "./pro.ts";
import { rft, rftTraits } from "./rft.ts";
import { rrhf, rrhfTraits } from "./rrhf.ts";
import { simpo, simpoTraits } from "./simpo.ts";
import { vft, vftTraits } from "./vft.ts";

/** Every objective by the name that `--objective` takes. */
export const objectives: Record<string, Objective> = {
  vft,
  rft,
  aft,
  "aft-rank": aftRank,
  rrhf,
  pro,
  dpo,
  ipo,
  simpo,
  orpo,
  kto,
  irpo,
};

/** What each objective needs and how it is trained, by the same names. */
export const objectiveTraits: Record<string, ObjectiveTraits> = {
  vft: vftTraits,
  rft: rftTraits,
  aft: aftTraits,
  "aft-rank": aftRankTraits,
  rrhf: rrhfTraits,
  pro: proTraits,
  dpo: dpoTraits,
  ipo: ipoTraits,
  simpo: simpoTraits,
  orpo: orpoTraits,
  kto: ktoTraits,
  irpo: irpoTraits,
};
