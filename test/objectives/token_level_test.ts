/** Objectives that see each token. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Objective } from "../../lib/objectives/objective.ts";
import { findObjective, lossOf } from "../../lib/objectives/objectives.ts";
import { unlikelihood } from "./_unlikelihood.ts";

const group = {
  scores: [-1, (Math.log(1 / 2) + Math.log(1 / 4)) / 2],
  lengths: [1, 2],
  correct: [true, false],
  tokens: [[-1], [Math.log(1 / 2), Math.log(1 / 4)]],
};

test("unlikelihood by hand: value, derivatives of scores and of tokens", () => {
  const { value, gradient, tokenGradient } = lossOf(unlikelihood, group);
  // 1 − (ln ½ + ln ¾)/2 = 1 + (0.693147 + 0.287682)/2; odds 1 and ⅓, halved
  assert.ok(Math.abs(value - 1.4904146265) < 1e-9, `${value}`);
  assert.deepEqual([...gradient], [-1, 0]);
  assert.deepEqual([...tokenGradient![0]!], [0]);
  [1 / 2, 1 / 6].forEach((slope, t) => assert.ok(Math.abs(tokenGradient![1]![t]! - slope) < 1e-12));
});

test("tokens that are missing and derivatives that do not fit are one line each", () => {
  const returning = (more: unknown, traits = {}) => ({
    ...unlikelihood,
    ...traits,
    loss: () => ({ value: 1, gradient: new Float64Array(2), ...more as object }),
  });
  const fails = (spec: unknown, message: string, of: object = group) =>
    assert.throws(() => lossOf(spec as Objective, of as typeof group), { name: "InputError", message });
  const lacks = "Cannot use a group with objective unlikelihood: expected";
  fails(unlikelihood, `${lacks} 1 log-probs in tokens of candidate 1: got none`, {
    ...group,
    tokens: undefined,
  });
  fails(unlikelihood, `${lacks} 2 log-probs in tokens of candidate 2: got 1`, {
    ...group,
    tokens: [[-1], [-1]],
  });
  const wrong = "Cannot use objective unlikelihood: its tokenGradient";
  fails(
    returning({ tokenGradient: [new Float64Array(1)] }),
    `${wrong} must have 2 lists, one a candidate: got 1`,
  );
  fails(
    returning({ tokenGradient: [new Float64Array(1), new Float64Array(3)] }),
    `${wrong} of candidate 2 must have 2 numbers, one a token: got 3`,
  );
  fails(
    returning({ tokenGradient: [new Float64Array(1), Float64Array.of(0, NaN)] }),
    `${wrong} of candidate 2 must be finite: got NaN for token 2`,
  );
  fails(
    returning({ tokenGradient: [new Float64Array(1), new Float64Array(2)] }, { needsTokens: false }),
    "Cannot use objective unlikelihood: it returns a tokenGradient without needsTokens",
  );
  assert.equal(lossOf(returning({}) as Objective, group).value, 1);
  assert.throws(() => findObjective({ ...unlikelihood, averages: "tokens" }), {
    message:
      'Cannot use objective unlikelihood: with averages "tokens" its loss is not asked, so needsTokens has no meaning',
  });
});
