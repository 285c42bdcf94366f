/**
 * Several objectives added up: what the sum needs, which options are whose, and its loss.
 */
import { UsageError } from "../runtime/errors.ts";
import { suggestion } from "../runtime/suggestion.ts";
import { constraints, type GivenOptions, type ResolvedOptions, resolveOptions } from "./_options.ts";
import { checkedLoss } from "./checked_loss.ts";
import type { Constraint, NumberOption, Objective, ObjectiveResult, ScoredGroup } from "./objective.ts";

/** One of the objectives of a sum. */
export interface ObjectivePart {
  /** Its name, or one of the caller's own. */
  readonly objective: string | Objective;
  /** What its loss is multiplied by, above 0 (default 1). */
  readonly weight?: number | undefined;
  /** Its constraint (default: the one that it is trained with alone). */
  readonly constraint?: Constraint | undefined;
  /** Its own options by name. */
  readonly options?: Readonly<Record<string, number>> | undefined;
}

/** One of the objectives of a sum, found. */
interface Term extends ObjectivePart {
  readonly objective: Objective;
  readonly weight: number;
}

/** What each sum is made of: an objective says nothing of it itself. */
const sums = new WeakMap<Objective, readonly Term[]>();

/** The objectives that an objective is the sum of; undefined for any other. */
export function termsOf(objective: Objective): readonly Term[] | undefined {
  return sums.get(objective);
}

/** Whether references teach an objective by themselves: through its VFT term, or `vft` in a sum. */
export function learnsReferences(objective: Objective): boolean {
  return Boolean(objective.addsVft) ||
    (termsOf(objective)?.some(({ objective }) => isVft(objective)) ?? false);
}

const isVft = ({ trainsOn }: Objective) => trainsOn === "reference";
const kindsOf = ({ feedback }: Objective) => feedback.join(" or ");

/**
 * The parts in a text: names with weights and options, `dpo-norm:1,aft:0.5:beta=0.1:constraint=bc`.
 *
 * @throws {UsageError} for a weight or a value that is no number
 */
export function readSum(text: string): ObjectivePart[] {
  const refuse = (what: string): never => {
    throw new UsageError(`Cannot read objective "${text}": ${what}`);
  };
  return text.split(",").map((part) => {
    const [name = "", ...rest] = part.split(":").map((word) => word.trim());
    if (name === "") refuse('expected NAME:WEIGHT, several with commas, such as "dpo-norm:1,aft:0.5"');
    const [first, ...others] = rest, weighted = first !== undefined && !first.includes("=");
    const number = (word: string, what: string) => {
      const value = /^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|Infinity)$/i.test(word) ? Number(word) : NaN;
      return Number.isNaN(value) ? refuse(`${what} must be a number: got "${word}"`) : value;
    };
    const options: Record<string, number> = {}, given = new Set<string>();
    let constraint: Constraint | undefined;
    for (const setting of weighted ? others : rest) {
      const [key = "", value = ""] = setting.split("=");
      if (!setting.includes("=")) {
        refuse(`what stands behind the weight of ${name} must be OPTION=VALUE: got "${setting}"`);
      }
      if (given.has(camel(key))) refuse(`${key} of ${name} is there twice`);
      given.add(camel(key));
      if (key !== "constraint") options[camel(key)] = number(value, `${key} of ${name}`);
      else if (constraints.includes(value as Constraint)) constraint = value as Constraint;
      else refuse(`constraint of ${name} must be ${constraints.join(", ")}: got "${value}"`);
    }
    return {
      objective: name,
      weight: weighted ? number(first, `the weight of ${name}`) : 1,
      constraint,
      options,
    };
  });
}

/** `sft-weight`, as flags have it, is `sftWeight`. */
const camel = (key: string) => key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());

/**
 * The sum as an objective; a sum among the parts is its own parts. Its options are named `aft.beta`, and so is what it was resolved to.
 *
 * @throws {UsageError} when the parts cannot be added, or one has an option or weight without meaning
 */
export function sumOf(parts: readonly (ObjectivePart & { readonly objective: Objective })[]): Objective {
  const terms = parts.flatMap((part): readonly Term[] => {
    const { objective, weight = 1, constraint, options } = part, own = termsOf(objective);
    if (own === undefined) return [{ ...part, weight }];
    if (Object.keys(options ?? {}).length > 0) {
      throw new UsageError(
        `Cannot give options to ${objective.name}, which is a sum: give them to its parts`,
      );
    }
    return own.map((term) => ({
      ...term,
      weight: term.weight * weight,
      constraint: term.constraint ?? constraint,
    }));
  });
  requireAlike(terms);
  const own = terms.map((term) => ({ ...term, resolved: resolveTerm(term, {}) }));
  const vft = terms.reduce((sum, { objective, weight }) => sum + weight * Number(objective.addsVft ?? 0), 0);
  const compared = terms.filter(({ objective }) => !isVft(objective)).map(({ objective }) => objective);
  const bounded = compared.find(({ constraints = [] }) => constraints.includes("bc"));
  const lessons = new Set(compared.map(({ learnsFrom = "pair" }) => learnsFrom));
  const sum: Objective = {
    name: terms.map(({ objective, weight }) => `${objective.name}:${weight}`).join(","),
    title: `Sum of ${terms.map(({ objective }) => objective.name).join(" and ")}`,
    feedback: sharedFeedback(compared),
    needsReferenceLogprobs: compared.some((one) => one.needsReferenceLogprobs),
    needsTokens: compared.some((one) => one.needsTokens),
    ...(bounded && { boundary: `${bounded.name}.${bounded.boundary ?? "boundary"}` }),
    ...(vft > 0 && { addsVft: vft }),
    trainsOn: compared[0]!.trainsOn ?? "candidates",
    learnsFrom: lessons.size === 1 ? [...lessons][0]! : "any",
    options: Object.fromEntries(
      own.flatMap(({ objective, resolved }) =>
        Object.entries(objective.options).map(([name, option]): [string, NumberOption] => [
          `${objective.name}.${name}`,
          { ...option, default: resolved[name] as number },
        ])
      ),
    ),
    loss: (group: ScoredGroup, options: ResolvedOptions) => lossOfSum(terms, group, options),
  };
  sums.set(sum, terms);
  return sum;
}

/** Refuses parts that cannot be trained together, naming two of them and what differs. */
function requireAlike(terms: readonly Term[]): void {
  const names = terms.map(({ objective }) => objective.name);
  const refuse = (what: string): never => {
    throw new UsageError(`Cannot add ${names.join(" and ")}: ${what}`);
  };
  if (terms.length === 0) throw new UsageError("Cannot add objectives: got none");
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) refuse(`${twice} is there twice`);
  for (const { objective: { name }, weight } of terms) {
    if (!(weight > 0 && weight < Infinity)) refuse(`the weight of ${name} must be above 0: got ${weight}`);
  }
  const compared = terms.map(({ objective }) => objective).filter((objective) => !isVft(objective));
  if (compared.length === 0) refuse("a sum needs an objective that compares candidates");
  const tokens = compared.find(({ averages }) => averages === "tokens");
  if (tokens) refuse(`the loss of ${tokens.name} is a mean over tokens, that of a sum one over questions`);
  const on = (objective: Objective) => objective.trainsOn ?? "candidates";
  const [first, ...others] = compared;
  const other = others.find((objective) => on(objective) !== on(first!));
  if (other) {
    const words = (objective: Objective) =>
      `${objective.name} trains on ${
        on(objective) === "samples"
          ? "the model's own samples alone"
          : on(objective) === "candidates"
          ? "candidates and the reference"
          : on(objective)
      }`;
    refuse(`${words(first!)}, ${words(other)}`);
  }
  const vft = terms.find(({ objective }) => isVft(objective));
  if (vft && on(first!) === "samples") {
    refuse(`${first!.name} trains on the model's own samples alone, ${vft.objective.name} on the reference`);
  }
  if (sharedFeedback(compared).length > 0) return;
  const needs = compared.filter(({ feedback }) => feedback.length > 0);
  for (const a of needs) {
    const b = needs.find(({ feedback }) => !feedback.some((kind) => a.feedback.includes(kind)));
    if (b) refuse(`${a.name} learns from ${kindsOf(a)}, ${b.name} from ${kindsOf(b)}`);
  }
  if (needs.length > 0) {
    refuse(
      `no kind of feedback serves all: ${
        needs.map((one) => `${one.name} learns from ${kindsOf(one)}`).join(", ")
      }`,
    );
  }
}

/** The kinds of feedback that serve all objectives that need any, as the first of them prefers them. */
function sharedFeedback(compared: readonly Objective[]): Objective["feedback"] {
  const [first, ...others] = compared.filter(({ feedback }) => feedback.length > 0);
  return first?.feedback.filter((kind) => others.every(({ feedback }) => feedback.includes(kind))) ?? [];
}

/** A part's options: its own, those of the training, its defaults; its own constraint comes before the one for all. */
function resolveTerm({ objective, constraint, options }: Term, given: GivenOptions): ResolvedOptions {
  const known = objective.constraints ?? ["none"];
  const asked = given.constraint !== undefined && known.includes(given.constraint)
    ? given.constraint
    : undefined;
  return resolveOptions(objective, {
    ...options,
    ...given,
    constraint: constraint ?? asked ?? objective.trainingConstraint,
  });
}

/**
 * Every option of a sum, as `aft.beta` and `aft.constraint`. A name alone is the option of the one part that has it.
 *
 * @throws {UsageError} for an option that no part has, more than one, or that is given twice, a constraint that none knows, and what a part refuses
 */
export function resolveSum(sum: Objective, { constraint, ...given }: GivenOptions): ResolvedOptions {
  const terms = termsOf(sum)!, names = Object.keys(sum.options);
  const chosen = terms.map((): Record<string, unknown> => ({}));
  for (const [option, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const whose = terms.flatMap(({ objective }, i) => {
      if (option in objective.options) return [{ i, name: option }];
      const [part, ...name] = option.split(".");
      return part === objective.name && name.join(".") in objective.options
        ? [{ i, name: name.join(".") }]
        : [];
    });
    if (whose.length === 0) {
      throw new UsageError(
        `Cannot use option \`${option}\` with objective ${sum.name}: it has ${names.join(", ") || "none"}${
          suggestion(option, names)
        }`,
      );
    }
    if (whose.length > 1) {
      const owners = whose.map(({ i }) => terms[i]!);
      throw new UsageError(
        `Cannot tell whose ${option} is meant with objective ${sum.name}: ${
          owners.map(({ objective }) => objective.name).join(" and ")
        } have it; give it to each, as in ${owners[0]!.objective.name}:${
          owners[0]!.weight
        }:${option}=${value}`,
      );
    }
    const { i, name } = whose[0]!, { objective, options = {} } = terms[i]!;
    if (name in options || name in chosen[i]!) {
      throw new UsageError(
        `Cannot use option \`${option}\` with objective ${sum.name}: ${name} of ${objective.name} is given twice`,
      );
    }
    chosen[i]![name] = value;
  }
  if (
    constraint !== undefined && !terms.some(({ objective }) => objective.constraints?.includes(constraint))
  ) {
    throw new UsageError(
      `Cannot use constraint "${constraint}" with objective ${sum.name}: none of them knows it`,
    );
  }
  const resolved: Record<string, number | Constraint> = {};
  terms.forEach((term, i) => {
    for (const [name, value] of Object.entries(resolveTerm(term, { ...chosen[i], constraint }))) {
      if (name === "constraint" && term.objective.constraints === undefined) continue;
      resolved[`${term.objective.name}.${name}`] = value;
    }
  });
  return { ...resolved, constraint: constraint ?? "none" } as ResolvedOptions;
}

/** Σ w L and its derivatives. A group without a reference adds nothing to the part that is VFT. */
function lossOfSum(terms: readonly Term[], group: ScoredGroup, options: ResolvedOptions): ObjectiveResult {
  const gradient = new Float64Array(group.scores.length);
  let value = 0, tokenGradient: Float64Array[] | undefined;
  for (const { objective, weight } of terms) {
    if (isVft(objective) && group.reference === undefined) continue;
    const prefix = `${objective.name}.`;
    const own = Object.entries(options).flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value] as const] : []
    );
    const result = checkedLoss(objective, group, { constraint: "none", ...Object.fromEntries(own) });
    value += weight * result.value;
    result.gradient.forEach((slope, i) => gradient[i]! += weight * slope);
    if (result.tokenGradient === undefined) continue;
    tokenGradient ??= Array.from(group.lengths, (length) => new Float64Array(length));
    result.tokenGradient.forEach((slopes, c) =>
      slopes.forEach((slope, t) => tokenGradient![c]![t]! += weight * slope)
    );
  }
  return { value, gradient, ...(tokenGradient && { tokenGradient }) };
}
