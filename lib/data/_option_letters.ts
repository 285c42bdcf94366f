/** The letter of an option in free text. */

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** How `findOption` looks. */
export interface OptionSearch {
  /** Only the first letter behind `####` or "the answer is" (default false). */
  readonly strict: boolean;
  /** The options' texts (default: five options of unknown text). */
  readonly choices?: readonly string[];
}

/** See `extractAnswer`, kind "option". */
export function findOption(text: string, { strict, choices }: OptionSearch): string | null {
  const last = LETTERS[(choices?.length ?? 5) - 1] ?? "Z";
  const letter = `\\(?([A-${last}])(?![\\w'’])\\)?`; // upper case: a lower-case "a" is an article
  const marked = new RegExp(`(?:####|\\b[Tt]he (?:final |correct )?answer is:?)\\s*${letter}`);
  const strictly = text.match(marked)?.[1];
  if (strict) return strictly ?? null;
  const announced = new RegExp(
    `\\b(?:[Aa]nswer|ANSWER|[Aa]ns|ANS|[Oo]ption|OPTION|[Cc]hoice|CHOICE|[Cc]orrect)\\b` +
      `(?:[\\s:=\\-–—.*,]|\\b(?:is|IS|choice|option|answer|Answer|OPTION|will be|must be|would be)\\b){0,12}${letter}`,
    "g",
  );
  // "A" before a word in lower case is an article ("A car …").
  const alone = new RegExp(`(?<![\\w'’.])(?!A\\s+[a-z])${letter}`, "g");
  return [...text.matchAll(announced)].at(-1)?.[1] ??
    strictly ??
    [...text.matchAll(alone)].at(-1)?.[1] ??
    lastChoice(text, choices);
}

/** The letter of the option whose text occurs last; on a tie the longer one. */
function lastChoice(text: string, choices: readonly string[] = []): string | null {
  const folded = text.toLowerCase();
  let best: { end: number; length: number; letter: string } | undefined;
  choices.forEach((choice, i) => {
    const needle = choice.trim().toLowerCase();
    const at = needle === "" ? -1 : folded.lastIndexOf(needle);
    const end = at + needle.length;
    if (at < 0 || (best && (end < best.end || end === best.end && needle.length <= best.length))) return;
    best = { end, length: needle.length, letter: LETTERS[i] };
  });
  return best?.letter ?? null;
}
