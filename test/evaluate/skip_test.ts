import assert from "node:assert/strict";
import { test } from "node:test";
import { evaluate } from "../../lib/evaluate/evaluate.ts";
import { score } from "../../lib/evaluate/score.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import { onBothBackends } from "../_backends.ts";
import { collect, smallModel } from "../_models.ts";
import { toyGroups } from "../_toys.ts";

onBothBackends("what is skipped leaves the other results as they are, to the last digit", async (backend) => {
  const model = await smallModel(backend, { context: 96 }), groups = toyGroups(7);
  const scoring = { microBatchTokens: 150 }; // two or three groups at once
  const whole = await collect(score(model, groups, scoring));
  const measuring = { maxTokens: 4, votes: 2, ...scoring };
  const measured = await collect(evaluate(model, groups, measuring));
  for (let skip = 0; skip <= 8; skip++) {
    assert.deepEqual(await collect(score(model, groups, { ...scoring, skip })), whole.slice(skip), `${skip}`);
  }
  for (const skip of [1, 4, 7]) {
    assert.deepEqual(await collect(evaluate(model, groups, { ...measuring, skip })), measured.slice(skip));
  }
  model.dispose();
});

test("labels alone are skipped too; a count that is none is refused", async () => {
  const groups = toyGroups(3), all = await collect(score(undefined, groups));
  assert.deepEqual(await collect(score(undefined, groups, { skip: 2 })), all.slice(2));
  for (const skip of [-1, 0.5]) {
    await assert.rejects(
      collect(score(undefined, groups, { skip })),
      (error: Error) => error instanceof UsageError && /^Option skip must be/.test(error.message),
    );
  }
});
