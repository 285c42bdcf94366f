/** The letter of an option in free text. */

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** How `findOption` looks. */
export interface OptionSearch {
  /** Only the first letter behind `####` or "the answer is" (default false). */
  readonly strict: boolean;
  /** The options' texts (default: five options of unknown text). */
  readonly choices?: readonly string[] | undefined;
}

// What may stand around a letter: brackets, emphasis, a box.
const OPEN = String.raw`(?:\\boxed|\\text(?:bf)?|\\math(?:rm|bf)|[\s$*({[]){0,8}`;

/** See `extractAnswer`, kind "option". */
export function findOption(text: string, { strict, choices }: OptionSearch): string | null {
  const last = LETTERS[(choices?.length ?? 5) - 1] ?? "Z";
  const letter = `([A-${last}])(?![\\w'’])`; // upper case: a lower-case "a" is an article, but for "(a)"
  const small = `(?<=\\()([a-${last.toLowerCase()}])(?=\\))`;
  const marked = new RegExp(
    `(?:####|\\b[Tt]he (?:final |correct )?answer is:?)${OPEN}(?:${letter}|${small})`,
  );
  const mark = text.match(marked), strictly = mark?.[1] ?? mark?.[2]?.toUpperCase();
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
    bracketed(text, last) ??
    [...text.matchAll(alone)].at(-1)?.[1] ??
    lastChoice(text, choices);
}

/**
 * A small letter, where it is all there is (`b`, `b.`, `(b)`), or where a mark announces it and nothing follows on its line
 * (`Answer: b`, `#### b`, `Option b.`) or a bracket closes it (`the answer is (b) because`, `Choice: b) 7`).
 */
function lowerCase(text: string, last: string): string | undefined {
  const letter = `([a-${last.toLowerCase()}])`;
  const alone = text.trim().match(new RegExp(`^[*([{]{0,4}${letter}[*)\\]}.:]{0,4}$`));
  if (alone) return alone[1]!.toUpperCase();
  const found = text.matchAll(
    new RegExp(
      `(?:\\b(?:[Aa]nswer|[Oo]ption|[Cc]hoice)\\b(?:[ \\t]{0,3}:|[ \\t]{1,3}is\\b:?)?|####|\\\\boxed)[ \\t*({[]{0,4}${letter}` +
        `(?:[*)}\\].]{0,4}[ \\t]{0,4}$|\\))`,
      "gm",
    ),
  );
  return [...found].at(-1)?.[1]?.toUpperCase();
}

/** The last letter in brackets, of either case, where a small one is among them: `(b)`, `b)`, but not `(vitamin c)` or `f(a)`. */
function bracketed(text: string, last: string): string | undefined {
  const letters = `[A-${last}a-${last.toLowerCase()}]`;
  let found: string | undefined, small = false, depth = 0, from = 0;
  for (const match of text.matchAll(new RegExp(`(?<![\\w'’)(])(\\(?)(${letters})\\)(?![\\w(])`, "g"))) {
    for (; from < match.index; from++) {
      if (text[from] === "\n") depth = 0;
      else if (text[from] === "(") depth++;
      else if (text[from] === ")") depth = Math.max(0, depth - 1);
    }
    if (match[1] === "" && depth > 0) continue;
    found = match[2];
    small ||= found !== found!.toUpperCase();
  }
  return small ? found!.toUpperCase() : undefined;
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
