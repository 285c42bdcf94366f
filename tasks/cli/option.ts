/**
 * One option of a task: how it is spelled, what it accepts, what it is when nobody gives it. The same check serves
 * the command line and the configuration file.
 */

import { suggestion } from "../../lib/runtime/suggestion.ts";

/** An option whose value has type `T`. */
export interface Option<T> {
  /** `--name`; without the dashes, also its key in a configuration file. */
  readonly flag: `--${string}`;
  /** `-n`, where it has a short form. */
  readonly short?: `-${string}` | undefined;
  /** What it does, for `--help`. */
  readonly help: string;
  /** The heading in `--help`, of one that no heading there lists. */
  readonly heading?: string;
  /** The word that stands for the value in `--help`: "DIR". Empty for a switch, which takes none. */
  readonly metavar: string;
  /** What a value must be, as in "must be a positive integer". */
  readonly expected: string;
  /** Type of the value in a configuration file. */
  readonly json: "string" | "number" | "boolean" | "list";
  /** The values to complete to, where there are few. */
  readonly choices: readonly string[];
  /** The value in a text, of a list one of its items; undefined when the text is not one. */
  readonly read: (text: string) => unknown;
  /** The value when none is given. */
  readonly initial: T;
  /** Whether the task cannot run without it. */
  readonly required: boolean;
}

/** The options of a task, by the names that its code uses. */
export type Options = Readonly<Record<string, Option<unknown>>>;

/** The values of some options, by the same names. */
export type Values<O extends Options> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

/** What every constructor of an option takes. */
export interface OptionText {
  /** What it does, for `--help`. */
  readonly help: string;
  /** The word that stands for the value in `--help`. */
  readonly metavar?: string;
  /** `-n`, where it has a short form. */
  readonly short?: `-${string}`;
}

/** The bounds of a number. */
export interface Bounds {
  /** The smallest value allowed. */
  readonly min?: number;
  /** The value must be above this one. */
  readonly above?: number;
  /** The largest value allowed. */
  readonly max?: number;
}

/** The long form of an option. */
export type Flag = `--${string}`;

/** A text that is not empty. */
export function text(flag: Flag, options: OptionText): Option<string | undefined> {
  const { help, short, metavar = "TEXT" } = options;
  const read = (value: string) => value === "" ? undefined : value;
  const expected = "a text that is not empty";
  return { flag, short, help, metavar, expected, json: "string", choices: [], read, ...absent };
}

/** Texts that are not empty, each given by the same flag once more; in a configuration file a list of them. */
export function texts(flag: Flag, options: OptionText): Option<readonly string[] | undefined> {
  return { ...text(flag, options), json: "list", ...absent };
}

/** One of a few words. */
export function choice<const C extends string>(
  flag: Flag,
  options: OptionText & { readonly choices: readonly C[] },
): Option<C | undefined> {
  const { help, short, choices, metavar = choices.length <= 4 ? choices.join("|") : "NAME" } = options;
  const read = (value: string) => choices.includes(value as C) ? value : undefined;
  const expected = choices.length === 1
    ? choices.join()
    : `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`;
  return { flag, short, help, metavar, expected, json: "string", choices, read, ...absent };
}

/** A decimal number within bounds, which may be written with an exponent (`2e-5`). */
export function number(flag: Flag, options: OptionText & Bounds): Option<number | undefined> {
  const { help, short, min = -Infinity, above = -Infinity, max = Infinity, metavar = "NUMBER" } = options;
  const bounds = [
    Number.isFinite(above) ? `above ${above}` : Number.isFinite(min) ? `of at least ${min}` : "",
    Number.isFinite(max) ? `at most ${max}` : "",
  ].filter((bound) => bound !== "").join(" and ");
  const read = (value: string) => {
    if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value)) return undefined;
    const result = Number(value);
    return Number.isFinite(result) && result >= min && result > above && result <= max ? result : undefined;
  };
  const expected = `a number ${bounds}`.trim();
  return { flag, short, help, metavar, expected, json: "number", choices: [], read, ...absent };
}

/** A whole number within bounds; without any, a positive one. */
export function integer(
  flag: Flag,
  options: OptionText & { readonly min?: number; readonly max?: number },
): Option<number | undefined> {
  const { help, short, min = 1, max = Number.MAX_SAFE_INTEGER, metavar = "N" } = options;
  const expected = max < Number.MAX_SAFE_INTEGER
    ? `an integer from ${min} to ${max}`
    : min === 1
    ? "a positive integer"
    : `an integer of at least ${min}`;
  const read = (value: string) => {
    const result = /^-?\d+$/.test(value) ? Number(value) : NaN;
    return result >= min && result <= max ? result : undefined;
  };
  return { flag, short, help, metavar, expected, json: "number", choices: [], read, ...absent };
}

/** Something to switch on, without a short form; a configuration file's `true` is switched off again by `--no-NAME`. */
export function toggle(flag: Flag, options: { readonly help: string }): Option<boolean> {
  const { help } = options;
  const read = (value: string) => value === "true" ? true : value === "false" ? false : undefined;
  const expected = "true or false";
  const json = "boolean";
  return {
    flag,
    help,
    metavar: "",
    expected,
    json,
    choices: [],
    read,
    initial: false,
    required: false,
  };
}

const absent = { initial: undefined, required: false } as const;

/** The same option, without which the task cannot run. */
export function required<T>(option: Option<T>): Option<NonNullable<T>> {
  return { ...option, initial: undefined as never, required: true };
}

/** The same option with another default, and another help text if the task has a better one. */
export function preset<T>(
  option: Option<T>,
  initial: NonNullable<T>,
  help = option.help,
): Option<NonNullable<T>> {
  if (option.read(String(initial)) === undefined) {
    throw new RangeError(`Default of ${option.flag} must be ${option.expected}: got ${initial}`);
  }
  return { ...option, help, initial, required: false };
}

/** The option's key in a configuration file: the flag without its dashes. */
export function configurationKey(option: Option<unknown>): string {
  return option.flag.slice(2);
}

/**
 * `must be …: got …`, with a suggestion where the option knows its values; in a configuration file a list's items are
 * given together.
 */
export function refusal(option: Option<unknown>, found: unknown, from: "flag" | "file" = "flag"): string {
  if (option.json === "list" && from === "file") {
    return `must be a list of texts that are not empty: got ${JSON.stringify(found)}`;
  }
  const near = typeof found === "string" ? suggestion(found, option.choices) : "";
  return `must be ${option.expected}: got ${JSON.stringify(found) ?? found}${near.replace(":", ",")}`;
}
