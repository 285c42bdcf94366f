/** Rewards from the agreement of a chain's steps with the reference's. */

import { findAnswer, isRight } from "../data/answers.ts";
import { equationHolds, evaluateArithmetic, listEquations, stripCalculator } from "../data/equations.ts";
import type { Group } from "../data/records.ts";
import type { Rewards, RewardSource } from "./rank.ts";

/** Two values are the same step when they differ by no more: RFT's tolerance of an equation. */
const TOLERANCE = 1e-3;

/**
 * Agreement of two chains, from 0 to 1, by the reference's kind:
 *
 *   F = 2m / (a + b)
 *
 * A reference with equations (`listEquations`): a and b are the numbers of equations of the chain and the reference,
 * and m is how many of the reference's values (right-hand sides) the chain computes in an equation that holds; each
 * value counts once, in any order. A chain without equations then agrees in nothing.
 *
 * A reference without equations: a and b are the numbers of words and m the words they share, each as often as both
 * have it, in any order (ROUGE-1 F1). It measures likeness of wording, no more.
 *
 * Two valid chains that reach the answer by different intermediate values get less than 1. [the project's own]
 */
export function stepAgreement(chain: string, reference: string): number {
  const expected = listEquations(reference);
  if (expected.length === 0) return wordAgreement(chain, reference);
  const found = listEquations(chain);
  const values = found.filter(equationHolds).map(lastValue);
  const shared = countShared(values, expected.map(lastValue));
  return 2 * shared / (found.length + expected.length);
}

/**
 * Rewards of a group's candidates, from 0 to 1:
 *
 *   reward = (2·[the final answer is right] + F) / 3
 *
 * with F of {@linkcode stepAgreement}: whatever the steps, a right answer (at least 2/3) beats a wrong one (at most
 * 1/3). A candidate's label `correct` decides where there is one, otherwise its text. Without a reference there is
 * nothing to compare with, and no reward.
 */
export function stepRewards(group: Group): Rewards {
  const { reference } = group;
  if (reference === undefined) return group.candidates.map(() => undefined);
  return group.candidates.map(({ text, correct }) => {
    const right = correct ?? isRight(group, findAnswer(group, text));
    return ((right ? 2 : 0) + stepAgreement(text, reference)) / 3;
  });
}

/** {@linkcode stepRewards} as a source for `rank`. */
export const steps: RewardSource = {
  name: "steps",
  missing: 'a reference to compare with (field "reference")',
  rewards: stepRewards,
};

/** The value that an equation states: its last side. */
function lastValue(equation: string): number {
  return evaluateArithmetic(equation.slice(equation.lastIndexOf("=") + 1));
}

/** How many values of two lists can be paired within the tolerance, each used once. */
function countShared(left: readonly number[], right: readonly number[]): number {
  const sorted = (values: readonly number[]) => values.filter(Number.isFinite).sort((a, b) => a - b);
  const a = sorted(left), b = sorted(right);
  let shared = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const gap = a[i]! - b[j]!;
    if (Math.abs(gap) <= TOLERANCE) {
      shared++;
      i++;
      j++;
    } else if (gap < 0) i++;
    else j++;
  }
  return shared;
}

function wordAgreement(chain: string, reference: string): number {
  const [found, expected] = [words(chain), words(reference)];
  if (expected.length === 0) return 0;
  const left = new Map<string, number>();
  for (const word of expected) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of found) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    left.set(word, count - 1);
    shared++;
  }
  return 2 * shared / (found.length + expected.length);
}

/** Words and numbers in lower case; a character of a script without spaces is a word. */
function words(text: string): string[] {
  return stripCalculator(text).toLowerCase().match(
    /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|\d+(?:[.,]\d+)*|[\p{L}\p{N}\p{M}]+/gu,
  ) ?? [];
}
