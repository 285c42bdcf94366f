import { UsageError } from "./errors.ts";
import { suggestion } from "./suggestion.ts";

/** Every name among options of a type; the compiler asks for all of them, and for no other. */
export type NamesOf<Options> = Readonly<Record<keyof Options, true>>;

/**
 * Refuses an option that there is not, which a script without type checks can pass: a mistyped one would otherwise leave
 * the default in force without a word.
 *
 * @param of what has the options: "train"; options within another are `within` it: "prompt"
 * @throws {UsageError} that names the option, with a suggestion where one is near
 */
export function checkNames(
  options: object,
  names: Readonly<Record<string, true>>,
  { of, within }: { readonly of: string; readonly within?: string },
): void {
  const known = Object.keys(names);
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const path = within === undefined ? name : `${within}.${name}`;
    throw new UsageError(`Unknown option ${path} of ${of}${suggestion(name, known)}`);
  }
}
