/**
 * Every family against numbers that an independent implementation wrote down: golden checkpoints with logits, token
 * log-probs and gradients, and two checkpoints that people trained.
 */

import assert from "node:assert/strict";
import { DecodingSession, type Sampled } from "../lib/model/decoding.ts";
import type { Model } from "../lib/model/model.ts";
import { assertClose } from "./_backends.ts";
import { goldenModels, sharedJson, withSharedModel } from "./_shared_models.ts";

interface GoldenCase {
  readonly ids: number[];
  readonly last_logits: number[];
  readonly token_logprobs: number[];
  readonly gradient_of_mean_nll: Record<string, { l2: number; first4: number[] }>;
}

/** Fails unless |actual − expected| ≤ tolerance · |expected| + floor. */
function assertRelative(
  actual: number,
  expected: number,
  options: { readonly tolerance: number; readonly floor: number; readonly what: string },
): void {
  const { tolerance, floor, what } = options;
  assert.ok(
    Math.abs(actual - expected) <= tolerance * Math.abs(expected) + floor,
    `${what} is ${actual}: expected ${expected} within ${tolerance} of it`,
  );
}

for (const path of goldenModels) {
  withSharedModel(`${path}: logits, log-probs and gradients are the golden ones`, path, async (model) => {
    for (const golden of sharedJson(`${path}/golden.json`).cases as GoldenCase[]) {
      const { ids } = golden, v = model.config.vocabularySize;
      const logits = await model.logits(ids);
      assert.equal(logits.length, ids.length * v);
      assertClose(logits.slice(-v), golden.last_logits, 1e-5, "last_logits");
      assertClose(await model.logprobs(ids), golden.token_logprobs, 1e-5, "token_logprobs");

      const gradients = await model.gradients(ids);
      assert.deepEqual([...gradients.keys()].sort(), Object.keys(golden.gradient_of_mean_nll).sort());
      for (const [name, { l2, first4 }] of Object.entries(golden.gradient_of_mean_nll)) {
        const gradient = gradients.get(name)!;
        const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
        assertRelative(norm, l2, { tolerance: 1e-4, floor: 1e-6, what: `norm of ${name}` });
        // Rounding is relative to the numbers that a gradient is summed of: a typical element's size.
        const floor = 1e-5 * l2 / Math.sqrt(gradient.length) + 1e-7;
        first4.forEach((g, i) =>
          assertRelative(gradient[i], g, { tolerance: 1e-4, floor, what: `${name}[${i}]` })
        );
      }
    }
  });
}
void DecodingSession;
type _ = [Sampled, Model];
