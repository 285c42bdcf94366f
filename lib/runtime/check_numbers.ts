import { UsageError } from "./errors.ts";

const meanings = {
  count: ["a whole number of at least 1", (n: number) => Number.isSafeInteger(n) && n >= 1],
  "count or 0": ["a whole number of at least 0", (n: number) => Number.isSafeInteger(n) && n >= 0],
  positive: ["above 0", (n: number) => n > 0],
  "positive or 0": ["at least 0", (n: number) => n >= 0],
  share: ["from 0 to 1", (n: number) => n >= 0 && n <= 1],
  number: ["a number", Number.isFinite],
} as const;

/** What each number among some options must be, by the option's name. */
export type NumberLimits = Readonly<Record<string, keyof typeof meanings>>;

/**
 * Refuses a number that has no meaning; one that is absent is fine.
 *
 * @param what begins the message: "Training option"
 * @throws {UsageError} that names the option
 */
export function checkNumbers(options: object, limits: NumberLimits, what: string): void {
  for (const [name, kind] of Object.entries(limits)) {
    const value = (options as Readonly<Record<string, unknown>>)[name], [expected, holds] = meanings[kind];
    if (value === undefined || typeof value === "number" && holds(value)) continue;
    throw new UsageError(
      `${what} ${name} must be ${expected}: got ${typeof value === "string" ? JSON.stringify(value) : value}`,
      { code: "option", fields: { option: name, value, expected } },
    );
  }
}
