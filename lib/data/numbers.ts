/**
 * The grammar of numbers, as people and models write them: one place for what a number is, what it is worth, and when
 * two are the same.
 *
 *   number    = [sign] [currency] [sign] magnitude ["%"]
 *   magnitude = decimal [exponent] [scale] | integer mixed-part | fraction | power
 *
 * - **sign**: `-` `−` `–` `—`, with or without blanks behind it. It belongs to the number where no operand is before it:
 *   `-3`, `to -3`, `= - 3`; not in `7-3`, `5 - 3`, `Answer - 3`.
 * - **decimal**: digits of any script, `.` before decimals; thousands by comma, blank (also narrow and fixed), apostrophe,
 *   underscore, `{,}`, `\,`; Indian groups `12,50,000`.
 * - **exponent**: `2e3`, `2 x 10^3`, `2×10³`, `2 \times 10^{3}`; **power**: `10^6`, `10⁶`, `2^10`.
 * - **scale**: hundred, thousand, million, billion, trillion, lakh, crore; `5k`; behind a currency also `$2M`, `$3bn`.
 * - **fraction**: `3/4`, `¾`, `\frac{3}{4}`, `\dfrac34`; **mixed**: `2 2/3`, `2⅔`, `2\frac{2}{3}`, `2 and 2/3`.
 * - **percent** is a unit, like dollars: 50% is 50, not 0.5; that is how GSM8K's answers are written, and what lm-eval does.
 *
 * What looks like a number and is none, or is two, has no value and is never cut to its first digits: `3:30`, `1.2.3`,
 * `2,34`, `3/4/2020`, `0b11`. Digits that belong to a word or an exponent are no number at all: `CO2`, `m2`, `m^2`, `x_1`.
 *
 * Everything takes time in proportion to the text: a scanner, no search that starts again.
 */

import { foldDigits } from "./_digits.ts";
import { decimalText, fractionText, mixedText, powerText, scaledText } from "./_exact.ts";

/** A number in a text. */
export interface FoundNumber {
  /** Where it starts, its sign and currency included. */
  readonly start: number;
  /** Where it ends, a percent sign included. */
  readonly end: number;
  /** `-1234.5`, `8/3`; null where it looks like a number and is none, or two. */
  readonly value: string | null;
}

const BLANK = /[ \t\u00a0\u2007\u2009\u202f]/;
const DASHES = "-−–—";
const SEPARATORS = ["{,}", "\\,", ",\\!", ",", " ", "\u00a0", "\u2007", "\u2009", "\u202f", "'", "’", "_"];
/** Words that stand directly before digits and are no part of them: currencies, and a blank forgotten. */
const PREFIXES = /(?:^|[^\p{L}])(?:USD|US|EUR|GBP|CHF|CAD|AUD|INR|HK|Rs|RM|is|are|was|be|to|of)$/u;
const VULGAR: Readonly<Record<string, readonly [number, number]>> = {
  "½": [1, 2],
  "⅓": [1, 3],
  "⅔": [2, 3],
  "¼": [1, 4],
  "¾": [3, 4],
  "⅕": [1, 5],
  "⅖": [2, 5],
  "⅗": [3, 5],
  "⅘": [4, 5],
  "⅙": [1, 6],
  "⅚": [5, 6],
  "⅐": [1, 7],
  "⅛": [1, 8],
  "⅜": [3, 8],
  "⅝": [5, 8],
  "⅞": [7, 8],
  "⅑": [1, 9],
  "⅒": [1, 10],
};
const SCALES: Readonly<Record<string, number>> = {
  hundred: 2,
  thousand: 3,
  k: 3,
  lakh: 5,
  million: 6,
  mn: 6,
  m: 6,
  crore: 7,
  billion: 9,
  bn: 9,
  b: 9,
  trillion: 12,
};
const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

const START = /\d|\\[dtc]?frac(?![a-z])|[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒]/g;
const EXPONENT = /[eE]([+-]?\d{1,4})(?![\p{L}\d.])/uy;
const POWER =
  /[ ]?(?:\^|\*\*)[ ]?(?:\{[ ]?([-−+]?\d{1,4})[ ]?\}|([-−+]?\d{1,4}))(?!\d)|([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4})/y;
const TIMES_TEN = /[ ]{0,3}(?:x|X|×|\*|·|\\times|\\cdot)[ ]{0,3}10(?=[ ]?\^|\*\*|[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹])/y;
const SCALE =
  /[ \u00a0\u202f]?(hundred|thousand|million|billion|trillion|lakh|crore|mn|bn)s?(?!\p{L})|(k)(?!\p{L})/iuy;
const MONEY_SCALE = /[ ]?([mb])(?!\p{L})/iuy;
const SLASH = /[ \u00a0\u202f]?[/⁄∕][ \u00a0\u202f]?(?=\d)/y;
const MIXED = /[ \u00a0\u2009\u202f]{1,2}(?:and[ ])?(\d{1,9})[ ]?[/⁄∕][ ]?(\d{1,9})(?![\d/⁄∕]|[.,]\d)/y;
const LATEX = /\\[dtc]?frac[ ]?(?:\{([^{}]{1,60})\}|(\d))[ ]?(?:\{([^{}]{1,60})\}|(\d))/y;
/** What a malformed number goes on with. */
const MORE = /[.,:/]\d+/y;
/** What follows the zero of a number in another base: 0x1F, 0b11, 0o17. */
const BASED = /(?:[xX][\da-fA-F]+|[bB][01]+|[oO][0-7]+)(?![\p{L}\d])/uy;
const PERCENT = /[ ]?\\?%/y;

/**
 * The numbers of a text whose digits are folded (`foldDigits`), from left to right. With `statement` the text is what
 * follows a mark, so that a sign at its beginning is one even with a blank behind it; elsewhere that is a bullet. At most `most` are read.
 */
export function listNumbers(
  text: string,
  options: { readonly statement?: boolean; readonly most?: number } = {},
): FoundNumber[] {
  const found: FoundNumber[] = [];
  const starts = new RegExp(START);
  const { statement = false, most = Infinity } = options;
  for (let hit = starts.exec(text); hit && found.length < most; hit = starts.exec(text)) {
    const at = hit.index;
    if (hit[0].length === 1 && belongsToWord(text, at)) {
      starts.lastIndex = runEnd(text, at);
      continue;
    }
    const after = found.at(-1)?.end ?? 0;
    const prefix = readPrefix(text, { digits: at, after, statement });
    const { end, value } = readMagnitude(text, { at, start: prefix.digits, money: prefix.money });
    const full = match(PERCENT, text, end)?.end ?? end;
    found.push({
      start: prefix.start,
      end: full,
      value: prefix.negative && value !== null ? negated(value) : value,
    });
    starts.lastIndex = full;
  }
  return found;
}

/** What follows a number that is a whole answer: nothing, or its unit in at most three words. */
const UNIT =
  /^[ \t\u00a0\u202f]*(?:°?[\p{L}\p{M}µ$€£¥₹²³°%'’.\-/·^{}23]*(?:[ \t\u00a0\u202f]+|$)){0,3}[.!]?$/u;
/** What follows a number that is a factor or a part of something else, not of a unit. */
const NO_UNIT =
  /^\s?(?:[xyzn](?![\p{L}])|π|√|\\(?:pi|sqrt|cdot|times)|[ap]\.?m\.?$|(?:and|or|to|plus|minus|times|over)(?!\p{L})|(?:January|February|March|April|May|June|July|August|September|October|November|December)(?!\p{L})|[-+*/^](?![\p{L}])|\^|[{}])/u;

/** LaTeX's degrees, which are no power. */
const DEGREES = /^\s?(?:\^\s?(?:\\circ|\{\s?\\circ\s?\})|\\degree)(?![a-z])/;

/**
 * The value of a text that is one number and nothing else but a unit: `$1,234.50` → `1234.5`, `24 m^2` → `24`,
 * `+5` → `5`, `2⅔` → `8/3`, `1 1/2` → `1.5`, `x = 5` → `5`. Null for any other text.
 */
export function parseNumber(text: string): string | null {
  const folded = inner(foldDigits(text).trim());
  const numbers = listNumbers(folded, { statement: true, most: 2 });
  const [number] = numbers;
  if (number === undefined || numbers.length > 1 || number.start > 0) return null;
  return isUnit(folded.slice(number.end)) ? number.value : null;
}

/** Without what may stand around a number that is a whole answer: a name and `=`, a plus, a currency's code, `$…$`. */
function inner(text: string): string {
  const bare = text.replace(/^(?:\p{L}[ ]?=(?!=)|[≈~+])[ ]?/u, "").replace(
    /^(?:USD|EUR|GBP|CHF|INR|Rs\.?|US(?=\$))[ ]?/,
    "",
  );
  return bare.length > 1 && bare.startsWith("$") && bare.endsWith("$") ? bare.slice(1, -1).trim() : bare;
}

/** Whether a text that follows a number is nothing, or the number's unit. */
export function isUnit(rest: string): boolean {
  const unit = rest.replace(DEGREES, "°");
  return unit.length <= 60 && !NO_UNIT.test(unit) && UNIT.test(unit.trimEnd());
}

/** The value of a number in the form of `parseNumber`; NaN for any other text. */
export function numberValue(canonical: string): number {
  const [numerator = "", denominator = "1", ...more] = canonical.split("/", 3);
  const isDecimal = (part: string) => /^-?(?:\d+\.?\d*|\.\d+)$/.test(part);
  if (more.length > 0 || !isDecimal(numerator) || !isDecimal(denominator)) return NaN;
  const value = Number(numerator) / Number(denominator);
  return Number.isFinite(value) ? value : NaN;
}

/**
 * Whether two numbers in the form of `parseNumber` are the same: two integers exactly, at any size; others where
 *
 *   |a − b| ≤ tolerance · max(|a|, |b|)
 */
export function numbersEqual(a: string, b: string, tolerance: number): boolean {
  if (a === b) return true;
  if (isInteger(a) && isInteger(b)) return false;
  const x = numberValue(a), y = numberValue(b);
  // A third is 0.3333 to four digits: that is the tolerance itself, give or take a rounding.
  return Math.abs(x - y) <= tolerance * (1 + 1e-9) * Math.max(Math.abs(x), Math.abs(y));
}

function isInteger(canonical: string): boolean {
  return !canonical.includes(".") && !canonical.includes("/");
}

function negated(value: string): string {
  return value === "0" ? value : value.startsWith("-") ? value.slice(1) : `-${value}`;
}

/** Whether the digits at `at` are a part of a word (`CO2`, `m2`) or an exponent or index (`m^2`, `x_{1}`). */
function belongsToWord(text: string, at: number): boolean {
  const before = text[at - 1] ?? "", two = text[at - 2] ?? "";
  if (before === "^" || before === "_" && !/\d/.test(two) || before === "{" && (two === "^" || two === "_")) {
    return true;
  }
  // Scripts without blanks between words have digits behind letters; those with capitals have not.
  return /[\p{Lu}\p{Ll}]/u.test(before) && !PREFIXES.test(text.slice(Math.max(0, at - 5), at));
}

function runEnd(text: string, at: number): number {
  while (isDigit(text, at)) at++;
  return at;
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57;
}

interface Prefix {
  readonly start: number;
  /** Where the digits begin: before the point of `.75`. */
  readonly digits: number;
  readonly money: boolean;
  readonly negative: boolean;
}

function readPrefix(
  text: string,
  { digits: at, after, statement }: {
    readonly digits: number;
    readonly after: number;
    readonly statement: boolean;
  },
): Prefix {
  let digits = at;
  if (
    text[at - 1] === "." && isDigit(text, at) && at - 1 >= after && !/[\p{L}\d).]/u.test(text[at - 2] ?? "")
  ) digits--;
  let start = digits, money = false;
  const inner = readSign(text, start, { after, statement });
  const behind = inner ?? start;
  const blank = BLANK.test(text[behind - 1] ?? "") ? 1 : 0;
  if (behind - blank - 1 >= after && /\p{Sc}/u.test(text[behind - blank - 1] ?? "")) {
    start = behind - blank - 1;
    if (text[start - 1] === "\\") start--;
    money = true;
  }
  const outer = money ? readSign(text, start, { after, statement }) : undefined;
  const negative = (inner !== undefined) !== (outer !== undefined);
  return { start: outer ?? (money ? start : behind), digits, money, negative };
}

/** Where the sign before `at` stands, or nothing. */
function readSign(
  text: string,
  at: number,
  { after, statement }: { readonly after: number; readonly statement: boolean },
): number | undefined {
  let sign = at - 1;
  while (sign >= after && at - sign < 4 && BLANK.test(text[sign] ?? "")) sign--;
  if (sign < after || !DASHES.includes(text[sign]!)) return undefined;
  const touching = sign === at - 1, before = text[sign - 1] ?? "";
  if (touching) {
    return /[\p{L}\p{N}_)\]}%]/u.test(before) || DASHES.includes(before || " ") ? undefined : sign;
  }
  let operand = sign - 1;
  while (operand >= 0 && sign - operand < 4 && BLANK.test(text[operand] ?? "")) operand--;
  if (operand < 0) return statement ? sign : undefined;
  return /[=(:{[≈→#]/.test(text[operand]!) ||
      /(?:^|\s)is$/.test(text.slice(Math.max(0, operand - 2), operand + 1))
    ? sign
    : undefined;
}

interface Magnitude {
  readonly end: number;
  readonly value: string | null;
}

function readMagnitude(
  text: string,
  { at, start, money }: { readonly at: number; readonly start: number; readonly money: boolean },
): Magnitude {
  const part = readFraction(text, at);
  if (part) return scaled(text, part.end, { value: part.value && fractionText(...part.value), money });
  const whole = start < at ? { end: at - 1, digits: "0", groups: true } : readInteger(text, at);
  let end = whole.end, decimals = "";
  if (text[end] === "." && isDigit(text, end + 1)) {
    const last = runEnd(text, end + 1);
    decimals = text.slice(end + 1, last);
    end = last;
  }
  const based = whole.digits === "0" && decimals === "" ? match(BASED, text, end) : undefined;
  if (based) return { end: based.end, value: null };
  if (!whole.groups || match(MORE, text, end)?.text.match(/^[.,:]/)) return malformed(text, end);
  if (decimals === "") {
    const slash = match(SLASH, text, end);
    if (slash) {
      const below = readInteger(text, slash.end), rest = readDecimals(text, below.end);
      if (!below.groups || match(MORE, text, rest.end)) return malformed(text, rest.end);
      return { end: rest.end, value: fractionText(whole.digits, below.digits + rest.text) };
    }
    const mixed = match(MIXED, text, end);
    if (mixed && Number(mixed.groups[0]) < Number(mixed.groups[1])) {
      return scaled(text, mixed.end, {
        value: mixedText(whole.digits, mixed.groups[0]!, mixed.groups[1]!),
        money,
      });
    }
    const behind = readFraction(text, end) ??
      (BLANK.test(text[end] ?? "") ? readFraction(text, end + 1) : undefined);
    if (behind) {
      return scaled(text, behind.end, {
        value: behind.value && mixedText(whole.digits, ...behind.value),
        money,
      });
    }
  }
  const exponent = match(EXPONENT, text, end);
  if (exponent) {
    return { end: exponent.end, value: decimalText(whole.digits, decimals, Number(exponent.groups[0])) };
  }
  const ten = match(TIMES_TEN, text, end);
  const power = match(POWER, text, ten?.end ?? end);
  if (power) {
    const by = exponentOf(power.groups);
    const value = ten
      ? decimalText(whole.digits, decimals, by)
      : decimals === ""
      ? powerText(whole.digits, by)
      : null;
    return { end: power.end, value };
  }
  const slash = match(SLASH, text, end); // behind decimals: 1.5/2
  if (slash) {
    const below = readDecimals(text, runEnd(text, slash.end));
    const value = fractionText(`${whole.digits}.${decimals}`, text.slice(slash.end, below.end));
    return { end: below.end, value };
  }
  return scaled(text, end, { value: decimalText(whole.digits, decimals, 0), money });
}

function readDecimals(text: string, at: number): { readonly end: number; readonly text: string } {
  if (text[at] !== "." || !isDigit(text, at + 1)) return { end: at, text: "" };
  const end = runEnd(text, at + 1);
  return { end, text: text.slice(at, end) };
}

function scaled(
  text: string,
  end: number,
  { value, money }: { readonly value: string | null; readonly money: boolean },
): Magnitude {
  const scale = match(SCALE, text, end) ?? (money ? match(MONEY_SCALE, text, end) : undefined);
  if (!scale) return { end, value };
  const word = (scale.groups[0] ?? scale.groups[1])!.toLowerCase();
  return { end: scale.end, value: value === null ? null : scaledText(value, SCALES[word]!) };
}

/** A fraction that stands by itself: `¾`, `\frac{3}{4}`; one that cannot be read has no value. */
function readFraction(
  text: string,
  at: number,
): { readonly end: number; readonly value: readonly [string, string] | null } | undefined {
  const vulgar = VULGAR[text[at] ?? ""];
  if (vulgar) return { end: at + 1, value: [String(vulgar[0]), String(vulgar[1])] };
  if (text[at] !== "\\" || !/^\\[dtc]?frac/.test(text.slice(at, at + 6))) return undefined;
  const latex = match(LATEX, text, at);
  if (!latex) return { end: at + 5, value: null };
  const [above, below] = [latex.groups[0] ?? latex.groups[1]!, latex.groups[2] ?? latex.groups[3]!].map(
    parseNumber,
  );
  return { end: latex.end, value: above && below ? [above, below] : null };
}

/** Digits with their thousands; `groups` is false where commas stand at other places than a number's. */
function readInteger(
  text: string,
  at: number,
): { readonly end: number; readonly digits: string; readonly groups: boolean } {
  let end = runEnd(text, at);
  const first = end - at;
  if (first > 3) {
    return { end, digits: text.slice(at, end), groups: !(text[end] === "," && isDigit(text, end + 1)) };
  }
  const separator = SEPARATORS.find((mark) => text.startsWith(mark, end) && isDigit(text, end + mark.length));
  if (separator === undefined) return { end, digits: text.slice(at, end), groups: true };
  const parts = [text.slice(at, end)];
  const anyLength = separator === ",";
  while (text.startsWith(separator, end) && isDigit(text, end + separator.length)) {
    const next = end + separator.length, last = runEnd(text, next);
    if (!anyLength && last - next !== 3) break;
    parts.push(text.slice(next, last));
    end = last;
  }
  const inner = parts.slice(1, -1), final = parts.at(-1)!.length === 3;
  const western = final && inner.every((part) => part.length === 3);
  const indian = final && first <= 2 && inner.length > 0 && inner.every((part) => part.length === 2);
  return { end, digits: parts.join(""), groups: !anyLength || western || indian };
}

function malformed(text: string, end: number): Magnitude {
  for (let more = match(MORE, text, end); more; more = match(MORE, text, end)) end = more.end;
  return { end, value: null };
}

function exponentOf(groups: readonly (string | undefined)[]): number {
  const plain = groups[0] ?? groups[1];
  if (plain !== undefined) return Number(plain.replace("−", "-"));
  const digits = [...groups[2]!].map((char) =>
    char === "⁻" ? "-" : char === "⁺" ? "" : SUPERSCRIPTS.indexOf(char)
  );
  return Number(digits.join(""));
}

function match(
  pattern: RegExp,
  text: string,
  at: number,
): { readonly end: number; readonly text: string; readonly groups: (string | undefined)[] } | undefined {
  pattern.lastIndex = at;
  const found = pattern.exec(text);
  return found ? { end: pattern.lastIndex, text: found[0], groups: found.slice(1) } : undefined;
}
