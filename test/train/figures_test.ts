/** The figures of a training: every one is declared, and those of a batch's scores are means worked out by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { trainingFigures } from "../../lib/train/figures.ts";
import { batchStatistics } from "../../lib/train/batch_statistics.ts";
import type { StepReport } from "../../lib/train/step.ts";

test("what a batch's scores give: means over the questions that have each statistic", () => {
  const report = {
    objectiveLoss: 2,
    vftLoss: 0.5,
    groups: [
      // Margin −1 − (−2.5) = 1.5; of two pairs both in order.
      { scores: [-1, -2, -3], lengths: [4, 6, 8], correct: [true, false, false], reference: 0 },
      // Margin −2 − (−1) = −1; its one pair is not in order.
      { scores: [-2, -1], lengths: [2, 5], correct: [true, false] },
      // Nothing wrong: a score of right ones alone.
      { scores: [-6], lengths: [5], correct: [true] },
    ],
  } as unknown as StepReport;
  const found = batchStatistics(report, 0.2);
  const rounded = Object.fromEntries(
    Object.entries(found).map(([key, value]) => [key, Math.round(value! * 1e9) / 1e9]),
  );
  assert.equal(found.positives, (-1 - 2 - 6) / 3);
  assert.deepEqual([rounded["negatives"], rounded["reference"], rounded["margin"]], [-1.75, -1, 0.25]);
  assert.equal(found.assessment_accuracy, 0.5);
  assert.deepEqual([found.objective_loss, found.vft_loss, found.response_length], [2, 0.5, 5]);
  // Both wrong ones of the first lie under −1 − 0.2, the second's does not.
  assert.equal(found.negatives_at_boundary, 0.5);
  for (const key of Object.keys(found)) assert.ok(key in trainingFigures, key);
  assert.deepEqual(
    batchStatistics({ groups: [] } as unknown as StepReport, 0.2),
    Object.fromEntries(Object.keys(found).map((key) => [key, undefined])),
  );
});

test("each figure has a name of its own and says what it means", () => {
  const figures = Object.values(trainingFigures);
  assert.equal(new Set(figures.map(({ title }) => title)).size, figures.length);
  for (const { title, meaning } of figures) assert.match(meaning, /^[A-Z].*[.]$/, title);
});
