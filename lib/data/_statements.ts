/**
 * Where a response states its answer: the marks that open a statement, and which number of it is meant.
 *
 * All searches are of bounded patterns, so that their time grows with the text and no faster.
 */

import { foldDigits } from "./_digits.ts";
import { type FoundNumber, isUnit, listNumbers, parseNumber } from "./numbers.ts";

/** What a line of the next question begins with, where a response runs on into one. */
const NEXT_QUESTION =
  /\n[ \t]{0,8}(?:#{1,4} {0,2})?(?:\*\*)?(?:Question|QUESTION|Q|Problem|Exercise|Instruction|User|Human)[ \t]{0,2}\d{0,4}[ \t]{0,2}:/g;
/** "the answer is", "Answer:", "Final answer -"; `A:` at the beginning of a line. */
const MARK =
  /^[ \t]{0,20}A[ \t]{0,4}:|\b(?:[Aa]nswer|ANSWER|[Aa]ns|ANS)\b(?:[ \t]{1,3}(?:to|of|for)[ \t][^.:=\n]{1,80}?)?(?:[ \t]{1,3}(?:is|IS|was|would be|will be|should be|must be|equals)\b[ \t]{0,3}:?|[ \t]{0,3}[:=]|\.(?=[ \t]?[A-Z]\b)|[ \t]{1,3}[-–—](?=[ \t]))/gm;
const BOLD = /\*\*([^*\n]{1,80})\*\*/g;
const TEXT_COMMAND = /\\(?:text|textbf|textit|mathrm|mathbf|mathit|mbox|operatorname)[ ]?\{([^{}]{0,100})\}/g;

/** A response as it is searched: digits folded, calculator marks and text commands out, another question cut off. */
export function visibleText(text: string): string {
  const plain = unwrapped(foldDigits(text.replace(/<<[^<>]*>>/g, "")));
  return cutNextQuestion(plain);
}

function unwrapped(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replace(TEXT_COMMAND, (_, inside: string) => ` ${inside} `.replace(/^ (?=[({]?[A-Z]\b)/, ""))
    .replace(/\\(?:left|right|displaystyle)(?![a-z])|\\[!;]/g, "").replace(/\\[()[\]]/g, " ");
}

/** Cut where the line of another question begins, once something was answered: by a mark, or with any number. */
export function cutNextQuestion(text: string): string {
  const questions = [...text.matchAll(NEXT_QUESTION)].map((found) => found.index);
  if (questions.length === 0) return text;
  const marked = text.slice(0, questions.at(-1)).search(
    /####|\\boxed|(?:[Aa]nswer|ANSWER)\b[^\n]{0,40}[\dA-E]|(?:^|\n)[ \t]{0,20}A:/,
  );
  const digit = text.search(/[\dA-Z]/);
  const answered = marked >= 0 ? marked : digit;
  const cut = questions.find((at) => answered >= 0 && at > answered);
  return cut === undefined ? text : text.slice(0, cut);
}

/** What follows a mark, up to the end of its line; of the next line with anything on it where its own is empty. */
export function statementAt(text: string, at: number): string {
  let start = at;
  while (start < text.length && /[\s:*_`>]/.test(text[start]!)) start++;
  const end = text.indexOf("\n", start);
  return text.slice(start, end < 0 ? undefined : end).trimEnd();
}

/** The statement behind GSM8K's mark, the first of them; undefined without one. */
export function markedStatement(text: string): string | undefined {
  const at = text.indexOf("####");
  return at < 0 ? undefined : statementAt(text, at + 4);
}

/** What the last `\boxed{…}` holds, the innermost of several; undefined without one. */
export function boxed(text: string): string | undefined {
  const at = Math.max(text.lastIndexOf("\\boxed{"), text.lastIndexOf("\\fbox{"));
  if (at < 0) return undefined;
  const open = text.indexOf("{", at);
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "{") depth++;
    else if (text[i] === "}" && --depth === 0) return text.slice(open + 1, i).trim();
    else if (text[i] === "\n") return text.slice(open + 1, i).trim();
  }
  return text.slice(open + 1).trim();
}

/** The statements that words announce, in their order. */
export function announcedStatements(text: string): { readonly statement: string; readonly opens: boolean }[] {
  const plain = text.replaceAll("**", "");
  const marks = [...plain.matchAll(MARK)];
  return marks.map((found, i) => ({
    // Up to the next mark, so that many of them on one line are not read many times.
    statement: statementAt(plain.slice(0, marks[i + 1]?.index), found.index + found[0].length),
    // "A: Tom has 5 …" opens a whole chain, "the answer is" only its sentence.
    opens: /[:=]$/.test(found[0]) && !/\bis\b/.test(found[0]),
  }));
}

/** The last text in bold that is a number and nothing else; a line that begins in bold is a heading. */
export function boldNumber(text: string): string | undefined {
  const numbers = [...text.matchAll(BOLD)].filter(({ index }) => index > 0 && text[index - 1] !== "\n")
    .map(([, inside]) => parseNumber(inside!)).filter((value) => value !== null);
  return numbers.at(-1);
}

/** What a statement says: its number, null where it says none or several, undefined where it only talks. */
export type Stated = string | null | undefined;

const SENTENCE_END = /[.!?;](?=\s|$)|[。！？；]/g;
/** What begins a remark on a number: a comma and words, or a reason. */
const REMARK =
  /[,;][ \t]{1,4}(?=[\p{L}(])|[ \t](?:because|since|which|where|so that|i\.e\.|meaning|as)(?![\p{L}])/gu;
const EQUALS = /[=≈]|\\approx(?![a-z])|(?<!\p{L})(?:equals|equal to)(?!\p{L})/gu;
const VERB = /(?<!\p{L})(?:are|is|makes|gives|totals|becomes|leaves|costs?)(?!\p{L})/gu;
const PREPOSITION =
  /(?:^|[^\p{L}])(?:in|for|per|after|within|at|on|with|from|of|over|every|each|during|before|until|when|if|than|out|by the|a|about)$/u;

/**
 * The number that a statement states. Of an equation the rightmost side that is one number; otherwise the number it
 * begins with, up to a remark (in brackets, behind a comma, `because`) or the next sentence. Two numbers are none, but
 * where a preposition leads to the second: `$1,200 in 2 years`.
 *
 * A statement that begins with words says its number only where its sentence has no other; with `opens` the words may
 * be the beginning of a chain, and the whole line counts.
 */
export function readStatement(statement: string, options: { readonly opens?: boolean } = {}): Stated {
  const whole = parseNumber(trimmedMarks(statement));
  if (whole !== null) return whole;
  const text = withoutRemarks(statement);
  const numbers = listNumbers(text, { statement: true });
  const [first] = numbers;
  if (first === undefined) return undefined;
  const leads = /[\p{L}]{2}/u.test(
    text.slice(0, first.start).replace(/\\[a-z]+|(?:about|around|approximately|only|USD|Rs)/g, ""),
  );
  const end = leads && options.opens ? text.length : endOfClaim(text, first.end, leads);
  const claim = text.slice(0, end);
  const equation = lastSide(claim, EQUALS);
  if (equation !== undefined) return equation;
  const inside = numbers.filter((number) => number.end <= end);
  if (inside.length === 1 && plain(claim, first)) return first.value;
  if (inside.length === 1) return null;
  if (leads) return undefined;
  const verb = lastSide(claim, VERB);
  if (verb !== undefined && verb !== null) return verb;
  const gap = claim.slice(first.end, inside[1]!.start).trimEnd();
  return PREPOSITION.test(gap.slice(-12)) && plain(claim.slice(0, inside[1]!.start), first)
    ? first.value
    : null;
}

/** Without what stands around a statement: emphasis, dollar signs of mathematics, brackets of both ends, full stops. */
export function trimmedMarks(statement: string): string {
  let start = 0, end = statement.length;
  while (start < end && /[*_`"'\s]/.test(statement[start]!)) start++;
  while (end > start && /[*_`"'\s.。]/.test(statement[end - 1]!)) end--;
  const text = statement.slice(start, end);
  const box = text.startsWith("\\boxed{") ? boxed(text) : undefined;
  if (box !== undefined && text.endsWith("}")) return box;
  return /^[({[][^(){}[\]]*[)}\]]$/.test(text) ? text.slice(1, -1) : text;
}

/** The first sentence's end behind a number, or the remark before it. */
function endOfClaim(text: string, from: number, leads: boolean): number {
  SENTENCE_END.lastIndex = REMARK.lastIndex = from;
  const sentence = SENTENCE_END.exec(text)?.index ?? text.length;
  const remark = leads ? text.length : REMARK.exec(text)?.index ?? text.length;
  return Math.min(sentence, remark);
}

/** The rightmost side of an equation that is one number; null where none is, undefined where there is no equation. */
function lastSide(text: string, sign: RegExp): string | null | undefined {
  const signs = [...text.matchAll(sign)];
  if (signs.length === 0) return undefined;
  let end = text.length;
  for (let i = signs.length - 1; i >= -1; i--) {
    const start = i < 0 ? 0 : signs[i]!.index + signs[i]![0].length;
    const side = text.slice(start, end);
    const value = parseNumber(trimmedMarks(side)) ?? leadingNumber(side);
    if (value !== null) return value;
    end = i < 0 ? 0 : signs[i]!.index;
  }
  return null;
}

/** The only number of a side that begins with it, whatever words follow. */
function leadingNumber(side: string): string | null {
  const numbers = listNumbers(side, { statement: true, most: 2 });
  const [number] = numbers;
  if (!number || numbers.length > 1 || /[\p{L}+*/×÷]/u.test(side.slice(0, number.start))) return null;
  return plain(side, number) ? number.value : null;
}

/** Whether a number is no factor or term of something larger: words may follow, an operator or a name may not. */
function plain(text: string, number: FoundNumber): boolean {
  const rest = text.slice(number.end);
  if (isUnit(rest)) return true;
  return !/^\s{0,3}(?:[-+*/×÷^]|\\(?:pi|sqrt|cdot|times)|[xyzn](?!\p{L})|π|√|and\s|or\s|to\s)/u.test(rest);
}

/** Without the brackets that follow a number, and what is in them; those of an equation's left side go too. */
function withoutRemarks(statement: string): string {
  let kept = "", from = 0, depth = 0, digits = false;
  for (let i = 0; i < statement.length; i++) {
    const char = statement[i]!;
    if (depth === 0 && char >= "0" && char <= "9") digits = true;
    const opens = char === "(" || char === "[", closes = char === ")" || char === "]";
    if (opens && depth === 0 && digits) kept += statement.slice(from, i);
    if (opens && (digits || depth > 0)) depth++;
    if (closes && depth > 0 && --depth === 0) from = i + 1;
  }
  return depth > 0 ? kept : kept + statement.slice(from);
}

/** `####`, `A:`, `Answer: `, `So the answer is`, `Correct option -` at the beginning of a line, emphasis around them. */
const LINE_MARK =
  /^[ \t*_>]{0,20}(?:####|A[ \t]{0,3}:|(?:(?:so|thus|hence|therefore),? )?(?:the |my )?(?:final |correct |right )?(?:answer|ans|option|choice)\b(?:[ \t]{1,3}is\b)?[ \t]{0,3}[:=.–-]?)[ \t:*_]{0,20}/i;

/** A line that opens with a mark. */
export interface MarkedLine {
  /** The answer that it states; null where it states two, or something that is no number. */
  readonly answer: string | null;
  /** Whether it says nothing else than that (and a unit). */
  readonly only: boolean;
  /** Its words without the mark; the whole line where the mark is a part of a sentence ("The answer is …"). */
  readonly rest: string;
}

/** A mark is complete with its sign, its verb, or a blank behind its noun ("Answer B"). */
const MARK_END = /#|[:=–-][ \t:*_]*$|\bis[ \t:*_]*$|(?:answer|option|choice)\.?[ \t*_]+$/i;

/** The mark and the statement of a line; undefined for a line without a mark, and for one that only talks. */
export function splitMark(line: string): MarkedLine | undefined {
  const mark = LINE_MARK.exec(line)?.[0];
  if (mark === undefined || !MARK_END.test(mark)) return undefined;
  const content = unwrapped(foldDigits(line.slice(mark.length))).trim(), bare = trimmedMarks(content);
  const letter = bare.length < 8 ? /^[({[]?([A-Z])[)}\]]?\W{0,3}$/.exec(bare)?.[1] : undefined;
  const answer = letter ?? readStatement(content);
  if (answer === undefined) return undefined;
  const only = letter !== undefined ||
    answer !== null && parseNumber(bare) !== null && bare.split(/[ \t]+/, 5).length <= 4 &&
      !/\s(?:in|of|for|per|at|each)\s/.test(bare.slice(-60));
  return { answer, only, rest: /\bis[ \t:*_]*$/.test(mark) ? line : line.slice(mark.length) };
}
