/** What the trainer logs of a group, worked out by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  activePairs,
  assessmentAccuracy,
  groupStatistics,
  margin,
  meanScores,
  negativesAtBoundary,
} from "../../lib/objectives/statistics.ts";
import type { ScoredGroup } from "../../lib/objectives/objective.ts";

const group: ScoredGroup = {
  scores: [-1, -2, -2, -3, -0.5],
  lengths: [1, 1, 1, 1, 1],
  correct: [true, true, false, false, false],
  reference: 0,
};

test("labels: means, margin, assessment accuracy, boundary", () => {
  // Positives (−1 − 2)/2, negatives (−2 − 3 − 0.5)/3.
  const { positives, negatives, reference } = meanScores(group);
  assert.equal(positives, -1.5);
  assert.equal(negatives, -5.5 / 3);
  assert.equal(reference, -1);
  assert.equal(margin(group), -1.5 + 5.5 / 3);
  // −1 beats −2 and −3; −2 ties with −2 (a half) and beats −3; neither beats −0.5. 3.5 of 6.
  assert.equal(assessmentAccuracy(group), 3.5 / 6);
  // B = −2 − 1 = −3: one of three is at it. With 0: −2 and −3 are at or under −2.
  assert.equal(negativesAtBoundary(group, { boundary: 1 }), 1 / 3);
  assert.equal(negativesAtBoundary(group, { boundary: 0 }), 2 / 3);
  assert.equal(negativesAtBoundary(group), 1 / 3); // B = −2.2
});

test("ranks: the best tier against the rest, accuracy and boundary by pairs", () => {
  const ranked = { scores: [-1, -2, -1.5], lengths: [1, 1, 1], rank: [1, 2, 3] };
  assert.deepEqual(meanScores(ranked), { positives: -1, negatives: -1.75, reference: undefined });
  assert.equal(assessmentAccuracy(ranked), 2 / 3); // (2,3) is wrong
  // B_2 = −1 − 0.75, B_3 = −2 − 0.75: only candidate 2 is under its own.
  assert.equal(negativesAtBoundary(ranked, { boundary: 0.75 }), 0.5);
  assert.deepEqual(
    groupStatistics({ scores: ranked.scores, lengths: ranked.lengths, reward: [9, 5, 2] }),
    groupStatistics(ranked),
  );
});

test("a pair is active while its share of the gradient is above a thousandth", () => {
  // exp(s_n − s_p) = e^−6.8 = 1.11e-3 and e^−7 = 0.91e-3, over 1.002.
  const of = (scores: number[]) =>
    activePairs({ scores, lengths: scores.map(() => 1), correct: scores.map((_, i) => i === 0) });
  assert.equal(of([0, -6.8, -7]), 0.5);
  assert.equal(of([0, -8, -9]), 0);
  // −1e4 for the right one: e^9999 overflows, the shares do not. The nearer wrong one takes all.
  assert.equal(of([-1e4, -1, -9]), 0.5);
});

test("nothing to average over is undefined, never NaN", () => {
  const { correct: _, ...unlabelled } = group;
  const nothing = {
    positives: undefined,
    negatives: undefined,
    margin: undefined,
    assessmentAccuracy: undefined,
    activePairs: undefined,
    negativesAtBoundary: undefined,
  };
  assert.deepEqual(groupStatistics(unlabelled), { ...nothing, reference: -1 });
  assert.deepEqual(groupStatistics({ scores: [], lengths: [], correct: [] }), {
    ...nothing,
    reference: undefined,
  });
  const right = groupStatistics({ ...group, correct: [true, true, true, true, true] });
  assert.deepEqual(right, { ...nothing, reference: -1, positives: -1.7 });
  const wrong = groupStatistics({ scores: [-1, -3], lengths: [1, 1], correct: [false, false] });
  assert.deepEqual(wrong, { ...nothing, reference: undefined, negatives: -2 });
});
