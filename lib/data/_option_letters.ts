/** The letter of an option in free text. */

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** How `findOption` looks. */
export interface OptionSearch {
  /** Only the first letter behind `####` or "the answer is" (default false). */
  readonly strict: boolean;
  /** The options' texts (default: five options of unknown text). */
  readonly choices?: readonly string[];
}

// What may stand around a letter: brackets, emphasis, a box.
const OPEN = String.raw`(?:\\boxed|\\text(?:bf)?|\\math(?:rm|bf)|[\s$*({[]){0,8}`;

/** See `extractAnswer`, kind "option". */
export function findOption(text: string, { strict, choices }: OptionSearch): string | null {
  const last = LETTERS[(choices?.length ?? 5) - 1] ?? "Z";
  const letter = `([A-${last}])(?![\\w'’])`; // upper case: a lower-case "a" is an article
  const marked = new RegExp(`(?:####|\\b[Tt]he (?:final |correct )?answer is:?)${OPEN}${letter}`);
  const strictly = text.match(marked)?.[1];
  if (strict) return strictly ?? null;
  const announced = new RegExp(
    `(?:\\b(?:[Aa]nswer|ANSWER|[Aa]ns|ANS|[Oo]ption|OPTION|[Cc]hoice|CHOICE|[Cc]orrect)\\b|\\\\boxed)` +
      `(?:[\\s:=\\-–—.*,]|\\b(?:is|IS|choice|option|answer|Answer|OPTION|will be|must be|would be)\\b){0,12}${OPEN}${letter}`,
    "g",
  );
  // "A" before a word in lower case is an article ("A car …").
  const alone = new RegExp(`(?<![\\w'’.])(?!A\\s+[a-z])${letter}`, "g");
  return [...text.matchAll(announced)].at(-1)?.[1] ??
    strictly ??
    lowerCase(text, last) ??
    [...text.matchAll(alone)].at(-1)?.[1] ??
    lastChoice(text, choices);
}

/** A small letter, where a mark announces it and nothing follows on its line: `Answer: b`, `the answer is (b).` */
function lowerCase(text: string, last: string): string | undefined {
  const found = text.matchAll(
    new RegExp(
      `\\b[Aa]nswer\\b(?:[ \\t]{0,3}:|[ \\t]{1,3}is\\b:?)[ \\t*(]{0,4}([a-${last.toLowerCase()}])[*).]{0,4}[ \\t]{0,4}$`,
      "gm",
    ),
  );
  return [...found].at(-1)?.[1]?.toUpperCase();
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
