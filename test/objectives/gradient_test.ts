/** Gradients against central differences of formulas written out naively (`_formulas.ts`). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findObjective, lossOf, objectives } from "../../lib/objectives/objectives.ts";
import type { ScoredGroup } from "../../lib/objectives/objective.ts";
import { formulas, type Options } from "./_formulas.ts";

// Candidate 0 is right, so that it is the reference and ORPO's best. Of the negatives one lies far under the
// boundary and one above every positive; rewards, ranks and labels disagree on purpose.
const groups: ScoredGroup[] = [
  {
    scores: [-0.9, -1.4, -0.7, -2.6, -1.1],
    lengths: [9, 14, 4, 11, 6],
    correct: [true, true, false, false, false],
    rank: [2, 1, 3, 4, 2],
    reward: [0.3, 0.9, 0.1, 0.5, 0.7],
    referenceLogprobs: [-9.5, -19, -3.5, -27, -7.2],
    reference: 0,
  },
  {
    scores: [-0.31, -0.12],
    lengths: [3, 8],
    correct: [true, false],
    rank: [1, 2],
    reward: [1, -0.5],
    referenceLogprobs: [-1.2, -1.1],
    reference: 0,
  },
];

for (const [name, formula] of Object.entries(formulas)) {
  for (const constraint of (findObjective(name).constraints ?? ["none"])) {
    test(`${name}, ${constraint}: value and finite differences of the formula`, () => {
      for (const group of groups) {
        const spec = findObjective(name), defaults: Record<string, number> = {};
        for (const [option, declared] of Object.entries(spec.options)) defaults[option] = declared.default;
        if ("boundary" in spec.options) defaults.boundary = 0.35;
        const options = { ...defaults, constraint } as unknown as Options;
        const { value, gradient } = lossOf(name, group, options);
        const scores = Array.from(group.scores);
        const expected = formula(scores, scores, { group, options });
        assert.ok(
          Math.abs(value - expected) < 1e-12 * Math.max(1, Math.abs(expected)),
          `value ${value}, expected ${expected}`,
        );
        for (let i = 0; i < scores.length; i++) {
          const step = 1e-5;
          const at = (by: number) =>
            formula(scores.map((s, j) => j === i ? s + by : s), scores, { group, options });
          const slope = (at(step) - at(-step)) / (2 * step);
          const allowed = 1e-7 * Math.max(1, Math.abs(slope));
          assert.ok(Math.abs(gradient[i] - slope) < allowed, `∂/∂s_${i}: ${gradient[i]}, expected ${slope}`);
        }
      }
    });
  }
}

test("every objective has a formula here", () => {
  assert.deepEqual(Object.keys(formulas).sort(), Object.keys(objectives).sort());
});
