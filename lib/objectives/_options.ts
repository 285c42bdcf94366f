/**
 * An objective's options: its defaults under what the caller chose, refused where they have no meaning.
 */
import { UsageError } from "../runtime/errors.ts";
import { suggestion } from "../runtime/suggestion.ts";
import type { Constraint, NumberOption, Objective } from "./objective.ts";

/** Every constraint there is. */
export const constraints: readonly Constraint[] = ["none", "dc", "bc"];

/** Options by name, each a number or absent, and the constraint. */
export type GivenOptions =
  & { readonly constraint?: Constraint | undefined }
  & Readonly<Record<string, unknown>>;

/** Every option of an objective, and its constraint. */
export type ResolvedOptions =
  & { readonly constraint: Constraint }
  & Readonly<Record<string, number | Constraint>>;

/** What a value must be; undefined when it is that. */
function refusal(
  value: unknown,
  { min, above, below, oneOf, infinite, unit }: NumberOption,
): string | undefined {
  const number = typeof value === "number" && !Number.isNaN(value) ? value : undefined;
  const what = unit === undefined || unit.startsWith("per") ? "a number" : `a number of ${unit}`;
  if (number === undefined || (!Number.isFinite(number) && !(infinite && number > 0))) {
    return infinite && min === 0 ? `${what} from 0 up` : "a finite number";
  }
  if (oneOf && !oneOf.includes(number)) return oneOf.join(" or ");
  if (below !== undefined && (number >= below || number < (min ?? -Infinity))) {
    return `${what}${min === undefined ? "" : ` from ${min} up and`} below ${below}`;
  }
  if (above !== undefined && number <= above) return `a number above ${above}`;
  if (min !== undefined && number < min) return `${what} from ${min} up`;
  return undefined;
}

/**
 * Every option that an objective has, resolved.
 *
 * @throws {UsageError} for an unknown constraint, one that the objective does not know, an unknown option, or a number
 * out of range
 */
export function resolveOptions(spec: Objective, given: GivenOptions): ResolvedOptions {
  const { constraint = "none", ...rest } = given, known = spec.constraints ?? ["none"];
  if (!known.includes(constraint)) {
    const alone = known.length === 1 && constraints.includes(constraint);
    throw new UsageError(
      `Cannot use constraint "${constraint}" with objective ${spec.name}: expected ` +
        `${known.join(", ")}${alone ? " (it compares no candidates)" : ""}`,
    );
  }
  const names = Object.keys(spec.options);
  for (const [name, value] of Object.entries(rest)) {
    if (value === undefined || names.includes(name)) continue;
    throw new UsageError(
      `Cannot use option \`${name}\` with objective ${spec.name}: it has ${names.join(", ") || "none"}${
        suggestion(name, names)
      }`,
    );
  }
  const resolved: Record<string, number> = {};
  for (const [name, option] of Object.entries(spec.options)) {
    const value = rest[name] ?? option.default, wanted = refusal(value, option);
    if (wanted !== undefined) {
      throw new UsageError(`Cannot use ${name} ${value} with objective ${spec.name}: expected ${wanted}`);
    }
    resolved[name] = value as number;
  }
  return { ...resolved, constraint } as ResolvedOptions;
}
