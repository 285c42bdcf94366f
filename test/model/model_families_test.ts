/** What must hold for every family, whatever its numbers: two ways to compute the same thing agree. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { read } from "../../lib/backend/tensors.ts";
import { backward, forward, makeGradients, orderedLogprobs } from "../../lib/model/decoder.ts";
import { deviceBatch } from "../../lib/model/batch.ts";
import { DecodingSession, type Sampled } from "../../lib/model/decoding.ts";
import type { Keep } from "../../lib/model/layer.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import type { Model } from "../../lib/model/model.ts";
import { assertClose, upload } from "../_backends.ts";
import { goldenModels, withSharedModel } from "../_shared_models.ts";

const folder = mkdtempSync(join(tmpdir(), "families-test-"));
after(() => rmSync(folder, { recursive: true }));

/** Ids that walk over the vocabulary of 131. */
const walk = (length: number, start: number) => Array.from({ length }, (_, i) => (start + 37 * i) % 131);
/** Longer than mistral's window of 9 on every side. */
const group = { prompt: walk(14, 1), responses: [walk(12, 5), walk(3, 90), walk(21, 40)] };

for (const path of [...goldenModels, "models/gpt-nano-sort"]) {
  withSharedModel(`${path}: saved and loaded, it is the same model`, path, async (model, backend) => {
    const copy = join(folder, `${path.replaceAll("/", "-")}-${backend}`);
    await model.save(copy);
    const ids = [1, 0, 2, 2, 1], logits = await model.logits(ids);
    const again = await loadModel(copy, { backend });
    assert.deepEqual(again.config, model.config);
    assert.deepEqual([...again.decoder.parameters.keys()], [...model.decoder.parameters.keys()]);
    for (const { name } of model.decoder.plan) {
      assert.deepEqual(await again.parameterValues(name), await model.parameterValues(name), name);
    }
    assert.deepEqual(await again.logits(ids), logits);
    again.dispose();
  });
}

/** Gradients of a weighted sum of a group's log-probs. */
async function gradientsOf(model: Model, keep: Keep, responses: readonly (readonly number[])[]) {
  const batch = deviceBatch(model.decoder, [{ prompt: group.prompt, responses }]);
  const pass = forward(model.decoder, batch, { keep }), count = batch.host.labels.length;
  // Every label of the group has the same weight, whatever it is batched with.
  const weights = upload(new Float32Array(count).fill(0.1), [count]);
  const gradients = makeGradients(model.decoder), logprobs = await orderedLogprobs(pass, batch);
  backward(model.decoder, pass, { batch, weights, gradients });
  const values = new Map<string, Float32Array>();
  for (const [name, tensor] of gradients) values.set(name, await read(tensor) as Float32Array);
  [weights, ...gradients.values()].forEach((t) => t.dispose());
  batch.dispose();
  return { logprobs, values };
}

for (const path of goldenModels.filter((path) => !/bf16|sharded|llama3/.test(path))) {
  withSharedModel(`${path}: a shared prompt gives what separate sequences give`, path, async (model) => {
    const shared = await gradientsOf(model, "products", group.responses);
    const summed = new Map<string, Float32Array>();
    let at = 0;
    for (const response of group.responses) {
      const alone = await model.logprobs([...group.prompt, ...response]);
      const own = shared.logprobs.slice(at, at += response.length);
      assertClose(own, alone.slice(group.prompt.length - 1), 1e-5, "logprobs");
      const { values } = await gradientsOf(model, "products", [response]);
      for (const [name, part] of values) {
        summed.set(name, part.map((v, i) => v + (summed.get(name)?.[i] ?? 0)));
      }
    }
    for (const [name, gradient] of shared.values) {
      assertClose(gradient, summed.get(name)!, 1e-5, `gradient of ${name}`);
    }
  });

  withSharedModel(`${path}: recomputing from the layers' inputs changes no gradient`, path, async (model) => {
    const products = await gradientsOf(model, "products", group.responses);
    const inputs = await gradientsOf(model, "inputs", group.responses);
    assert.deepEqual(inputs, products);
  });

  withSharedModel(
    `${path}: decoding over the cache gives what the whole sequence gives`,
    path,
    async (model) => {
      // Two prompts of other lengths in one session; the second has no row of its own before its samples.
      const prompts = [walk(14, 1), [7]], maxTokens = 20;
      const session = new DecodingSession(model.decoder, {
        temperature: 0,
        topK: 0,
        topP: 1,
        endTokens: [],
        maxTokens,
        longestPrompt: 14,
        samples: 2,
        slots: 4,
        block: 8,
      });
      const results: Sampled[][] = [];
      prompts.forEach((prompt, i) =>
        assert.ok(session.tryAdmit({ prompt, streams: [1, 2] }, (done) => results[i] = done))
      );
      while (session.live > 0) await session.advance();
      session.dispose();
      for (const [i, prompt] of prompts.entries()) {
        const [{ ids }, twin] = results[i];
        assert.deepEqual(twin.ids, ids);
        assert.equal(ids.length, maxTokens);
        const logits = await model.logits([...prompt, ...ids.slice(0, -1)]);
        const v = model.config.vocabularySize;
        ids.forEach((id, step) => {
          const row = logits.subarray((prompt.length - 1 + step) * v, (prompt.length + step) * v);
          // The drawn token is the largest but for rounding: a tie may go either way.
          assert.ok(
            row[id] >= Math.max(...row) - 1e-4,
            `token ${step} is ${id}, ${row[id]} < ${Math.max(...row)}`,
          );
        });
      }
    },
  );
}
