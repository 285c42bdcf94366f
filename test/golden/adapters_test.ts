/** Adapters that PEFT wrote, against the logits that PEFT computes with them (tools/golden/adapters.py). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadModel } from "../../lib/model/load_model.ts";
import { mergeAdapter } from "../../lib/model/merge.ts";
import { assertClose, assertNoLeak, onBothBackends } from "../_backends.ts";
import { freshPath } from "../_models.ts";

const folder = fileURLToPath(new URL("./adapters", import.meta.url));
const { ids, adapters } = JSON.parse(readFileSync(`${folder}/expected.json`, "utf8")) as {
  ids: number[];
  adapters: Record<string, { base: string; change: number; logits: number[][] }>;
};

for (const [name, expected] of Object.entries(adapters)) {
  onBothBackends(`PEFT's adapter ${name}: its logits, alone and merged`, async (backend) => {
    await assertNoLeak(async () => {
      const last = (logits: Float32Array) => logits.slice(-expected.logits.flat().length);
      const base = `${folder}/${expected.base}`, adapter = `${folder}/${name}`, merged = freshPath();
      using plain = await loadModel(base, { backend }), model = await loadModel(adapter, { backend });
      assertClose(last(await model.logits(ids)), expected.logits.flat(), 2e-5, "logits");
      const before = await plain.logits(ids);
      model.adapterEnabled = false;
      assert.deepEqual(await model.logits(ids), before);
      model.adapterEnabled = true;
      await mergeAdapter(merged, { base, adapter, backend });
      using whole = await loadModel(merged, { backend });
      assertClose(last(await whole.logits(ids)), expected.logits.flat(), 2e-5, "merged logits");
    });
  });
}
