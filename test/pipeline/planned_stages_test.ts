/** The stages that a run of align plans are those that it goes through. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveAlign } from "../../lib/pipeline/align_options.ts";
import { align } from "../../lib/pipeline/align.ts";
import { plannedStages } from "../../lib/pipeline/planned_stages.ts";
import { freshPath } from "../_models.ts";

test("every stage of a run is planned, in its order, and tells what is left of all", async () => {
  const options = {
    ...{
      limit: 4,
      testLimit: 2,
      epochs: 1,
      alignEpochs: 1,
      samples: 2,
      votes: 0,
      maxTokens: 4,
      batchSize: 2,
    },
    ...{ constraints: "dc", rounds: 2, backend: "wasm", out: freshPath() } as const,
    evaluation: { data: "arithmetic:test", limit: 2, every: 1 },
  };
  const parts: string[] = [], left: (number | undefined)[] = [];
  await align(options, {
    progress(event) {
      if (event.unit === "bytes" || /\b(load|save)$/.test(event.part)) return;
      const part = event.part.replace(/, .*/, "");
      if (part !== parts.at(-1)) parts.push(part);
      left.push(event.left);
      assert.ok(event.total !== undefined, event.part);
    },
  });
  const planned = plannedStages(resolveAlign(options), { trained: 4, tested: 2, evaluated: 2 }).map((
    { label },
  ) => label);
  assert.deepEqual(planned, parts);
  assert.ok(left.slice(2).every((seconds) => seconds !== undefined && seconds >= 0), `${left}`);
});
