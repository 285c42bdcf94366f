/**
 * The table of objectives: a new method is one file beside this one and one line here.
 */
import { InputError, UsageError } from "../runtime/errors.ts";
import { suggestion } from "../runtime/suggestion.ts";
import { checkObjective } from "./_check_objective.ts";
import { type ResolvedOptions, resolveOptions } from "./_options.ts";
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

/** An objective of the table, or the caller's own. Throws UsageError for another name, or an object that is no objective. */
export function findObjective(objective: string | Objective): Objective {
  if (typeof objective !== "string") return checkObjective(objective);
  if (Object.hasOwn(objectives, objective)) return objectives[objective]!;
  const names = Object.keys(objectives);
  throw new UsageError(
    `Objective must be one of ${names.join(", ")}: got "${objective}"${nearest(objective, names)}`,
  );
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
  return checkedLoss(spec, group, resolveOptions(spec, options));
}

/** As {@linkcode lossOf}, with options that are resolved. */
export function checkedLoss(
  spec: Objective,
  group: ScoredGroup,
  options: ResolvedOptions,
): ObjectiveResult {
  if (spec.needsTokens) requireTokens(spec.name, group);
  const result = spec.loss(group, options as never), { value, gradient, tokenGradient } = result ?? {};
  const bad = (what: string) => new InputError(`Cannot use objective ${spec.name}: ${what}`);
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw bad(`its value must be a finite number: got ${value}`);
  }
  if (gradient?.length !== group.scores.length) {
    throw bad(
      `its gradient must have ${group.scores.length} numbers, one a candidate: got ${
        gradient?.length ?? "none"
      }`,
    );
  }
  const at = Array.prototype.findIndex.call(gradient, (slope: number) => !Number.isFinite(slope));
  if (at >= 0) throw bad(`its gradient must be finite: got ${gradient[at]} for candidate ${at + 1}`);
  if (tokenGradient === undefined) return result;
  if (!spec.needsTokens) throw bad("it returns a tokenGradient without needsTokens");
  if (tokenGradient.length !== group.scores.length) {
    throw bad(
      `its tokenGradient must have ${group.scores.length} lists, one a candidate: got ${tokenGradient.length}`,
    );
  }
  for (const [c, slopes] of tokenGradient.entries()) {
    const place = `its tokenGradient of candidate ${c + 1}`;
    if (slopes.length !== group.lengths[c]) {
      throw bad(`${place} must have ${group.lengths[c]} numbers, one a token: got ${slopes.length}`);
    }
    const token = slopes.findIndex((slope) => !Number.isFinite(slope));
    if (token >= 0) throw bad(`${place} must be finite: got ${slopes[token]} for token ${token + 1}`);
  }
  return result;
}

/** Refuses a group that lacks the log-prob of a token. */
function requireTokens(name: string, { lengths, tokens }: ScoredGroup): void {
  const missing = Array.from(lengths).findIndex((length, c) => tokens?.[c]?.length !== length);
  if (missing < 0) return;
  throw new InputError(
    `Cannot use a group with objective ${name}: expected ${
      lengths[missing]
    } log-probs in tokens of candidate ` +
      `${missing + 1}: got ${tokens?.[missing]?.length ?? "none"}`,
  );
}
