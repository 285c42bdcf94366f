/** Flags of the objectives' own options, as the objectives declare them. */

import type { NumberOption, Objective } from "../../lib/objectives/objective.ts";
import { objectives } from "../../lib/objectives/objectives.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import { choice, number, type Option, type Options, preset } from "./option.ts";

const specs = Object.values(objectives);
const names = [...new Set(specs.flatMap(({ options }) => Object.keys(options)))];

/** `--objective`: one of the table, which completion lists, or a sum of some. Whether there is such a one is said later. */
export const objectiveOption: Option<string> = preset(
  {
    ...choice("--objective", {
      choices: Object.keys(objectives),
      metavar: "NAME",
      help: "What to train with; several with weights and options are added: dpo-norm:1,aft:0.5:beta=0.1",
    }),
    read: (word) => word === "" ? undefined : word,
  },
  "aft",
);

/** The flag of each option that an objective of the table has; its help says whose it is and what it is there. */
export const objectiveOptions: Readonly<Record<string, Option<number | undefined>>> = Object
  .fromEntries(names.map((name) => [name, optionOf(name)]));

function flagOf(name: string): `--${string}` {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/**
 * Refuses an objective with an option whose flag the training has already: it could not be given, or would be given to
 * both.
 *
 * @param taken the task's own options, which stand behind the objectives' so that they keep their flags
 * @throws {UsageError} that names both
 */
export function checkObjectiveFlags(spec: Objective, taken: Options): void {
  const flags = new Set(Object.values(taken).map(({ flag }) => flag));
  const doubled = Object.keys(spec.options).filter((name) => flags.has(flagOf(name)));
  if (doubled.length === 0) return;
  const names = doubled.map((name) => `"${name}"`).join(" and ");
  throw new UsageError(
    `Cannot use objective ${spec.name} here: its ${names} would have the flag ${
      doubled.map(flagOf).join(" and ")
    } of the training; call it something else`,
  );
}

/** The rest of a task's values: what an objective has an option for is not the task's own. */
export function withoutObjectiveValues<T extends object>(options: T): Omit<T, keyof typeof objectiveOptions> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !names.includes(name))) as T;
}

/** The values of these options that were given. */
export function objectiveValues(
  options: Readonly<Record<string, unknown>>,
): Record<string, number> {
  const given = names.map((name) => [name, options[name]] as const);
  return Object.fromEntries(
    given.filter((entry): entry is [string, number] => typeof entry[1] === "number"),
  );
}

function optionOf(name: string): Option<number | undefined> {
  const readers = specs.filter(({ options }) => name in options);
  const declared = readers.map((spec) => ({ reader: spec.name, option: spec.options[name] as NumberOption }));
  // One meaning a sentence: "β of …: default 0.1 for dpo, ipo, per nat".
  const byMeaning = Map.groupBy(
    declared,
    ({ option: { help, default: value, unit } }) => `${help}${unit ? `, ${unit}` : ""}: ${value}`,
  );
  const help = [...byMeaning].map(([meaning, of]) =>
    `${meaning} for ${of.map(({ reader }) => reader).join(", ")}`
  )
    .join("; ");
  const least = declared.map(({ option: { min, above } }) => min ?? above ?? -Infinity);
  const min = Math.min(...least);
  return {
    ...number(flagOf(name), { help, ...(Number.isFinite(min) && { min }) }),
    heading: "Options of the objective",
  };
}
