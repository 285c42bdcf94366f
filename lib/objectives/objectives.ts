/**
 * The table of objectives: a new method is one file beside this one and one line here.
 */
import { UsageError } from "../runtime/errors.ts";
import { suggestion } from "../runtime/suggestion.ts";
import { checkObjective } from "./_check_objective.ts";
import { type ResolvedOptions, resolveOptions } from "./_options.ts";
import { checkedLoss } from "./checked_loss.ts";
import { type ObjectivePart, readSum, resolveSum, sumOf, termsOf } from "./sum.ts";
import { aStarPo } from "./a_star_po.ts";
import { aft } from "./aft.ts";
import { aftRank } from "./aft_rank.ts";
import { apoDown } from "./apo_down.ts";
import { apoZero } from "./apo_zero.ts";
import { cpo } from "./cpo.ts";
import { dpo } from "./dpo.ts";
import { dpoNorm } from "./dpo_norm.ts";
import { dpop } from "./dpop.ts";
import { drGrpo } from "./dr_grpo.ts";
import { grpo } from "./grpo.ts";
import { gspo } from "./gspo.ts";
import { hinge } from "./hinge.ts";
import { infonca } from "./infonca.ts";
import { ipo } from "./ipo.ts";
import { irpo } from "./irpo.ts";
import { kto } from "./kto.ts";
import { nca } from "./nca.ts";
import { nsr } from "./nsr.ts";
import { orpo } from "./orpo.ts";
import { pro } from "./pro.ts";
import { psr } from "./psr.ts";
import { reinforceRej } from "./reinforce_rej.ts";
import { rft } from "./rft.ts";
import { rloo } from "./rloo.ts";
import { robust } from "./robust.ts";
import { rrhf } from "./rrhf.ts";
import { scpo } from "./scpo.ts";
import { simpo } from "./simpo.ts";
import { vft } from "./vft.ts";
import type { Constraint, Objective, ObjectiveResult, ScoredGroup } from "./objective.ts";

/** Every objective by the name that `--objective` takes. */
export const objectives: Readonly<Record<string, Objective>> = {
  vft,
  rft,
  aft,
  "aft-rank": aftRank,
  rrhf,
  pro,
  dpo,
  "dpo-norm": dpoNorm,
  dpop,
  robust,
  ipo,
  hinge,
  "apo-zero": apoZero,
  "apo-down": apoDown,
  nca,
  infonca,
  simpo,
  orpo,
  cpo,
  kto,
  irpo,
  scpo,
  rloo,
  grpo,
  "dr-grpo": drGrpo,
  gspo,
  "reinforce-rej": reinforceRej,
  psr,
  nsr,
  "a-star-po": aStarPo,
};

/** What others call them: TRL's loss types, and how papers write the name. */
const elsewhere: Readonly<Record<string, string>> = {
  sigmoid: "dpo",
  cdpo: "dpo",
  sigmoid_norm: "dpo-norm",
  slic: "hinge",
  rso: "hinge",
  nca_pair: "nca",
  sft: "vft",
  reinforce: "rloo",
  "a*-po": "a-star-po",
};

/** What may be chosen for an objective: the constraint, and numbers by the names that the objective declares. */
export interface ObjectiveOptions {
  /** Default "none". */
  readonly constraint?: Constraint | undefined;
  /** Its own options; what is absent has its default. */
  readonly [option: string]: number | Constraint | undefined;
}

/**
 * An objective of the table, the caller's own, or a sum: `dpo-norm:1,aft:0.5`, with options `aft:0.5:beta=0.1`.
 *
 * @throws {UsageError} for another name, an object that is no objective, and objectives that cannot be added
 */
export function findObjective(objective: string | Objective): Objective {
  if (typeof objective !== "string") return termsOf(objective) ? objective : checkObjective(objective);
  if (Object.hasOwn(objectives, objective)) return objectives[objective]!;
  if (/[:,]/.test(objective)) return combine(readSum(objective));
  const names = Object.keys(objectives);
  throw new UsageError(
    `Objective must be one of ${names.join(", ")}, or a sum of some: got "${objective}"${
      nearest(objective, names)
    }`,
  );
}

/**
 * A sum of objectives, each with its weight: L = Σ w_i L_i, and so its derivatives.
 *
 * Each has its own options and constraint; the constraint of a training (`constraint: "dc"`) is for all that know it and have none of their own. In
 * the options of a training each goes by its name where only one of the sum has it, and otherwise as `"aft.beta"`. `vft` adds
 * the likelihood of references, where there are any.
 *
 * ```ts
 * import { combine, lossOf } from "./lib/objectives/mod.ts";
 *
 * const both = combine([{ objective: "simpo" }, { objective: "aft", weight: 0.5, options: { beta: 0.1 } }]);
 * console.log(both.name, lossOf(both, { scores: [-1, -2], lengths: [10, 10], correct: [true, false] }).value.toFixed(4));
 * ```
 *
 * @throws {UsageError} for a weight that is none, and for objectives whose needs differ: no kind of feedback that serves all
 * of them, or responses that one trains on and another does not
 */
export function combine(parts: readonly ObjectivePart[]): Objective {
  return sumOf(parts.map((part) => ({ ...part, objective: findObjective(part.objective) })));
}

/** Every option of an objective, and its constraint: what is absent has its default, the constraint "none". */
export function resolveObjective(objective: Objective, options: ObjectiveOptions): ResolvedOptions {
  return termsOf(objective) ? resolveSum(objective, options) : resolveOptions(objective, options);
}

/** The name that was meant, as a question. */
function nearest(name: string, names: readonly string[]): string {
  const lower = name.toLowerCase();
  const known = elsewhere[lower] ?? names.find((name) => name === lower.replaceAll("_", "-"));
  return known === undefined ? suggestion(name, names) : `: did you mean ${known}?`;
}

/**
 * The loss of one question and its derivative with respect to each score.
 *
 * ```ts
 * import { lossOf } from "./lib/objectives/mod.ts";
 *
 * const group = { scores: [-1, -2], lengths: [10, 10], correct: [true, false] };
 * const { value, gradient } = lossOf("aft", group, { constraint: "bc", beta: 0.2 });
 * console.log(value, gradient.length);
 * ```
 *
 * @param options of the objective: what is absent has its default, the constraint "none"
 * @throws {InputError} when the group lacks what the objective needs, or holds numbers that are none, and when an
 * objective of one's own returns something else than a number and a derivative for each candidate
 * @throws {UsageError} when an option has no meaning
 */
export function lossOf(
  objective: string | Objective,
  group: ScoredGroup,
  options: ObjectiveOptions = {},
): ObjectiveResult {
  const spec = findObjective(objective);
  return checkedLoss(spec, group, resolveObjective(spec, options));
}
