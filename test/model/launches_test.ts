/** Launches of a step: on a GPU each costs the host some microseconds, and small models wait for nothing else. */

import assert from "node:assert/strict";
import { profile } from "../../lib/backend/profile.ts";
import { backward, forward, makeGradients } from "../../lib/model/decoder.ts";
import { deviceBatch } from "../../lib/model/batch.ts";
import { onBothBackends, upload } from "../_backends.ts";
import { smallModel, tokenIds } from "../_models.ts";

onBothBackends("a layer takes at most 30 launches forward and backward", async (backend) => {
  const counts: number[] = [];
  for (const layers of [1, 2]) {
    const model = await smallModel(backend, { config: { num_hidden_layers: layers } }), { decoder } = model;
    const gradients = makeGradients(decoder);
    const batch = deviceBatch(decoder, [{
      prompt: tokenIds(5, 1),
      responses: [tokenIds(4, 2), tokenIds(6, 3)],
    }]);
    const weights = upload(new Float32Array(batch.host.labels.length).fill(-1), [batch.host.labels.length]);
    const before = profile.total(), pass = forward(decoder, batch, { keep: "products" });
    backward(decoder, pass, { batch, weights, gradients });
    counts.push(profile.total() - before);
    gradients.forEach((t) => t.dispose());
    [weights, batch, model].forEach((owner) => owner.dispose());
  }
  const each = counts[1] - counts[0];
  if (backend === "webgpu") assert.equal(each, 9 + 16); // forward, backward
  assert.ok(each > 0 && each <= 30, `${each} launches`);
});
