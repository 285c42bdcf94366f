/**
 * Calculator marks `<<48/2=24>>` of GSM8K's chains: found, checked, dropped; and the choice of samples that rejection
 * sampling (RFT, arXiv 2308.01825) makes by them.
 *
 * Text of a model is never run: `jsep` parses it, and only numbers, + − × ÷ and powers are computed.
 */

import { distance } from "fastest-levenshtein";
import jsep from "jsep";

const MARK = /<<([^<>]*)>>/g;
/** Characters of a chain by which its distance from others is told: the distance takes time by their product. */
const COMPARED = 8000;
/** Longer than any real one; a bound on the parser's recursion. */
const LONGEST_EXPRESSION = 300;

/**
 * `3 + 4 = 7` in running text. Nothing that may be a part of something else is taken: no piece of a longer formula, of
 * a mixed fraction (2 1/2) or of a percentage, and no side with a variable. Every repetition is bounded, so that a
 * search takes no more than linear time; no real equation has 30 terms or digits.
 */
const PLAIN =
  /(?<![\w.%)]|[-+*/×÷=−xX]\s{0,4}|\d\s{1,4})[($]{0,6}\d[\d.,]{0,30}(?:[)\s]{0,6}[-+*/×÷−][($\s]{0,6}\d[\d.,]{0,30}){1,30}[)\s]{0,6}=\s{0,4}[-−]?\$?\d{1,30}(?:,\d{3}){0,10}(?:\.\d{1,30})?(?![\d,.]{0,40}\d|[\w%/]|\s{0,4}[-+*/×÷]?\s{0,4}\d{1,30}\/|\s{0,4}[-+*/×÷]\s{0,4}[\d(])/g;

/**
 * The equations of a chain in their order, without white space: `["48/2=24", "48+24=72"]`. Those in calculator marks,
 * as RFT has it; of a chain without any mark those of its running text, so that other data can be filtered too.
 */
export function listEquations(text: string): string[] {
  const marked = [...text.matchAll(MARK)].map((mark) => mark[1]);
  const balanced = (equation: string) => equation.split("(").length === equation.split(")").length;
  const found = marked.length > 0 ? marked : (text.match(PLAIN) ?? []).filter(balanced);
  return found.map((equation) => equation.replace(/\s+/g, ""));
}

/** The chain without its calculator marks. */
export function stripCalculator(text: string): string {
  return text.replace(MARK, "");
}

/**
 * The value of an arithmetic expression: numbers (thousands separators, currency and percent allowed), + − * / ^ and
 * parentheses. NaN for anything else.
 */
export function evaluateArithmetic(expression: string): number {
  if (expression.length > 2 * LONGEST_EXPRESSION) return NaN;
  const plain = expression.replace(/[\s$€£]/g, "").replace(/,(?=\d{3}(?!\d))/g, "")
    .replace(/[×]/g, "*").replace(/÷/g, "/").replace(/[−–]/g, "-")
    .replace(/(\d|\.)%/g, "$1*0.01").replace(/\^/g, "**");
  // Only these characters can make an expression: names, calls and texts are refused before the parser sees them.
  if (plain === "" || plain.length > LONGEST_EXPRESSION || !/^[\d.+\-*/()]*$/.test(plain)) return NaN;
  try {
    return value(jsep(plain));
  } catch {
    return NaN; // jsep's own error: not an expression
  }
}

function value(node: jsep.Expression): number {
  if (node.type === "Literal") return typeof node.value === "number" ? node.value : NaN;
  if (node.type === "UnaryExpression") {
    const argument = value(node.argument as jsep.Expression);
    return node.operator === "-" ? -argument : node.operator === "+" ? argument : NaN;
  }
  if (node.type !== "BinaryExpression") return NaN;
  const left = value(node.left as jsep.Expression);
  const right = value(node.right as jsep.Expression);
  switch (node.operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return left / right;
    case "**":
      return left ** right;
    default:
      return NaN;
  }
}

/** Whether both sides of `lhs=rhs` (or all of a=b=c) are arithmetic and differ by at most 1e-3 (RFT's rule). */
export function equationHolds(equation: string): boolean {
  const values = equation.split("=").map(evaluateArithmetic);
  return values.length > 1 && values.every((side, i) => i === 0 || Math.abs(side - values[i - 1]) <= 1e-3);
}

/** What rejection sampling looks at. */
export interface RejectionCandidate {
  /** The chain. */
  readonly text: string;
  /** Whether it reaches the answer; without a label it is not taken. */
  readonly correct?: boolean | undefined;
}

/**
 * The candidates that RFT trains on, besides the reference and in their own order: correct, with every equation
 * holding, and one per distinct list of equations. The reference's own list counts as taken. When several have the
 * same list, the one farthest from the other chosen chains (sum of Levenshtein distances, the reference included)
 * stays, the earlier one on a tie; of a chain's characters 8,000 count. A chain without equations is its own list, so only equal texts clash.
 */
export function selectRejectionSamples<C extends RejectionCandidate>(
  candidates: readonly C[],
  reference?: string,
): C[] {
  const chosen = new Map<string, C>();
  const taken = reference === undefined ? undefined : equationKey(reference);
  for (const candidate of candidates) {
    const key = equationKey(candidate.text);
    if (candidate.correct !== true || key === taken || !listEquations(candidate.text).every(equationHolds)) {
      continue;
    }
    const rival = chosen.get(key);
    if (rival === undefined) {
      chosen.set(key, candidate);
      continue;
    }
    const others = [...chosen].filter(([other]) => other !== key).map(([, { text }]) => text);
    if (reference !== undefined) others.push(reference);
    const apart = (text: string) =>
      others.reduce((sum, other) => sum + distance(text.slice(0, COMPARED), other.slice(0, COMPARED)), 0);
    if (apart(candidate.text) > apart(rival.text)) chosen.set(key, candidate);
  }
  const kept = new Set(chosen.values());
  return candidates.filter((candidate) => kept.has(candidate));
}

/** What makes two chains the same reasoning: their equations, or, without any, their words. */
function equationKey(text: string): string {
  const equations = listEquations(text);
  return equations.length > 0 ? equations.join("|") : `text:${text.trim()}`;
}
