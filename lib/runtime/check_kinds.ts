import { UsageError } from "./errors.ts";

const kinds = {
  text: ["a text that is not empty", (value: unknown) => typeof value === "string" && value !== ""],
  switch: ["true or false", (value: unknown) => typeof value === "boolean"],
  texts: [
    "a list of texts",
    (value: unknown) =>
      Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string"),
  ],
  source: [
    "a text or a function that gives problems",
    (value: unknown) => typeof value === "string" && value !== "" || typeof value === "function",
  ],
  object: [
    "an object",
    (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value),
  ],
  signal: ["an AbortSignal", (value: unknown) => value instanceof AbortSignal],
  world: [
    "a world, as `openWorld` gives it",
    (value: unknown) =>
      typeof value === "object" && value !== null && "rank" in value && "broadcast" in value,
  ],
} as const;

/** What each of some options must be, by the option's name. */
export type OptionKinds = Readonly<Record<string, keyof typeof kinds>>;

/**
 * Refuses an option of another kind than it has in its type, which a script without type checks can pass; one that is
 * absent is fine. Numbers have `checkNumbers`.
 *
 * @param what begins the message: "Option"
 * @throws {UsageError} that names the option
 */
export function checkKinds(options: object, expected: OptionKinds, what: string): void {
  for (const [name, kind] of Object.entries(expected)) {
    const value = (options as Readonly<Record<string, unknown>>)[name], [words, holds] = kinds[kind];
    if (value === undefined || holds(value)) continue;
    throw new UsageError(`${what} ${name} must be ${words}: got ${JSON.stringify(value) ?? typeof value}`, {
      code: "option",
      fields: { option: name, value, expected: words },
    });
  }
}
