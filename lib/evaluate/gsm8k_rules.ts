/**
 * Strict and flexible accuracy as lm-evaluation-harness measures them on GSM8K, so that numbers can be laid beside
 * published ones. Source: its `lm_eval/tasks/gsm8k/gsm8k.yaml` (filters `strict-match` and `flexible-extract`, metric
 * `exact_match` with `ignore_case` and four `regexes_to_ignore`), `filters/extraction.py` and `api/metrics.py`.
 */

import { answerKind } from "../data/answers.ts";
import type { Problem } from "../data/records.ts";

/** What the two rules find in a response: the text that is compared, or `[invalid]` where there is none. */
export interface Extracted {
  /** The first `#### 72`. */
  readonly strict: string;
  /** The last of the text that looks like a number: two or more of `$0-9.,`, or digits. */
  readonly flexible: string;
}

/** Whether a response is right by either rule. */
export interface Gsm8kResult {
  /** By `strict-match`. */
  readonly strict: boolean;
  /** By `flexible-extract`. */
  readonly flexible: boolean;
}

const STRICT = /#### (-?[0-9.,]+)/;
const FLEXIBLE = /(-?[$0-9.,]{2,})|(-?[0-9]+)/g;
const INVALID = "[invalid]";

/** The answers that the two filters extract. */
export function extractGsm8k(response: string): Extracted {
  const last = [...response.matchAll(FLEXIBLE)].at(-1);
  return { strict: STRICT.exec(response)?.[1] ?? INVALID, flexible: last?.[1] ?? last?.[2] ?? INVALID };
}

/**
 * A text as the metric compares it, of an answer and of the right one alike: without commas and dollar signs, without all
 * up to the last `#### `, without one full stop at its end, in lower case.
 */
export function comparable(text: string): string {
  const plain = text.replaceAll(",", "").replaceAll("$", "").replace(/^[^]*#### /, "");
  return plain.replace(/\.(?=\n?$)/, "").toLowerCase(); // Python's $ also stands before a last line end
}

/**
 * Whether a response is right by the two rules; nothing where the answer is no number. Compared as texts: `18.00` is not
 * `18`. The right answer is what the reference has behind its last `#### `, as GSM8K's own does, or else the record's.
 */
export function judgeGsm8k(problem: Problem, response: string): Gsm8kResult | undefined {
  const { answer, reference } = problem;
  if (answer === undefined || answerKind(problem) !== "number") return undefined;
  const right = comparable(reference?.includes("#### ") ? reference.trimEnd() : answer);
  const { strict, flexible } = extractGsm8k(response);
  return { strict: comparable(strict) === right, flexible: comparable(flexible) === right };
}
