/** What of a record reaches an objective. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Group } from "../../lib/data/records.ts";
import { lossOf, objectives } from "../../lib/objectives/objectives.ts";
import { encodeGroup } from "../../lib/train/training_group.ts";
import { smallModel } from "../_models.ts";

const candidate = (text: string, rating: number, correct: boolean) => ({
  text,
  correct,
  rank: 5 - rating,
  reward: rating / 4,
  logprob: -text.length,
});

/** The best of all, right or wrong, is far longer than the model's context. */
const recordOf = (longIsRight: boolean): Group => ({
  id: "sum",
  question: "2+3?",
  prompt: "2+3=",
  answer: "5",
  reference: "2 + 3 = 5",
  reference_logprob: -4,
  candidates: [
    candidate("b".repeat(90), 4, longIsRight),
    candidate("so 5", 3, true),
    candidate("so 6", 2, false),
    candidate("it is 7", 1, false),
  ],
});

test("a candidate that is left out is as if it had never been there, for every objective", async () => {
  const model = await smallModel("wasm", { context: 40 });
  for (const [name, objective] of Object.entries(objectives)) {
    for (const record of [recordOf(true), recordOf(false)]) {
      const masked = encodeGroup(model, record, { objective });
      const dropped = encodeGroup(model, { ...record, candidates: record.candidates.slice(1) }, {
        objective,
      });
      assert.deepEqual(masked.group, dropped.group, name);
      // And so with all that an objective reads of a group.
      const { tokens, feedback } = masked.group!;
      const lengths = tokens.responses.map((ids) => ids.length);
      const { gradient } = lossOf(name, {
        ...feedback,
        scores: lengths.map((length) => -1 / length),
        lengths,
      });
      assert.equal(gradient.length, lengths.length, name);
    }
  }
  model.dispose();
});

test("policy gradients train on the samples alone: the reference is none of them", async () => {
  const model = await smallModel("wasm", { context: 40 });
  for (const [name, objective] of Object.entries(objectives)) {
    if (objective.trainsOn !== "samples") continue;
    const { group } = encodeGroup(model, recordOf(true), { objective });
    assert.equal(group!.tokens.responses.length, 3, name);
    assert.equal(group!.feedback.reference, undefined, name);
  }
  model.dispose();
});
