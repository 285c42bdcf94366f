/**
 * An objective's options: its defaults under what the caller chose, refused where they have no meaning.
 */
import { UsageError } from "../runtime/errors.ts";
import type { Constraint, ObjectiveOptions, ObjectiveTraits } from "./objective.ts";

const constraints: readonly Constraint[] = ["none", "dc", "bc"];

/** Both boundaries may be infinite: a boundary that lies infinitely far below never acts. */
function valid(name: string, value: number, boundary: boolean): string | undefined {
  if (boundary) return value >= 0 ? undefined : "a number of nats per token from 0 up";
  if (!Number.isFinite(value)) return "a finite number";
  if (name === "beta") return value > 0 ? undefined : "a number above 0";
  if (name === "gamma") return undefined;
  return value >= 0 ? undefined : "a number from 0 up";
}

/**
 * Every option that `traits.defaults` lists, resolved.
 *
 * @throws {UsageError} for an unknown constraint, one that the objective does not know, or a number out of range
 */
export function resolveOptions(
  objective: string,
  traits: ObjectiveTraits,
  options: ObjectiveOptions,
): Required<ObjectiveOptions> {
  const constraint = options.constraint ?? "none";
  if (!traits.constraints.includes(constraint)) {
    const known = constraints.includes(constraint);
    throw new UsageError(
      `Cannot use constraint "${constraint}" with objective ${objective}: expected ` +
        `${traits.constraints.join(", ")}${known ? " (it compares no candidates)" : ""}`,
    );
  }
  const resolved: Record<string, unknown> = { constraint };
  for (const [name, fallback] of Object.entries(traits.defaults)) {
    if (name === "constraint") continue;
    const value = options[name as keyof ObjectiveOptions] ?? fallback;
    // The β of aft and aft-rank is a boundary: they are the ones without an option of that name.
    const boundary = name === "boundary" || (name === "beta" && traits.defaults.boundary === undefined);
    const wanted = valid(name, value as number, boundary);
    if (wanted !== undefined) {
      throw new UsageError(`Cannot use ${name} ${value} with objective ${objective}: expected ${wanted}`);
    }
    resolved[name] = value;
  }
  return resolved as unknown as Required<ObjectiveOptions>;
}
