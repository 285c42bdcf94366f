/** All of the golden losses: value and derivative, from float64 automatic differentiation. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { lossOf } from "../../lib/objectives/objectives.ts";
import type { Constraint } from "../../lib/objectives/objective.ts";

const path = new URL("../../../shared/golden/losses.json", import.meta.url);

interface GoldenCase {
  objective: string;
  params: Record<string, unknown>;
  scores: number[];
  lengths: number[];
  correct?: boolean[];
  rank?: number[];
  reward?: number[];
  reference_logprob?: number[];
  value: number;
  gradient: number[];
}

test("every golden case, value and gradient within 1e-9", { skip: !existsSync(path) }, () => {
  const { cases } = JSON.parse(readFileSync(path, "utf8")) as { cases: GoldenCase[] };
  assert.equal(cases.length, 152);
  for (const [index, golden] of cases.entries()) {
    const { constraint, beta, weight, sft_weight, gamma, lambda_, ...unknown } = golden.params;
    assert.deepEqual(unknown, {}, `case ${index} has a parameter that this test does not pass on`);
    const { value, gradient } = lossOf(golden.objective, {
      ...golden,
      referenceLogprobs: golden.reference_logprob,
    }, {
      constraint: constraint as Constraint,
      beta: beta as number,
      weight: weight as number,
      sftWeight: sft_weight as number,
      gamma: gamma as number,
      lambda: lambda_ as number,
      // The golden values are of sums.
      ...(golden.objective === "ipo" && { perToken: 0 }),
    });
    const where = `case ${index}, ${golden.objective} ${JSON.stringify(golden.params)}`;
    assert.ok(Math.abs(value - golden.value) < 1e-9, `${where}: value ${value}, expected ${golden.value}`);
    assert.equal(gradient.length, golden.gradient.length, where);
    gradient.forEach((slope, i) => {
      const expected = golden.gradient[i];
      // IPO's derivatives reach thousands: there 1e-9 is relative.
      const allowed = 1e-9 * Math.max(1, Math.abs(expected));
      assert.ok(Math.abs(slope - expected) < allowed, `${where}: ∂/∂s_${i} ${slope}, expected ${expected}`);
    });
  }
});
