/** What llama.cpp does with the embedded base, once tools/to_gguf.py has converted it (tools/golden/llama_cpp.py). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { loadModel } from "../../lib/model/load_model.ts";
import { base } from "../_commands.ts";
import { onBothBackends } from "../_backends.ts";

interface Case {
  readonly text: string;
  readonly ids: number[];
  readonly next: [id: number, logprob: number][];
  readonly greedy: number[];
}
const cases: Case[] = JSON.parse(readFileSync(new URL("./llama_cpp.json", import.meta.url), "utf8"));

onBothBackends("llama.cpp's ids, log-probs and greedy text of the embedded base", async (backend) => {
  using model = await loadModel(base, { backend });
  const v = model.config.vocabularySize;
  for (const { text, ids, next, greedy } of cases) {
    assert.deepEqual(model.tokenizer.encode(text), ids, text);
    const logits = await model.logits([...ids, ...greedy]);
    const row = (at: number) => logits.subarray((ids.length - 1 + at) * v, (ids.length + at) * v);
    const all = Math.log(row(0).reduce((sum, logit) => sum + Math.exp(logit), 0));
    for (const [id, logprob] of next) {
      const found = row(0)[id]! - all;
      assert.ok(Math.abs(found - logprob) < 1e-3, `${text}: token ${id} has ${found}, llama.cpp ${logprob}`);
    }
    assert.deepEqual(greedy.map((_, at) => row(at).indexOf(Math.max(...row(at)))), greedy, text);
  }
});
