/**
 * Every family against numbers that an independent implementation wrote down: golden checkpoints with logits, token
 * log-probs and gradients, and two checkpoints that people trained.
 */

import assert from "node:assert/strict";
import { DecodingSession, type Sampled } from "../../lib/model/decoding.ts";
import type { Model } from "../../lib/model/model.ts";
import { assertClose } from "../_backends.ts";
import { goldenModels, sharedJson, withSharedModel } from "../_shared_models.ts";

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
/** Greedy continuations by the cached decoder, each prompt's own. */
async function greedy(
  model: Model,
  prompts: readonly (readonly number[])[],
  options: { readonly maxTokens: number; readonly endTokens?: readonly number[]; readonly slots?: number },
): Promise<Sampled[]> {
  const longestPrompt = Math.max(...prompts.map((prompt) => prompt.length));
  const session = new DecodingSession(model.decoder, {
    temperature: 0,
    topK: 0,
    topP: 1,
    endTokens: [],
    ...options,
    samples: 1,
    longestPrompt,
  });
  const results: Sampled[] = [];
  let next = 0;
  const admit = () => {
    const at = next;
    if (at === prompts.length) return false;
    return session.tryAdmit({ prompt: prompts[at], streams: [at] }, ([result]) => results[at] = result);
  };
  do {
    while (admit()) next++;
    await session.advance();
  } while (session.live > 0 || next < prompts.length);
  session.dispose();
  return results;
}

const stories = "models/stories260K";
interface StoriesCase {
  readonly prompt: string;
  readonly ids: number[];
  readonly last_logits_first16: number[];
  readonly argmax_per_position: number[];
  readonly mean_nll: number;
}

withSharedModel(`${stories}: ids, logits and mean nll are the golden ones`, stories, async (model) => {
  for (const golden of sharedJson(`${stories}/golden.json`).cases as StoriesCase[]) {
    assert.deepEqual(model.tokenizer.encode(golden.prompt), golden.ids);
    const logits = await model.logits(golden.ids), v = model.config.vocabularySize;
    const rows = golden.ids.map((_, i) => logits.subarray(i * v, (i + 1) * v));
    assertClose(rows.at(-1)!.subarray(0, 16), golden.last_logits_first16, 1e-4, "last_logits");
    assert.deepEqual(rows.map((row) => row.indexOf(Math.max(...row))), golden.argmax_per_position);
    const logprobs = await model.logprobs(golden.ids);
    const nll = -logprobs.reduce((sum, l) => sum + l, 0) / logprobs.length;
    assertRelative(nll, golden.mean_nll, { tolerance: 1e-5, floor: 0, what: "mean nll" });
  }
});

withSharedModel(`${stories}: writes its known text from the start token`, stories, async (model) => {
  const golden = sharedJson(`${stories}/golden.json`);
  const ids = golden.greedy_from_bos_ids as number[];
  const [result] = await greedy(model, [[1]], { maxTokens: ids.length - 1 });
  assert.deepEqual([1, ...result.ids], ids);
  assert.equal(result.finish, "length");
  assert.ok(model.tokenizer.decode(result.ids).startsWith(golden.greedy_text.trimEnd().slice(0, 200)));
});

const sorter = "models/gpt-nano-sort";
withSharedModel(`${sorter}: sorts all 729 inputs`, sorter, async (model) => {
  const inputs = Array.from(
    { length: 3 ** 6 },
    (_, n) => Array.from({ length: 6 }, (_, i) => Math.floor(n / 3 ** i) % 3),
  );
  const results = await greedy(model, inputs, { maxTokens: 6, slots: 243 });
  assert.deepEqual(results.map(({ ids }) => ids), inputs.map((input) => [...input].sort()));
});

withSharedModel(`${sorter}: model.logits and the cached decoder agree`, sorter, async (model) => {
  const input = [2, 0, 1, 2, 0, 1], answer = [0, 0, 1, 1, 2, 2];
  const logits = await model.logits([...input, ...answer.slice(0, -1)]);
  const drawn = answer.map((_, i) => {
    const row = logits.subarray((i + 5) * 3, (i + 6) * 3);
    return row.indexOf(Math.max(...row));
  });
  assert.deepEqual(drawn, answer);
});
