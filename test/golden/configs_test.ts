/** Models of many configurations as transformers writes them, and its logits (tools/golden/configs.py). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadModel } from "../../lib/model/load_model.ts";
import { assertClose, assertNoLeak, onBothBackends } from "../_backends.ts";

const folder = fileURLToPath(new URL("./configs", import.meta.url));
const { ids, rows, models } = JSON.parse(readFileSync(`${folder}/expected.json`, "utf8")) as {
  ids: number[];
  rows: number[];
  models: Record<string, number[][]>;
};

/** What the decoder does not have, by the field that is named. */
const refused: Readonly<Record<string, RegExp>> = {
  "llama-yarn": /rope_type "yarn" is not supported/,
  "llama-dynamic": /rope_type "dynamic" is not supported/,
  "llama-partial": /partial_rotary_factor 0\.5 is not supported/,
  "llama-gelu": /hidden_act "gelu" is not supported/,
  "gpt2-relu": /activation_function "relu" is not supported/,
  "gpt2-unscaled": /scale_attn_weights false is not supported/,
  "gpt2-by-layer": /scale_attn_by_inverse_layer_idx true is not supported/,
};

for (const [name, expected] of Object.entries(models)) {
  onBothBackends(`configuration ${name}: transformers' logits, or refused by name`, async (backend) => {
    await assertNoLeak(async () => {
      const reason = refused[name], load = loadModel(`${folder}/${name}`, { backend });
      if (reason) return await assert.rejects(load, reason);
      using model = await load;
      const logits = await model.logits(ids), v = model.config.vocabularySize;
      for (const [i, row] of rows.entries()) {
        assertClose(logits.subarray(row * v, (row + 1) * v), expected[i]!, 2e-5, `${name}, row ${row}`);
      }
    });
  });
}
